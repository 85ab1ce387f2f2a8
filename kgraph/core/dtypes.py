"""Element types as the front end spells them ("float32"), and the rules by which operands of several types meet.

The rules are those of Keras on JAX without 64-bit mode, for the everyday cases: Python numbers are weak (they take the
tensor's type, and turn an integer tensor into `floatx` when they are floats), an integer meeting a float takes the
float's type, bool gives way to everything.  NumPy arrays of float64 are taken as `floatx` and int64 as int32 (unless
a value would not fit); Variables and traced tensors keep the 64-bit types they were given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.session import floatx
from kgraph.errors import DtypeError

__all__ = [
    "canonical_array",
    "ir_dtype",
    "is_float_dtype",
    "is_int_dtype",
    "promote_dtypes",
    "standardize_dtype",
    "symbolic_dtype",
]

_TO_IR = {
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
    "int8": "i8",
    "int32": "i32",
    "int64": "i64",
    "uint8": "u8",
    "uint32": "u32",
    "bool": "bool",
}
_FROM_IR = {ir: name for name, ir in _TO_IR.items()}
_RANK = ["bool", "uint8", "int8", "uint32", "int32", "int64", "float16", "float32", "float64"]
_WEAK: list[type] = [bool, int, float]
# Types that NumPy has and the IR has not, with what stands for them.
_WIDENED = {"int16": "int32", "uint16": "int32", "uint64": "uint32", "longdouble": "float64"}


def standardize_dtype(dtype: Any) -> str:
    """The front end's spelling ("float32") of a dtype given as a string, NumPy dtype, Python type or None (floatx).

    Raises:
        DtypeError: no such type here.
    """
    if dtype is None:
        return floatx()
    if isinstance(dtype, str) and dtype in _TO_IR:
        return dtype
    if isinstance(dtype, str) and dtype in _FROM_IR:
        return _FROM_IR[dtype]
    if dtype is float or dtype == "float":
        return floatx()
    if dtype is int or dtype == "int":
        return "int32"
    try:
        name: str = np.dtype(getattr(dtype, "name", dtype)).name
    except TypeError:
        raise DtypeError(f"unknown dtype {dtype!r}", needed="one of " + ", ".join(_TO_IR)) from None
    name = _WIDENED.get(name, name)
    if name not in _TO_IR:
        raise DtypeError(f"dtype {name!r} is not supported", needed="one of " + ", ".join(_TO_IR))
    return name


def symbolic_dtype(dtype: Any) -> str:
    """As `standardize_dtype`, and "string", which an `Input` may have; layers such as `StringLookup` read it."""
    return "string" if dtype is str or (isinstance(dtype, str) and dtype == "string") else standardize_dtype(dtype)


def ir_dtype(dtype: Any) -> str:
    """The IR's spelling ("f32").

    Raises:
        DtypeError: no such type here, or strings.
    """
    if isinstance(dtype, str) and dtype == "string":
        raise DtypeError(
            "a tensor of strings cannot be computed with inside a model",
            needed="StringLookup, TextVectorization, Hashing or HashedCrossing right behind the Input of strings",
            fix="put such a layer there, or turn the strings into numbers before training",
        )
    return _TO_IR[standardize_dtype(dtype)]


def front_dtype(ir: str) -> str:
    """The front end's spelling of an IR dtype."""
    return _FROM_IR[ir]


def is_float_dtype(dtype: Any) -> bool:
    """Whether this is a floating-point type."""
    return standardize_dtype(dtype).startswith("float")


def is_int_dtype(dtype: Any) -> bool:
    """Whether this is an integer type; bool is none."""
    return "int" in standardize_dtype(dtype)


def canonical_array(value: Any) -> npt.NDArray[Any]:
    """A NumPy array in a type the IR has, by the rules in the head of this module.

    Raises:
        DtypeError: text, objects, complex numbers.
    """
    array = np.asarray(value)
    name = array.dtype.name
    if name == "float64" and floatx() != "float64":
        return array.astype(floatx())
    if name == "int64" or name == "uint64":
        fits = not array.size or (-(2**31) <= array.min() and array.max() < 2**31)
        return array.astype("int32") if fits else array.astype("int64")
    if name in _TO_IR:
        return array
    if name in _WIDENED:
        return array.astype(_WIDENED[name])
    raise DtypeError(
        f"an array of type {name} cannot become a tensor",
        needed="numbers or booleans",
        fix="convert it first, e.g. x.astype('float32')",
    )


def promote_dtypes(dtypes: Iterable[str], weak: Iterable[type] = ()) -> str:
    """The type in which operands meet.

    Args:
        dtypes: types of the tensors.
        weak: Python types of plain numbers (`bool`, `int`, `float`).
    """
    result = max(dtypes, key=_RANK.index, default="")
    strongest = max(weak, key=_WEAK.index, default=None)
    if not result:
        return "bool" if strongest is bool else "int32" if strongest is int else floatx()
    if strongest is float and not result.startswith("float"):
        return floatx()
    if strongest is int and result == "bool":
        return "int32"
    return result
