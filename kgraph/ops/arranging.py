"""Joining, cutting, turning and rearranging tensors, and their diagonals: made of the operations of `shaping`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim, DimLike, shape_volume
from kgraph.ops import math, reduction, shaping, taking
from kgraph.ops.convert import active, as_tensor, normal_axis

__all__ = [
    "append",
    "array_split",
    "diag",
    "diagflat",
    "diagonal",
    "dsplit",
    "dstack",
    "fliplr",
    "flipud",
    "hsplit",
    "hstack",
    "rearrange",
    "rot90",
    "trace",
    "vsplit",
    "vstack",
]


def known_size(what: str, x: TracedTensor, axis: int) -> int:
    """The size of an axis, when it is a number.

    Raises:
        ShapeError: it is not known while the model is made.
    """
    size = x.dims[axis]
    if isinstance(size, Dim):
        raise ShapeError(
            f"{what} needs a known size of axis {axis}",
            where=str(active().location()),
            got=str(x.shape),
            fix="give the size in Input(shape=...)",
        )
    return size


def _at_least(what: str, x: TracedTensor, rank: int) -> TracedTensor:
    if len(x.dims) < rank:
        raise ShapeError(
            f"{what} needs a tensor of rank {rank} or more", where=str(active().location()), got=str(x.shape)
        )
    return x


# -- joining --------------------------------------------------------------------------------------------------------
@operation
def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """x2 behind x1 along an axis, or both flattened."""
    if axis is None:
        return shaping.concatenate([shaping.reshape(x, (-1,)) for x in (x1, x2)], axis=0)
    return shaping.concatenate([x1, x2], axis=axis)


def _raised(x: Any, rank: int) -> TracedTensor:
    """New axes of size 1 in front, up to a rank."""
    tensor = as_tensor(x)
    result: TracedTensor = shaping.reshape(tensor, (*(1,) * max(0, rank - len(tensor.dims)), *tensor.dims))
    return result


@operation
def vstack(xs: Sequence[Any]) -> Any:
    """Tensors below each other: joined along axis 0, vectors as rows."""
    return shaping.concatenate([_raised(x, 2) for x in xs], axis=0)


@operation
def hstack(xs: Sequence[Any]) -> Any:
    """Tensors beside each other: joined along axis 1, vectors end to end."""
    tensors = [_raised(x, 1) for x in xs]
    return shaping.concatenate(tensors, axis=0 if len(tensors[0].dims) == 1 else 1)


@operation
def dstack(xs: Sequence[Any]) -> Any:
    """Tensors behind each other: joined along axis 2, matrices as [M, N, 1], vectors as [1, N, 1]."""
    tensors = [_raised(x, 2) for x in xs]
    return shaping.concatenate([shaping.expand_dims(x, 2) if len(x.dims) == 2 else x for x in tensors], axis=2)


# -- cutting --------------------------------------------------------------------------------------------------------
@operation
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """A list of pieces along an axis, as `split`; a number of pieces need not divide the size.

    Raises:
        ShapeError: the size of the axis is not known.
        InvalidArgumentError: less than one piece.
    """
    tensor = as_tensor(x)
    if not isinstance(indices_or_sections, (int, np.integer)):
        return shaping.split(tensor, indices_or_sections, axis=axis)
    count = int(indices_or_sections)
    if count < 1:
        raise InvalidArgumentError("array_split needs at least one piece", got=str(count))
    place = normal_axis(axis, len(tensor.dims))
    size, more = divmod(known_size("array_split", tensor, place), count)
    cuts = [i * size + min(i, more) for i in range(1, count)]
    return shaping.split(tensor, cuts, axis=place)


@operation
def vsplit(x: Any, indices_or_sections: Any) -> Any:
    """Pieces along axis 0, as `split`."""
    return shaping.split(_at_least("vsplit", as_tensor(x), 2), indices_or_sections, axis=0)


@operation
def hsplit(x: Any, indices_or_sections: Any) -> Any:
    """Pieces along axis 1 (of a vector: along its only axis), as `split`."""
    tensor = _at_least("hsplit", as_tensor(x), 1)
    return shaping.split(tensor, indices_or_sections, axis=0 if len(tensor.dims) == 1 else 1)


@operation
def dsplit(x: Any, indices_or_sections: Any) -> Any:
    """Pieces along axis 2, as `split`."""
    return shaping.split(_at_least("dsplit", as_tensor(x), 3), indices_or_sections, axis=2)


# -- turning --------------------------------------------------------------------------------------------------------
@operation
def flipud(x: Any) -> Any:
    """Opposite order along axis 0."""
    return shaping.flip(_at_least("flipud", as_tensor(x), 1), 0)


@operation
def fliplr(x: Any) -> Any:
    """Opposite order along axis 1."""
    return shaping.flip(_at_least("fliplr", as_tensor(x), 2), 1)


@operation
def rot90(array: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """Turned by k times 90 degrees in the plane of two axes, from the first towards the second.

    Raises:
        ShapeError: a rank below 2.
        InvalidArgumentError: not two different axes.
    """
    tensor = _at_least("rot90", as_tensor(array), 2)
    places = [normal_axis(axis, len(tensor.dims)) for axis in axes]
    if len(places) != 2 or places[0] == places[1]:
        raise InvalidArgumentError("rot90 needs two different axes", got=f"axes={tuple(axes)}")
    first, second = places
    turns = int(k) % 4
    if turns == 0:
        return tensor
    if turns == 2:
        return shaping.flip(tensor, (first, second))
    swapped = shaping.swapaxes(tensor, first, second)
    return shaping.flip(swapped, first if turns == 1 else second)


# -- diagonals ------------------------------------------------------------------------------------------------------
@operation
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements whose index on axis2 is that on axis1 plus `offset`, along a new last axis.

    Raises:
        ShapeError: a size of the two axes is not known.
        InvalidArgumentError: the two axes are one.
    """
    tensor = _at_least("diagonal", as_tensor(x), 2)
    rank = len(tensor.dims)
    first, second = normal_axis(axis1, rank), normal_axis(axis2, rank)
    if first == second:
        raise InvalidArgumentError("diagonal needs two different axes", got=f"axis1={axis1}, axis2={axis2}")
    rows, columns = known_size("diagonal", tensor, first), known_size("diagonal", tensor, second)
    row, column = max(0, -offset), max(0, offset)
    count = max(0, min(rows - row, columns - column))
    last = shaping.moveaxis(tensor, (first, second), (rank - 2, rank - 1))
    # In a flattened matrix the diagonal is every (columns + 1)-th element: a slice with a stride, no gather.
    flat = shaping.reshape(last, (*last.dims[:-2], rows * columns))
    start = row * columns + column
    stop = start + (count - 1) * (columns + 1) + 1 if count else start
    return taking.get_item(flat, (..., slice(start, stop, columns + 1)) if count else (..., slice(0, 0)))


@operation
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Sum of a diagonal; arguments as those of `diagonal`."""
    return reduction.sum(diagonal(x, offset, axis1, axis2), axis=-1)


@operation
def diag(x: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or the matrix with a vector on its k-th diagonal and zeros elsewhere.

    Raises:
        ShapeError: neither vector nor matrix, or a size is not known.
    """
    tensor = as_tensor(x)
    if len(tensor.dims) == 2:
        return diagonal(tensor, k)
    if len(tensor.dims) != 1:
        raise ShapeError("diag needs a vector or a matrix", where=str(active().location()), got=str(tensor.shape))
    size = known_size("diag", tensor, 0) + abs(k)
    wide = shaping.pad(tensor, [(max(k, 0), max(-k, 0))])
    place = as_tensor(np.eye(size, size, k, dtype=bool))
    return math.where(place, wide if k >= 0 else shaping.expand_dims(shaping.roll(wide, -k, 0), -1), 0)


@operation
def diagflat(x: Any, k: int = 0) -> Any:
    """The matrix with all elements of x on its k-th diagonal."""
    return diag(shaping.reshape(x, (-1,)), k)


# -- patterns -------------------------------------------------------------------------------------------------------
def _groups(side: str, pattern: str) -> list[list[str]]:
    """Axes of one side of a pattern; those in parentheses form one group."""
    found = re.findall(r"\(([^()]*)\)|(\.\.\.|\w+)", side)
    groups = [inner.split() if not single else [single] for inner, single in found]
    names = [name for group in groups for name in group if name != "1"]
    if len(set(names)) != len(names) or re.sub(r"\([^()]*\)|\.\.\.|\w+|\s", "", side):
        raise InvalidArgumentError(
            f"rearrange cannot read the pattern {pattern!r}",
            needed="names once each, e.g. 'b (h h1) w c -> b h w (c h1)'",
        )
    return groups


def _spread(groups: list[list[str]], count: int) -> list[list[str]]:
    """`...` written out as that many axes."""
    names = [[f"...{i}"] for i in range(count)]
    return [group for one in groups for group in (names if one == ["..."] else [one])]


@operation
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Axes moved, split and merged as a pattern says, in the notation of einops.

    Args:
        tensor: tensor.
        pattern: e.g. `"b (h h1) w c -> b h w (c h1)"`: names on both sides, groups in parentheses are one axis; `...`
            stands for any axes, `1` for one of size 1.
        axes_lengths: sizes of axes in groups on the left; one of each group may be left out.

    Raises:
        InvalidArgumentError: the pattern cannot be read, or leaves a size open.
        ShapeError: it does not fit the tensor.
    """
    x = as_tensor(tensor)
    left, arrow, right = pattern.partition("->")
    given, wanted = _groups(left, pattern), _groups(right, pattern)
    dots = ["..."] in given
    free = len(x.dims) - len(given) + 1 if dots else 0
    given, wanted = _spread(given, free), _spread(wanted, free)
    inside, outside = ([n for group in side for n in group if n != "1"] for side in (given, wanted))
    if not arrow or sorted(inside) != sorted(outside):
        raise InvalidArgumentError(
            f"rearrange: the sides of {pattern!r} name different axes", got=f"{sorted(inside)} and {sorted(outside)}"
        )
    if len(given) != len(x.dims) or free < 0:
        raise ShapeError(f"rearrange: {pattern!r} does not fit a tensor of rank {len(x.dims)}", got=str(x.shape))
    sizes = _sizes(given, x, axes_lengths, pattern)
    split = shaping.reshape(x, tuple(sizes[name] for name in inside))
    moved = shaping.transpose(split, [inside.index(name) for name in outside])
    return shaping.reshape(
        moved, tuple(shape_volume(tuple(sizes[name] for name in group if name != "1")) for group in wanted)
    )


def _sizes(groups: list[list[str]], x: TracedTensor, lengths: dict[str, int], pattern: str) -> dict[str, DimLike]:
    sizes: dict[str, DimLike] = {name: int(size) for name, size in lengths.items()}
    for group, size in zip(groups, x.dims):
        open_names = [name for name in group if name != "1" and name not in sizes]
        if len(open_names) > 1:
            raise InvalidArgumentError(
                f"rearrange: {pattern!r} leaves the sizes of {' and '.join(open_names)} open",
                fix=f"give one, e.g. {open_names[0]}=2",
            )
        known = shape_volume(tuple(sizes[name] for name in group if name in sizes))
        if open_names:
            sizes[open_names[0]] = size // known
            known = known * sizes[open_names[0]]
        if known != size:
            raise ShapeError(
                f"rearrange: ({' '.join(group)}) of {pattern!r} does not fit an axis of size {size}", got=str(x.shape)
            )
    return sizes
