"""Operations on the bits of numbers, and those of whole-number arithmetic that go on until nothing is left."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import has_symbolic, operation
from kgraph.core.dtypes import canonical_array, ir_dtype, is_float_dtype, standardize_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.core.trace import current_trace
from kgraph.core.variable import Variable
from kgraph.errors import DtypeError, UnsupportedError
from kgraph.ops import math
from kgraph.ops.control import scan_region
from kgraph.ops.convert import active, as_tensor, emit, same_sizes
from kgraph.ops.operands import as_float, as_number, tensors
from kgraph.ops.shaping import broadcast_to

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "gcd",
    "lcm",
    "ldexp",
    "left_shift",
    "nextafter",
    "right_shift",
    "signbit",
    "view",
]

_ON_BOOL = {"bit_and": "logical_and", "bit_or": "logical_or", "bit_xor": "logical_xor"}
_UNSIGNED = ("bool", "uint8", "uint32")


def _integers(name: str, *xs: Any) -> list[TracedTensor]:
    found = tensors(*xs)
    if is_float_dtype(found[0].dtype):
        raise DtypeError(
            f"ops.{name} needs integers",
            where=str(active().location()),
            got=", ".join(as_tensor(x).dtype for x in xs),
            fix="cast them first: ops.cast(x, 'int32')",
        )
    same_sizes([x.dims for x in found])
    return found


def _bitwise(name: str, op: str, x: Any, y: Any) -> Any:
    left, right = _integers(name, x, y)
    if left.dtype == "bool":
        if op not in _ON_BOOL:
            left, right = as_number(left), as_number(right)
        else:
            op = _ON_BOOL[op]
    return emit(op, left, right)


@operation
def bitwise_and(x: Any, y: Any) -> Any:
    """Bits set in both."""
    return _bitwise("bitwise_and", "bit_and", x, y)


@operation
def bitwise_or(x: Any, y: Any) -> Any:
    """Bits set in either."""
    return _bitwise("bitwise_or", "bit_or", x, y)


@operation
def bitwise_xor(x: Any, y: Any) -> Any:
    """Bits set in exactly one."""
    return _bitwise("bitwise_xor", "bit_xor", x, y)


@operation
def bitwise_not(x: Any) -> Any:
    """Every bit turned."""
    (tensor,) = _integers("bitwise_not", x)
    return emit("logical_not" if tensor.dtype == "bool" else "bit_not", tensor)


@operation
def bitwise_invert(x: Any) -> Any:
    """Every bit turned."""
    return bitwise_not(x)


@operation
def bitwise_left_shift(x: Any, y: Any) -> Any:
    """The bits of x moved up by y >= 0 places."""
    return _bitwise("bitwise_left_shift", "shift_left", x, y)


@operation
def left_shift(x: Any, y: Any) -> Any:
    """The bits of x moved up by y >= 0 places."""
    return bitwise_left_shift(x, y)


@operation
def bitwise_right_shift(x: Any, y: Any) -> Any:
    """The bits of x moved down by y >= 0 places; the sign stays."""
    return _bitwise("bitwise_right_shift", "shift_right", x, y)


@operation
def right_shift(x: Any, y: Any) -> Any:
    """The bits of x moved down by y >= 0 places; the sign stays."""
    return bitwise_right_shift(x, y)


# Steps of Euclid's algorithm at most, by the width of the type: neighbours in Fibonacci's sequence take longest.
_EUCLID = {1: 14, 4: 48, 8: 93}


@operation
def gcd(x1: Any, x2: Any) -> Any:
    """Greatest common divisor of integers, 0 or more."""
    left, right = (math.abs(as_number(x)) for x in _integers("gcd", x1, x2))
    both = math.add(left, right)

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        a, b = states
        done = emit("eq", b, 0)
        rest = emit("mod", a, emit("select", done, 1, b))
        return [emit("select", done, a, b), emit("select", done, 0, rest)], []

    steps = _EUCLID[np.dtype(left.dtype).itemsize]
    inits = [broadcast_to(x, both.dims) for x in (left, right)]
    return scan_region(step, inits, [], length=steps)[0][0]


@operation
def lcm(x1: Any, x2: Any) -> Any:
    """Least common multiple of integers, 0 where one is 0."""
    left, right = (math.abs(as_number(x)) for x in _integers("lcm", x1, x2))
    divisor = gcd(left, right)
    return math.multiply(math.floor_divide(left, math.maximum(divisor, 1)), right)


@operation
def ldexp(x1: Any, x2: Any) -> Any:
    """x1 * 2 ** x2 for integers x2."""
    number, exponent = as_float(x1), as_tensor(x2)
    if is_float_dtype(exponent.dtype):
        raise DtypeError(
            "ops.ldexp needs integers as x2", got=exponent.dtype, fix="cast it first: ops.cast(x2, 'int32')"
        )
    whole = as_tensor(exponent, number.dtype)
    # In two halves: 2^x2 alone may overflow where the product does not.
    first = math.floor(math.multiply(whole, 0.5))
    second = math.subtract(whole, first)
    return math.multiply(math.multiply(number, emit("pow", 2.0, first)), emit("pow", 2.0, second))


def _pattern(x: TracedTensor) -> Any:
    """The bits of a float as a signed integer."""
    if x.dtype not in ("float32", "float64"):
        raise UnsupportedError(f"the bits of {x.dtype} cannot be read", fix="cast to float32 first")
    return emit("bitcast", x, dtype="i32" if x.dtype == "float32" else "i64")


@operation
def signbit(x: Any) -> Any:
    """Whether x is negative; true for -0.0."""
    tensor = as_tensor(x)
    if not is_float_dtype(tensor.dtype):
        return emit("ne", tensor, tensor) if tensor.dtype in _UNSIGNED else emit("lt", tensor, 0)
    return emit("lt", _pattern(tensor), 0)


@operation
def nextafter(x1: Any, x2: Any) -> Any:
    """The next float after x1 in the direction of x2."""
    start, target = tensors(x1, x2, floating=True)
    start, target = (broadcast_to(x, math.add(start, target).dims) for x in (start, target))
    kind = ir_dtype(start.dtype)
    pattern = _pattern(start)
    upwards = emit("gt", target, start)
    # Away from 0 the pattern of either sign counts up.
    grows = emit("eq", upwards, emit("gt", start, 0.0))
    moved = emit("select", grows, emit("add", pattern, 1), emit("sub", pattern, 1))
    top = int(np.iinfo(pattern.dtype).max)
    least = (as_tensor(number, pattern.dtype) for number in (1, -top))  # the least subnormal number and its negative
    from_zero = emit("select", upwards, *least)
    moved = emit("bitcast", emit("select", emit("eq", start, 0.0), from_zero, moved), dtype=kind)
    result = emit("select", emit("eq", start, target), target, moved)
    return emit("select", emit("logical_or", emit("is_nan", start), emit("is_nan", target)), float("nan"), result)


def view(x: Any, dtype: Any = None) -> Any:
    """The bits of x read as another element type.

    Raises:
        UnsupportedError: in a model or a trace, for a type of another width, which would change the shape.
    """
    if current_trace() is None and not has_symbolic(x) and not isinstance(x, Variable):
        array = canonical_array(x)
        return array if dtype is None else array.view(standardize_dtype(dtype))
    return _view(x, dtype)


@operation
def _view(x: Any, dtype: Any = None) -> Any:
    tensor = as_tensor(x)
    name = tensor.dtype if dtype is None else standardize_dtype(dtype)
    if name == tensor.dtype:
        return tensor
    if "bool" in (name, tensor.dtype) or np.dtype(name).itemsize != np.dtype(tensor.dtype).itemsize:
        raise UnsupportedError(
            f"ops.view cannot read {tensor.dtype} as {name} in a model",
            where=str(active().location()),
            needed="types of one width",
            fix="use ops.cast to convert the values",
        )
    return emit("bitcast", tensor, dtype=ir_dtype(name))
