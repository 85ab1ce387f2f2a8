"""Tensors made of values, of one number everywhere, or of indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import ir_dtype, is_float_dtype, standardize_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.errors import UnsupportedError
from kgraph.ir.dims import Dim, Shape
from kgraph.ir.graph import literal
from kgraph.ops import math, shaping
from kgraph.ops.convert import as_tensor, cast_to, emit, normal_axis, shape_argument

__all__ = [
    "arange",
    "convert_to_numpy",
    "convert_to_tensor",
    "empty",
    "eye",
    "full",
    "full_like",
    "identity",
    "one_hot",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


@operation
def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """`x` as a tensor; outside of models and traces a NumPy array."""
    return as_tensor(x, dtype)


def convert_to_numpy(x: Any) -> Any:
    """`x` as a NumPy array.

    Raises:
        SymbolicBoolError: for tensors that have no value yet.
    """
    return np.array(x)


def _full(sizes: Shape, value: Any, dtype: str) -> Any:
    return emit("broadcast_to", literal(value, ir_dtype(dtype)), shape=sizes)


@operation
def zeros(shape: Any, dtype: Any = None) -> Any:
    """Zeros of a shape."""
    return _full(shape_argument(shape), 0, standardize_dtype(dtype))


@operation
def ones(shape: Any, dtype: Any = None) -> Any:
    """Ones of a shape."""
    return _full(shape_argument(shape), 1, standardize_dtype(dtype))


@operation
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value everywhere."""
    return shaping.broadcast_to(as_tensor(fill_value, dtype), shape)


@operation
def empty(shape: Any, dtype: Any = None) -> Any:
    """Zeros: nothing here is ever uninitialised."""
    return _full(shape_argument(shape), 0, standardize_dtype(dtype))


@operation
def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros of the shape and type of x."""
    tensor = as_tensor(x)
    return _full(tensor.dims, 0, standardize_dtype(dtype or tensor.dtype))


@operation
def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones of the shape and type of x."""
    tensor = as_tensor(x)
    return _full(tensor.dims, 1, standardize_dtype(dtype or tensor.dtype))


@operation
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value everywhere, with the shape and type of x."""
    tensor = as_tensor(x)
    return shaping.broadcast_to(as_tensor(fill_value, dtype or tensor.dtype), tensor.dims)


@operation
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """start, start + step, ... below stop; int32 for whole numbers, else floatx."""
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    if isinstance(stop, Dim):
        if start != 0 or step != 1:
            raise UnsupportedError("arange up to an unknown size starts at 0 with steps of 1")
        return emit("iota", shape=(stop,), axis=0, dtype=ir_dtype(dtype or "int32"))
    if any(isinstance(x, (TracedTensor, SymbolicTensor)) for x in (start, stop, step)):
        raise UnsupportedError("arange needs numbers or sizes, not tensors: the shape would not be known")
    values = np.arange(start, stop, step)
    name = standardize_dtype(dtype) if dtype is not None else floatx() if values.dtype.kind == "f" else "int32"
    return emit("constant", value=values.astype(name))


@operation
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on the k-th diagonal."""
    return emit("constant", value=np.eye(N, M, k, dtype=standardize_dtype(dtype)))


@operation
def identity(n: int, dtype: Any = None) -> Any:
    """Ones on the diagonal."""
    return emit("constant", value=np.eye(n, dtype=standardize_dtype(dtype)))


def _triangle(x: Any, k: int, keep_lower: bool) -> Any:
    tensor = as_tensor(x)
    sizes = tensor.dims[-2:]
    row = emit("iota", shape=sizes, axis=0, dtype="i32")
    column = emit("iota", shape=sizes, axis=1, dtype="i32")
    edge = emit("sub", column, row)
    return math.where(emit("le" if keep_lower else "ge", edge, int(k)), tensor, 0)


@operation
def tril(x: Any, k: int = 0) -> Any:
    """`x` with zeros above the k-th diagonal."""
    return _triangle(x, k, True)


@operation
def triu(x: Any, k: int = 0) -> Any:
    """`x` with zeros below the k-th diagonal."""
    return _triangle(x, k, False)


@operation
def one_hot(x: Any, num_classes: Any, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at the place of the index along a new axis, else 0; indices out of range give zeros."""
    ids = as_tensor(x)
    if is_float_dtype(ids.dtype) or ids.dtype == "bool":
        ids = cast_to(ids, "int32")
    if isinstance(num_classes, Dim):  # as many classes as the batch has rows: known in the run alone
        result = cast_to(
            math.equal(shaping.expand_dims(ids, -1), arange(num_classes, dtype=ids.dtype)), standardize_dtype(dtype)
        )
    else:
        result = emit("one_hot", ids, depth=int(num_classes), dtype=ir_dtype(dtype))
    rank = len(result.dims)
    place = normal_axis(axis, rank)
    return result if place == rank - 1 else shaping.moveaxis(result, -1, place)
