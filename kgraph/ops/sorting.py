"""Sorting and searching.  The order is NumPy's: equal elements keep theirs, NaN is greater than any number."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim
from kgraph.ops import making, math, reduction, shaping, taking
from kgraph.ops.convert import active, as_tensor, cast_to, emit, normal_axis
from kgraph.ops.operands import as_number, concrete, gather_last, tensors

__all__ = [
    "argpartition",
    "argsort",
    "digitize",
    "in_top_k",
    "isin",
    "nonzero",
    "searchsorted",
    "sort",
    "top_k",
    "unique",
]


def _order(x: Any, axis: int | None) -> tuple[TracedTensor, TracedTensor, int]:
    """The tensor with the axis at the end, the order of its elements, and where the axis was."""
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = shaping.reshape(tensor, (-1,)), 0
    place = normal_axis(axis, len(tensor.dims))
    last = shaping.moveaxis(tensor, place, -1)
    return last, emit("argsort", as_number(last)), place


@operation
def argsort(x: Any, axis: int | None = -1) -> Any:
    """Positions (int32) of the elements along an axis, or in the flattened tensor, in the order of their values."""
    _, order, place = _order(x, axis)
    return shaping.moveaxis(order, -1, place)


@operation
def sort(x: Any, axis: int | None = -1) -> Any:
    """Elements along an axis, or of the flattened tensor, in the order of their values."""
    last, order, place = _order(x, axis)
    return shaping.moveaxis(gather_last(last, order), -1, place)


@operation
def argpartition(x: Any, kth: int, axis: int | None = -1) -> Any:
    """Positions (int32) along an axis such that no element before the `kth` is greater and none after it is less.

    All of them are sorted here, which is one such arrangement; another library's may differ beside the `kth`.
    """
    order = argsort(x, axis)
    normal_axis(kth, int(order.dims[normal_axis(-1 if axis is None else axis, len(order.dims))]), "kth")
    return order


@operation
def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """The `k` greatest elements along the last axis, greatest first, and their positions (int32)."""
    tensor = as_tensor(x)
    length = tensor.dims[-1] if tensor.dims else 0
    if isinstance(length, int) and not 0 <= int(k) <= length:
        raise InvalidArgumentError(
            f"top_k cannot take {k} elements of an axis of size {length}", where=str(active().location())
        )
    order = emit("argsort", as_number(tensor), descending=True)
    best = taking.get_item(order, (Ellipsis, slice(0, int(k))))
    return [gather_last(tensor, best), best]


@operation
def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether the score of the target class is among the `k` greatest; ties count as among them.

    Args:
        targets: i32[B].
        predictions: f32[B, classes].
        k: how many.

    Returns:
        bool[B].
    """
    ids, scores = as_tensor(targets), as_tensor(predictions)
    own = gather_last(scores, shaping.expand_dims(cast_to(ids, "int32"), -1))
    if is_float_dtype(scores.dtype):
        own = math.where(math.isnan(own), float("-inf"), own)
    better = reduction.sum(cast_to(math.greater(scores, own), "int32"), axis=-1)
    return math.less(better, int(k))


@operation
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """Where (int32) each value would be put into a sorted sequence so that it stays sorted.

    Args:
        sorted_sequence: [N].
        values: any shape.
        side: `"left"`: before equal elements; `"right"`: after them.
    """
    if side not in ("left", "right"):
        raise InvalidArgumentError(f"searchsorted has no side {side!r}", needed="'left' or 'right'")
    sequence, wanted = tensors(sorted_sequence, values)
    if len(sequence.dims) != 1:
        raise ShapeError(
            "searchsorted needs a sequence of rank 1", where=str(active().location()), got=str(sequence.shape)
        )
    count = sequence.dims[0]
    sequence, wanted = as_number(sequence), as_number(wanted)
    if isinstance(count, Dim):
        passed = _passes(sequence, shaping.expand_dims(wanted, -1), side)
        return reduction.sum(cast_to(passed, "int32"), axis=-1)
    place = making.zeros(wanted.dims, "int32")
    step = 1 << count.bit_length()
    while step > 1 and count:
        step //= 2
        # Steps of halving size, each taken when the element it would jump over stands before the value.
        further = emit("add", place, step)
        item = emit("gather", sequence, emit("sub", emit("minimum", further, count), 1))
        jumps = emit("logical_and", emit("le", further, count), _passes(item, wanted, side))
        place = emit("select", jumps, further, place)
    return place


def _passes(item: TracedTensor, value: TracedTensor, side: str) -> Any:
    """Whether an element of the sequence stands before the place of the value."""
    passed = emit("lt" if side == "left" else "le", item, value)
    if not is_float_dtype(value.dtype):
        return passed
    beside = math.isnan(value)
    if side == "left":
        beside = math.logical_and(beside, math.logical_not(math.isnan(item)))
    return math.logical_or(passed, beside)


@operation
def digitize(x: Any, bins: Any) -> Any:
    """The number (int32) of the bin of each element: i where bins[i - 1] <= x < bins[i], for increasing bins."""
    return searchsorted(bins, x, side="right")


@operation
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element of x1 is one of those of x2 (or, with `invert`, is none)."""
    left, right = tensors(x1, x2)
    hits = math.equal(shaping.expand_dims(left, -1), shaping.reshape(right, (-1,)))
    found = reduction.any(hits, axis=-1)
    return math.logical_not(found) if invert else found


# -- on arrays only --------------------------------------------------------------------------------------------------
def nonzero(x: Any) -> Any:
    """Positions of the elements that are not 0: one array (int32) for each axis.  On arrays only.

    Raises:
        UnsupportedError: in a model or a trace.
    """
    return concrete("nonzero", np.nonzero, x, fix="use ops.where(condition, a, b), which keeps the shape")


def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements (or slices along an axis), sorted; on arrays only.

    Args:
        x: array.
        sorted: they are sorted in any case.
        return_index: also where each occurs first.
        return_inverse: also which of them each element is.
        return_counts: also how often each occurs.
        axis: compare slices along it; None: elements of the flattened array.
        size: cut to, or filled up to, this many.
        fill_value: with what (None: the least).

    Raises:
        UnsupportedError: in a model or a trace.
    """

    def compute(array: Any) -> Any:
        found = np.unique(
            np.asarray(array),
            return_index=True,
            return_inverse=True,
            return_counts=True,
            axis=axis,
            equal_nan=False,
        )
        parts = list(found)
        if size is not None:
            parts = _resized(parts, axis or 0, int(size), fill_value)
        wanted = (True, return_index, return_inverse, return_counts)
        chosen = tuple(part for part, want in zip(parts, wanted, strict=True) if want)
        return chosen if len(chosen) > 1 else chosen[0]

    return concrete("unique", compute, x, fix="sort with ops.sort and compare neighbours, or use ops.one_hot to count")


def _resized(parts: list[Any], axis: int, size: int, fill_value: Any) -> list[Any]:
    """The different elements and their counts cut or filled to `size`, the first places likewise."""
    values, index, inverse, counts = parts
    missing = size - values.shape[axis]
    if missing <= 0:
        keep = np.arange(size)
        return [np.take(values, keep, axis), index[:size], inverse, counts[:size]]
    filler = np.take(values, [0], axis) if fill_value is None else np.full_like(np.take(values, [0], axis), fill_value)
    first = np.full(missing, index[0] if len(index) else 0, index.dtype)
    return [
        np.concatenate([values, np.repeat(filler, missing, axis)], axis),
        np.concatenate([index, first]),
        inverse,
        np.concatenate([counts, np.zeros(missing, counts.dtype)]),
    ]
