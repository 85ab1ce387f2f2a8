"""Elements and parts of tensors picked by index: `take`, `take_along_axis` and `x[...]`."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.variable import Variable
from kgraph.errors import IndexRangeError, InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.dims import Dim, DimLike
from kgraph.ops import math, reduction, shaping
from kgraph.ops.convert import active, as_tensor, cast_to, emit, normal_axis

__all__ = ["get_item", "take", "take_along_axis"]


@operation
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements (axis None) or slices of x at indices.

    Negative indices are understood when they are given as numbers; an index out of range is an error of the run.
    """
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = shaping.reshape(tensor, (-1,)), 0
    place = normal_axis(axis, len(tensor.dims))
    length = tensor.dims[place]
    if isinstance(indices, (int, list, tuple, np.ndarray, np.generic)) and not has_traced(indices):
        fixed = np.asarray(indices)
        if isinstance(length, int) and fixed.size and fixed.min() < 0:
            indices = np.where(fixed < 0, fixed + length, fixed)
    ids = as_tensor(indices)
    if is_float_dtype(ids.dtype) or ids.dtype == "bool":
        ids = cast_to(ids, "int32")
    if place == 0:
        return emit("gather", tensor, ids)
    rows = emit("gather", shaping.moveaxis(tensor, place, 0), ids)
    count = len(ids.dims)
    return shaping.moveaxis(rows, list(range(count)), list(range(place, place + count)))


def has_traced(x: Any) -> bool:
    """Whether a tensor is among nested lists."""
    if isinstance(x, (list, tuple)):
        return any(has_traced(item) for item in x)
    return isinstance(x, (TracedTensor, SymbolicTensor, Variable, Dim))


@operation
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Along one axis, the element at the index at the same place of the other axes (through a one-hot product)."""
    tensor, ids = as_tensor(x), as_tensor(indices)
    if axis is None:
        tensor, ids, axis = shaping.reshape(tensor, (-1,)), shaping.reshape(ids, (-1,)), 0
    place = normal_axis(axis, len(tensor.dims))
    length = tensor.dims[place]
    if isinstance(length, Dim):
        raise ShapeError(
            "take_along_axis needs a known size of the axis", where=str(active().location()), got=str(tensor.shape)
        )
    last, picks = shaping.moveaxis(tensor, place, -1), shaping.moveaxis(ids, place, -1)
    chosen = emit("one_hot", picks, depth=length, dtype="bool")
    found = reduction.sum(math.where(chosen, shaping.expand_dims(last, -2), 0), axis=-1)
    return shaping.moveaxis(found, -1, place)


@operation
def get_item(x: Any, key: Any) -> Any:
    """x[key] with integers, slices (any step), None, `...` and one integer tensor."""
    tensor = as_tensor(x)
    keys = list(key) if isinstance(key, tuple) else [key]
    given = sum(1 for k in keys if k is not None and k is not Ellipsis)
    rank = len(tensor.dims)
    if sum(1 for k in keys if k is Ellipsis) > 1:
        raise InvalidArgumentError("an index can only have a single ellipsis ('...')", where=str(active().location()))
    if given > rank:
        raise IndexRangeError(f"too many indices: {given} for a tensor of shape {tensor.shape}")
    if Ellipsis in [k if k is Ellipsis else None for k in keys]:
        place = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys[place : place + 1] = [slice(None)] * (rank - given)
    else:
        keys += [slice(None)] * (rank - given)
    axis = 0
    final: list[DimLike] = []
    gathers: list[tuple[int, Any]] = []
    reshaped = False
    for k in keys:
        if k is None:
            final.append(1)
            reshaped = True
            continue
        if isinstance(k, slice):
            tensor = _slice(tensor, axis, k)
            final.append(tensor.dims[axis])
        elif isinstance(k, (int, np.integer, Dim)) and not isinstance(k, bool):
            tensor = _one(tensor, axis, k)
            reshaped = True
        else:
            gathers.append((len(final), k))
            final.append(tensor.dims[axis])
        axis += 1
    if reshaped:
        tensor = emit("reshape", tensor, shape=tuple(final))
    if len(gathers) > 1:
        raise UnsupportedError(
            "indexing with several tensors is not supported", fix="use ops.take along one axis at a time"
        )
    for place, ids in gathers:
        if shaping.dtype(ids) == "bool":
            raise UnsupportedError(
                "indexing with a boolean mask has a result of unknown shape", fix="use ops.where(mask, x, 0)"
            )
        tensor = take(tensor, ids, axis=place)
    return tensor


def _one(tensor: TracedTensor, axis: int, index: Any) -> TracedTensor:
    length = tensor.dims[axis]
    start: DimLike = index if isinstance(index, Dim) else int(index)
    if isinstance(start, int):
        if isinstance(length, int) and not -length <= start < length:
            raise IndexRangeError(f"index {start} is out of bounds for axis {axis} with size {length}")
        if start < 0:
            start = length + start
    return shaping.cut(tensor, axis, start, start + 1)


def _slice(tensor: TracedTensor, axis: int, key: slice) -> TracedTensor:
    length = tensor.dims[axis]
    if any(isinstance(part, (TracedTensor, SymbolicTensor)) for part in (key.start, key.stop, key.step)):
        raise UnsupportedError("a slice needs numbers or sizes as bounds, not tensors: the shape would not be known")
    step = 1 if key.step is None else int(key.step)
    if isinstance(length, int) and not isinstance(key.start, Dim) and not isinstance(key.stop, Dim):
        start, stop, step = key.indices(length)
        if step > 0:
            return shaping.cut(tensor, axis, start, max(start, stop), step)
        count = len(range(start, stop, step))
        if count == 0:
            return shaping.cut(tensor, axis, 0, 0)
        low = start + (count - 1) * step
        return _reversed(shaping.cut(tensor, axis, low, start + 1, -step), axis)
    if step < 0:
        if key.start is not None or key.stop is not None or step != -1:
            raise UnsupportedError("a backward slice of an axis of unknown size takes all of it: x[::-1]")
        return _reversed(tensor, axis)
    # The size is not known: bounds are taken at their word, they cannot be clamped.
    return shaping.cut(tensor, axis, _bound(key.start, 0, length), _bound(key.stop, length, length), step)


def _bound(given: Any, default: DimLike, length: DimLike) -> DimLike:
    if given is None:
        return default
    if isinstance(given, Dim):
        return given
    number = int(given)
    return length + number if number < 0 else number


def _reversed(tensor: TracedTensor, axis: int) -> TracedTensor:
    result: TracedTensor = emit("reverse", tensor, axes=(axis,))
    return result
