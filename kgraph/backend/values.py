"""Variables, constants and placeholders: making them, reading and setting their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.dtypes import is_float_dtype, is_int_dtype, promote_dtypes, standardize_dtype
from kgraph.core.session import (
    clear_session,
    epsilon,
    floatx,
    get_uid,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from kgraph.core.tensors import is_symbolic
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError

__all__ = [
    "backend",
    "batch_get_value",
    "batch_set_value",
    "cast_to_floatx",
    "clear_session",
    "constant",
    "count_params",
    "dtype",
    "epsilon",
    "eval",
    "floatx",
    "get_uid",
    "get_value",
    "image_data_format",
    "int_shape",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "is_sparse",
    "moving_average_update",
    "ndim",
    "ones",
    "placeholder",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_value",
    "standardize_dtype",
    "update",
    "update_add",
    "update_sub",
    "variable",
    "zeros",
]


def backend() -> str:
    """`"kgraph"`."""
    return "kgraph"


def result_type(*dtypes: Any) -> str:
    """The type in which tensors of these types meet."""
    return promote_dtypes([standardize_dtype(name) for name in dtypes])


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Variable:
    """A Variable with this first value."""
    return Variable(value, dtype=dtype or floatx(), name=name, constraint=constraint)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A tensor of fixed values, repeated to `shape` when that is given."""
    tensor = ops.convert_to_tensor(value, dtype)
    return tensor if shape is None else ops.broadcast_to(tensor, shape)


def placeholder(
    shape: Any = None, ndim: int | None = None, dtype: Any = None, sparse: bool = False, name: str | None = None
) -> Any:
    """An input tensor; `shape` has the batch axis."""
    from kgraph.core import Input

    if shape is None:
        if ndim is None:
            raise InvalidArgumentError("placeholder needs a shape or a number of axes")
        shape = (None,) * ndim
    return Input(batch_shape=shape, dtype=dtype, name=name)


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A Variable of zeros."""
    return Variable("zeros", shape=tuple(shape), dtype=dtype, name=name)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A Variable of ones."""
    return Variable("ones", shape=tuple(shape), dtype=dtype, name=name)


def eval(x: Any) -> np.ndarray[Any, Any]:
    """The value as a NumPy array."""
    return np.array(x)


def get_value(x: Any) -> np.ndarray[Any, Any]:
    """The value as a NumPy array."""
    return np.array(x)


def set_value(x: Variable, value: Any) -> None:
    """Set a Variable."""
    x.assign(value)


def batch_get_value(tensors: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
    """The values as NumPy arrays."""
    return [get_value(x) for x in tensors]


def batch_set_value(pairs: Sequence[tuple[Variable, Any]]) -> None:
    """Set several Variables."""
    for x, value in pairs:
        set_value(x, value)


def update(x: Variable, new_x: Any) -> Any:
    """Assign."""
    return x.assign(new_x)


def update_add(x: Variable, increment: Any) -> Any:
    """Add to a Variable."""
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: Any) -> Any:
    """Subtract from a Variable."""
    return x.assign_sub(decrement)


def moving_average_update(x: Variable, value: Any, momentum: float) -> Any:
    """`x` * momentum + value * (1 - momentum), assigned."""
    return x.assign(ops.add(ops.multiply(x, momentum), ops.multiply(value, 1.0 - momentum)))


def cast_to_floatx(x: Any) -> Any:
    """`x` in the default float type."""
    return ops.cast(x, floatx())


def int_shape(x: Any) -> tuple[int | None, ...] | None:
    """Shape as a tuple with None for unknown sizes."""
    found = getattr(x, "shape", None)
    return tuple(np.shape(x)) if found is None else tuple(found)


def ndim(x: Any) -> int:
    """Number of axes."""
    return ops.ndim(x)


def dtype(x: Any) -> str:
    """Element type, e.g. `"float32"`."""
    return ops.dtype(x)


def count_params(x: Any) -> int:
    """Number of elements of a Variable."""
    return int(np.prod([size for size in x.shape if size is not None]))


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a tensor of a functional model.

    Raises:
        InvalidArgumentError: it is no tensor at all.
    """
    if not hasattr(x, "shape"):
        raise InvalidArgumentError(f"unexpectedly found an instance of type {type(x).__name__}; expected a tensor")
    return is_symbolic(x)


def is_sparse(tensor: Any) -> bool:
    """False: all tensors are dense."""
    return False
