"""Operations that move, join or cut tensors, and what tells their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import ir_dtype, standardize_dtype
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.dims import Dim, DimLike, shape_volume
from kgraph.ir.graph import literal
from kgraph.ops.convert import (
    active,
    as_tensor,
    common,
    emit,
    must_equal,
    normal_axes,
    normal_axis,
    shape_argument,
)

__all__ = [
    "broadcast_to",
    "concatenate",
    "dtype",
    "expand_dims",
    "flip",
    "moveaxis",
    "ndim",
    "pad",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "shape",
    "size",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "transpose",
    "unstack",
]


def shape(x: Any) -> tuple[Any, ...]:
    """Sizes of `x`: integers, and symbolic sizes (which `reshape`, `zeros`, arithmetic and `cast` take) where not
    known.
    """
    if isinstance(x, (TracedTensor, SymbolicTensor)):
        return x.dims
    return tuple(x.shape) if isinstance(x, Variable) else np.shape(x)


def ndim(x: Any) -> int:
    """Number of axes."""
    return len(shape(x))


def size(x: Any) -> Any:
    """Number of elements: an integer, or a symbolic size."""
    return shape_volume(shape(x))


def dtype(x: Any) -> str:
    """Element type, e.g. `"float32"`."""
    return standardize_dtype(x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype)


# -- moving ---------------------------------------------------------------------------------------------------------
@operation
def reshape(x: Any, newshape: Any) -> Any:
    """The same elements in row-major order; one size may be -1 (or None)."""
    tensor = as_tensor(x)
    target = shape_argument(newshape, shape_volume(tensor.dims))
    if target == tensor.dims:
        return tensor
    if shape_volume(target) != shape_volume(tensor.dims):
        raise ShapeError(
            f"cannot reshape a tensor of shape {tensor.shape} into {tuple(newshape)}",
            where=str(active().location()),
            got=f"{shape_volume(tensor.dims)} elements for {shape_volume(target)} places",
        )
    return emit("reshape", tensor, shape=target)


@operation
def ravel(x: Any) -> Any:
    """All elements along one axis."""
    return reshape(x, (-1,))


@operation
def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Axes in another order (reversed by default)."""
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    perm = tuple(reversed(range(rank))) if axes is None else tuple(normal_axis(axis, rank) for axis in axes)
    if len(perm) != rank or len(set(perm)) != rank:
        raise ShapeError(
            f"transpose needs each of the {rank} axes once",
            where=str(active().location()),
            got=f"axes={tuple(axes or ())}",
        )
    return tensor if perm == tuple(range(rank)) else emit("transpose", tensor, perm=perm)


@operation
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    tensor = as_tensor(x)
    order = list(range(len(tensor.dims)))
    first, second = normal_axis(axis1, len(order)), normal_axis(axis2, len(order))
    order[first], order[second] = order[second], order[first]
    return transpose(tensor, order)


@operation
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other places, the rest in order."""
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    sources = [normal_axis(a, rank) for a in (source if isinstance(source, (tuple, list)) else [source])]
    places = [normal_axis(a, rank) for a in (destination if isinstance(destination, (tuple, list)) else [destination])]
    order = [axis for axis in range(rank) if axis not in sources]
    for place, axis in sorted(zip(places, sources)):
        order.insert(place, axis)
    return transpose(tensor, order)


@operation
def expand_dims(x: Any, axis: Any) -> Any:
    """New axes of size 1, placed by their position in the result."""
    tensor = as_tensor(x)
    axes = axis if isinstance(axis, (tuple, list)) else [axis]
    rank = len(tensor.dims) + len(axes)
    places = normal_axes(list(axes), rank)
    sizes = iter(tensor.dims)
    return emit("reshape", tensor, shape=tuple(1 if i in places else next(sizes) for i in range(rank)))


@operation
def squeeze(x: Any, axis: Any = None) -> Any:
    """Axes of size 1 dropped: the given ones, or all."""
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    axes = normal_axes(axis, rank) if axis is not None else tuple(i for i in range(rank) if tensor.dims[i] == 1)
    wrong = [i for i in axes if tensor.dims[i] != 1]
    if wrong:
        raise ShapeError(
            f"cannot squeeze axis {wrong[0]} of a tensor of shape {tensor.shape}: its size is not 1",
            where=str(active().location()),
        )
    return reshape(tensor, tuple(size for i, size in enumerate(tensor.dims) if i not in axes))


@operation
def broadcast_to(x: Any, shape: Any) -> Any:
    """`x` repeated along axes of size 1 and new leading axes."""
    tensor = as_tensor(x)
    target = shape_argument(shape)
    return tensor if tensor.dims == target else emit("broadcast_to", tensor, shape=target)


@operation
def flip(x: Any, axis: Any = None) -> Any:
    """Elements in opposite order along axes (all by default)."""
    tensor = as_tensor(x)
    return emit("reverse", tensor, axes=normal_axes(axis, len(tensor.dims)))


@operation
def roll(x: Any, shift: int, axis: int | None = None) -> Any:
    """Elements moved along an axis; those that fall off come back at the other end."""
    tensor = as_tensor(x)
    if axis is None:
        return reshape(roll(reshape(tensor, (-1,)), shift, 0), tensor.dims)
    place = normal_axis(axis, len(tensor.dims))
    length = tensor.dims[place]
    step: DimLike = int(shift) if isinstance(length, Dim) else int(shift) % length
    if isinstance(step, int) and step == 0:
        return tensor
    start: DimLike = length - step if not isinstance(step, int) or step > 0 else -step
    return concatenate([cut(tensor, place, start, length), cut(tensor, place, 0, start)], axis=place)


@operation
def tile(x: Any, repeats: Any) -> Any:
    """The whole tensor repeated along each axis."""
    tensor = as_tensor(x)
    counts = [repeats] if isinstance(repeats, (int, np.integer, Dim)) else list(repeats)
    rank = max(len(counts), len(tensor.dims))
    counts = [1] * (rank - len(counts)) + counts
    sizes = (1,) * (rank - len(tensor.dims)) + tensor.dims
    if all(count == 1 for count in counts):
        return reshape(tensor, sizes)
    split_shape = tuple(d for size in sizes for d in (1, size))
    repeated = tuple(d for count, size in zip(counts, sizes) for d in (count, size))
    wide = broadcast_to(reshape(tensor, split_shape), repeated)
    return reshape(wide, tuple(size * count for count, size in zip(counts, sizes)))


@operation
def repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    """Each element repeated, along an axis or of the flattened tensor."""
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = reshape(tensor, (-1,)), 0
    if not isinstance(repeats, (int, np.integer, Dim)):
        if len(repeats) != 1:
            raise UnsupportedError(
                "repeat with a count per element is not supported", fix="use ops.take with the indices"
            )
        repeats = repeats[0]
    place = normal_axis(axis, len(tensor.dims))
    dims = tensor.dims
    wide = broadcast_to(
        reshape(tensor, (*dims[: place + 1], 1, *dims[place + 1 :])), (*dims[: place + 1], repeats, *dims[place + 1 :])
    )
    return reshape(wide, (*dims[:place], dims[place] * repeats, *dims[place + 1 :]))


# -- joining and cutting --------------------------------------------------------------------------------------------
@operation
def concatenate(xs: Sequence[Any], axis: int = -1) -> Any:
    """Tensors joined along an axis."""
    tensors = [as_tensor(x) for x in common(*[as_tensor(x) for x in xs])]
    if not tensors:
        raise InvalidArgumentError("concatenate needs at least one tensor")
    rank = len(tensors[0].dims)
    for tensor in tensors:
        if len(tensor.dims) != rank:
            raise ShapeError(
                "concatenate needs tensors of one rank",
                where=str(active().location()),
                got=", ".join(str(t.shape) for t in tensors),
                needed="as many axes in each",
                fix="add the missing ones with ops.expand_dims or ops.reshape, or use ops.stack",
            )
    place = normal_axis(axis, rank)
    for other in range(rank):
        if other != place:
            must_equal([tensor.dims[other] for tensor in tensors])
    return tensors[0] if len(tensors) == 1 else emit("concat", *tensors, axis=place)


@operation
def stack(x: Sequence[Any], axis: int = 0) -> Any:
    """Tensors of one shape joined along a new axis."""
    tensors = [as_tensor(item) for item in x]
    place = normal_axis(axis, len(tensors[0].dims) + 1)
    return concatenate([expand_dims(tensor, place) for tensor in tensors], axis=place)


@operation
def unstack(x: Any, num: int | None = None, axis: int = 0) -> Any:
    """The slices along an axis, as a list."""
    tensor = as_tensor(x)
    place = normal_axis(axis, len(tensor.dims))
    count = tensor.dims[place]
    if isinstance(count, Dim):
        raise ShapeError(
            f"unstack needs a known size of axis {axis}", where=str(active().location()), got=str(tensor.shape)
        )
    return [squeeze(cut(tensor, place, i, i + 1), place) for i in range(count)]


@operation
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """A list of pieces along an axis: a number of equal ones, or cut before each index."""
    tensor = as_tensor(x)
    place = normal_axis(axis, len(tensor.dims))
    length = tensor.dims[place]
    if isinstance(indices_or_sections, (int, np.integer)):
        count = int(indices_or_sections)
        if isinstance(length, int) and length % count:
            raise ShapeError(
                f"split: axis {axis} of size {length} cannot be cut into {count} equal parts",
                where=str(active().location()),
            )
        sizes: list[DimLike] = [length // count] * count
    else:
        cuts: list[DimLike] = [0, *(i if isinstance(i, Dim) else int(i) for i in indices_or_sections), length]
        sizes = [b - a for a, b in pairwise(cuts)]
    if len(sizes) == 1:
        return [tensor]
    return list(emit("split", tensor, axis=place, sizes=tuple(sizes)))


@operation
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """Elements added before and after each axis.

    Args:
        x: tensor.
        pad_width: (before, after) for each axis, one pair for all, or one number.
        mode: `"constant"`, `"reflect"`, `"symmetric"` or `"edge"`.
        constant_values: what is added in mode `constant`, 0 by default.
    """
    tensor = as_tensor(x)
    rank = len(tensor.dims)
    if isinstance(pad_width, (int, np.integer)):
        pad_width = [(pad_width, pad_width)] * rank
    widths = [tuple(int(n) for n in (w if isinstance(w, (tuple, list, np.ndarray)) else (w, w))) for w in pad_width]
    if len(pad_width) == 2 and all(isinstance(w, (int, np.integer)) for w in pad_width):
        widths = [(int(pad_width[0]), int(pad_width[1]))] * rank
    if len(widths) == 1:
        widths = widths * rank
    if len(widths) != rank:
        raise ShapeError(
            f"pad needs a pair for each of the {rank} axes", where=str(active().location()), got=str(pad_width)
        )
    if mode == "constant":
        low, high = tuple(w[0] for w in widths), tuple(w[1] for w in widths)
        value = as_tensor(0 if constant_values is None else constant_values, tensor.dtype)
        if constant_values is None or isinstance(constant_values, (int, float)):
            return emit("pad", tensor, literal(constant_values or 0, ir_dtype(tensor.dtype)), low=low, high=high)
        return emit("pad", tensor, value, low=low, high=high)
    if mode not in ("reflect", "symmetric", "edge"):
        raise InvalidArgumentError(f"pad has no mode {mode!r}", needed="constant, reflect, symmetric or edge")
    for axis, (before, after) in enumerate(widths):
        tensor = _pad_mirrored(tensor, axis, before, after, mode)
    return tensor


def _pad_mirrored(tensor: TracedTensor, axis: int, before: int, after: int, mode: str) -> TracedTensor:
    length = tensor.dims[axis]
    skip = 1 if mode == "reflect" else 0
    parts = [tensor]
    if before:
        part = (
            repeat(cut(tensor, axis, 0, 1), before, axis)
            if mode == "edge"
            else flip(cut(tensor, axis, skip, before + skip), axis)
        )
        parts.insert(0, part)
    if after:
        last = (
            cut(tensor, axis, length - 1, length)
            if mode == "edge"
            else cut(tensor, axis, length - after - skip, length - skip)
        )
        parts.append(repeat(last, after, axis) if mode == "edge" else flip(last, axis))
    joined: TracedTensor = concatenate(parts, axis=axis)
    return joined


def cut(tensor: TracedTensor, axis: int, start: DimLike, limit: DimLike, step: int = 1) -> TracedTensor:
    """The part of an axis from `start` to before `limit`, every `step`-th."""
    dims = tensor.dims
    if start == 0 and limit == dims[axis] and step == 1:
        return tensor
    starts = tuple(start if i == axis else 0 for i in range(len(dims)))
    limits = tuple(limit if i == axis else dims[i] for i in range(len(dims)))
    strides = () if step == 1 else tuple(step if i == axis else 1 for i in range(len(dims)))
    result: TracedTensor = emit("slice", tensor, starts=starts, limits=limits, strides=strides)
    return result
