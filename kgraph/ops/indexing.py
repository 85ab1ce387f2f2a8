"""Reading and writing parts of tensors: slices whose start is a tensor, and scattered elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim, DimLike, shape_volume
from kgraph.ops import making, math, reduction, segments, shaping, taking
from kgraph.ops.convert import active, as_tensor, cast_to, emit, shape_argument

__all__ = ["scatter", "scatter_update", "select", "slice", "slice_update"]

_python_slice = slice


def _starts(start_indices: Any, rank: int, what: str) -> list[Any]:
    """One start for each axis: numbers, sizes, or scalar tensors.

    Raises:
        ShapeError: another count.
    """
    if isinstance(start_indices, (TracedTensor, Variable)):
        starts = list(shaping.unstack(as_tensor(start_indices), axis=0))
    else:
        items = [start_indices] if isinstance(start_indices, (int, np.integer, Dim)) else list(start_indices)
        starts = [x if isinstance(x, (Dim, TracedTensor, Variable, SymbolicTensor)) else int(x) for x in items]
    if len(starts) != rank:
        raise ShapeError(
            f"{what} needs a start for each of the {rank} axes", where=str(active().location()), got=f"{len(starts)}"
        )
    return starts


@operation
def slice(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """A part of the given shape, from `start_indices` on.

    Args:
        inputs: tensor.
        start_indices: one for each axis, as numbers or as a tensor of integers; a tensor is moved so that the part
            lies inside.
        shape: sizes of the part; -1 takes the rest of an axis (for a start that is a number).

    Raises:
        ShapeError: not one start and one size for each axis.
    """
    x = as_tensor(inputs)
    starts = _starts(start_indices, len(x.dims), "slice")
    wanted = list(shape)
    if len(wanted) != len(x.dims):
        raise ShapeError(f"slice needs a size for each of the {len(x.dims)} axes", got=str(tuple(wanted)))
    for axis, (start, size) in enumerate(zip(starts, wanted)):
        length = x.dims[axis]
        lead = (_python_slice(None),) * axis
        if isinstance(start, (int, Dim)):
            count: DimLike = length - start if not isinstance(size, Dim) and int(size) == -1 else size
            if isinstance(length, int) and isinstance(start, int) and isinstance(count, int):
                start = max(0, min(start, length - count))
            x = taking.get_item(x, (*lead, _python_slice(start, start + count)))
        else:
            first = math.clip(cast_to(as_tensor(start), "int32"), 0, length - size)
            x = taking.take(x, math.add(first, making.arange(size)), axis=axis)
    return x


@operation
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """`inputs` with `updates` in place of its part from `start_indices` on.

    Args:
        inputs: tensor.
        start_indices: one for each axis, as numbers or as a tensor of integers; moved so that the part lies inside.
        updates: tensor of the rank of inputs, no larger on any axis.

    Raises:
        ShapeError: ranks or sizes do not fit.
    """
    x = as_tensor(inputs)
    new = as_tensor(updates, x.dtype)
    starts = _starts(start_indices, len(x.dims), "slice_update")
    too_large = any(
        isinstance(part, int) and isinstance(whole, int) and part > whole for part, whole in zip(new.dims, x.dims)
    )
    if len(new.dims) != len(x.dims) or too_large:
        raise ShapeError(
            "slice_update: the updates do not fit into the tensor",
            where=str(active().location()),
            got=f"updates {new.shape} for inputs {x.shape}",
        )
    inside: Any = None
    for axis, start in enumerate(starts):
        length, count = x.dims[axis], new.dims[axis]
        if count == length:
            continue
        first = math.clip(cast_to(as_tensor(start), "int32"), 0, length - count)
        place = math.subtract(making.arange(length), first)
        within = math.logical_and(math.greater_equal(place, 0), math.less(place, count))
        new = taking.take(new, math.clip(place, 0, count - 1), axis=axis)
        along = shaping.reshape(within, tuple(length if i == axis else 1 for i in range(len(x.dims))))
        inside = along if inside is None else math.logical_and(inside, along)
    return new if inside is None else math.where(inside, new, x)


# -- scattered elements ---------------------------------------------------------------------------------------------
def _rows(indices: Any, sizes: Sequence[DimLike], what: str) -> tuple[TracedTensor, int]:
    """Numbers i32[M] of the rows that index tuples [*I, K] name in a table of the first K axes, and K."""
    ids = as_tensor(indices)
    count = ids.dims[-1] if ids.dims else 0
    if not isinstance(count, int) or not 1 <= count <= len(sizes):
        raise ShapeError(
            f"{what}: the last axis of the indices holds one index for each of the first axes",
            where=str(active().location()),
            got=str(ids.shape),
            needed=f"1 to {len(sizes)} of them",
        )
    row: Any = 0
    for axis in range(count):
        index = cast_to(taking.get_item(ids, (..., axis)), "int32")
        index = math.where(math.less(index, 0), math.add(index, sizes[axis]), index)
        row = math.add(math.multiply(row, sizes[axis]), index)
    return shaping.reshape(row, (-1,)), count


@operation
def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """A tensor of zeros with values added at indices; several values at one place are summed.

    Args:
        indices: i32[*I, K], tuples of indices along the first K axes; negative ones count from the end.
        values: [*I, *shape[K:]].
        shape: of the result.

    Raises:
        ShapeError: indices or values do not fit the shape.
        DataError: of the run: an index is out of range.
    """
    sizes = shape_argument(shape)
    rows, count = _rows(indices, sizes, "scatter")
    return _scattered(rows, as_tensor(values), sizes, count)


def _scattered(rows: TracedTensor, values: TracedTensor, sizes: Sequence[DimLike], count: int) -> Any:
    rest = tuple(sizes[count:])
    updates = shaping.reshape(values, (rows.dims[0], *rest))
    table = emit("scatter_add", rows, updates, rows=shape_volume(tuple(sizes[:count])))
    return shaping.reshape(table, tuple(sizes))


@operation
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """`inputs` with elements set, or combined with others, at indices.

    Args:
        inputs: tensor.
        indices: i32[M, K], tuples of indices along the first K axes; negative ones count from the end.
        updates: [M, *inputs.shape[K:]].
        reduction: None sets (of several updates at one place the last one counts), else "add", "max", "min" or "mul".

    Raises:
        ShapeError: indices or updates do not fit.
        InvalidArgumentError: another reduction.
        DataError: of the run: an index is out of range.
    """
    x = as_tensor(inputs)
    rows, count = _rows(indices, x.dims, "scatter_update")
    rest = x.dims[count:]
    new = as_tensor(updates, x.dtype)
    new = shaping.reshape(shaping.broadcast_to(new, (rows.dims[0], *rest)), (rows.dims[0], *rest))
    if reduction == "add":
        return math.add(x, _scattered(rows, new, x.dims, count))
    height = shape_volume(x.dims[:count])
    ones = making.ones((rows.dims[0],), "int32")
    met = math.greater(emit("scatter_add", rows, ones, rows=height), 0)
    met = shaping.reshape(met, (*x.dims[:count], *(1,) * len(rest)))
    if reduction is None:
        return math.where(met, _scattered(rows, _last_ones(rows, new), x.dims, count), x)
    combine = {"max": segments.segment_max, "min": segments.segment_min, "mul": segments.segment_prod}
    join = {"max": math.maximum, "min": math.minimum, "mul": math.multiply}
    if reduction not in combine:
        raise InvalidArgumentError(
            f"scatter_update has no reduction {reduction!r}", needed="None, add, max, min or mul"
        )
    folded = shaping.reshape(combine[reduction](new, rows, int(str(height))), x.dims)
    return math.where(met, join[reduction](x, folded), x)


def _last_ones(rows: TracedTensor, updates: TracedTensor) -> Any:
    """The updates, with zeros for those that a later one at the same place replaces (M by M comparisons)."""
    count = rows.dims[0]
    number = making.arange(count)
    same = math.equal(shaping.expand_dims(rows, 1), shaping.expand_dims(rows, 0))
    later = math.less(shaping.expand_dims(number, 1), shaping.expand_dims(number, 0))
    replaced = reduction.any(math.logical_and(same, later), axis=1)
    return math.where(shaping.reshape(replaced, (count, *(1,) * (len(updates.dims) - 1))), 0, updates)


@operation
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Element by element the choice of the first condition that holds, else the default.

    Raises:
        InvalidArgumentError: not one choice for each condition.
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise InvalidArgumentError(
            "select needs one choice for each condition", got=f"{len(condlist)} and {len(choicelist)}"
        )
    result = default
    for condition, choice in zip(reversed(list(condlist)), reversed(list(choicelist))):
        result = math.where(condition, choice, result)
    return result
