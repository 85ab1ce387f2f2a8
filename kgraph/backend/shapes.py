"""Functions that move, repeat, join or cut tensors."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.dispatch import operation
from kgraph.core.session import image_data_format
from kgraph.errors import InvalidArgumentError

__all__ = [
    "batch_flatten",
    "expand_dims",
    "flatten",
    "gather",
    "one_hot",
    "permute_dimensions",
    "repeat",
    "repeat_elements",
    "resize_images",
    "resize_volumes",
    "reverse",
    "slice",
    "spatial_2d_padding",
    "squeeze",
    "temporal_padding",
    "transpose",
]


def transpose(x: Any) -> Any:
    """Axes in reverse order."""
    return ops.transpose(x)


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """Axes in another order."""
    return ops.transpose(x, pattern)


def flatten(x: Any) -> Any:
    """All elements along one axis."""
    return ops.reshape(x, (-1,))


@operation
def batch_flatten(x: Any) -> Any:
    """All but the first axis made one."""
    tensor = ops.convert_to_tensor(x)
    return ops.reshape(tensor, (tensor.dims[0], -1))


def expand_dims(x: Any, axis: int = -1) -> Any:
    """A new axis of size 1."""
    return ops.expand_dims(x, axis)


def squeeze(x: Any, axis: int) -> Any:
    """An axis of size 1 dropped."""
    return ops.squeeze(x, axis)


def one_hot(indices: Any, num_classes: int) -> Any:
    """1 at the place of the index, else 0."""
    return ops.one_hot(indices, num_classes)


def gather(reference: Any, indices: Any) -> Any:
    """Rows at indices."""
    return ops.take(reference, indices, axis=0)


def repeat(x: Any, n: int) -> Any:
    """(batch, size) -> (batch, n, size)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element repeated along an axis."""
    return ops.repeat(x, rep, axis=axis)


def reverse(x: Any, axes: Any) -> Any:
    """Elements in opposite order along axes."""
    return ops.flip(x, axes)


def temporal_padding(x: Any, padding: tuple[int, int] = (1, 1)) -> Any:
    """Zeros before and after axis 1 of 3."""
    return ops.pad(x, [(0, 0), tuple(padding), (0, 0)])


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Any:
    """Zeros around images."""
    rows, columns = (tuple(pair) for pair in padding)
    first = (data_format or image_data_format()) == "channels_first"
    return ops.pad(x, [(0, 0), (0, 0), rows, columns] if first else [(0, 0), rows, columns, (0, 0)])


@operation
def slice(x: Any, start: Any, size: Any) -> Any:
    """`size` elements from `start` on, along each axis; -1 takes the rest."""
    tensor = ops.convert_to_tensor(x)
    begins = [int(item) for item in np.asarray(start).reshape(-1)]
    counts = [int(item) for item in np.asarray(size).reshape(-1)]
    if len(begins) != len(tensor.dims) or len(counts) != len(tensor.dims):
        raise InvalidArgumentError(
            "K.slice needs a start and a size for each axis",
            got=f"start={begins}, size={counts} for a tensor of shape {tensor.shape}",
        )
    limits = [None if count == -1 else begin + count for begin, count in zip(begins, counts)]
    return tensor[tuple(builtins.slice(begin, limit) for begin, limit in zip(begins, limits))]


@operation
def _enlarged(x: Any, factors: Sequence[int], data_format: str, interpolation: str) -> Any:
    tensor = ops.convert_to_tensor(x)
    if data_format not in ("channels_first", "channels_last"):
        raise InvalidArgumentError(f"unknown data_format {data_format!r}", needed="'channels_first' or 'channels_last'")
    first = 2 if data_format == "channels_first" else 1
    if interpolation != "nearest":
        height, width = (tensor.dims[first + i] * factor for i, factor in enumerate(factors))
        return ops.resize(tensor, (height, width), interpolation, data_format=data_format)
    for axis, factor in enumerate(factors, start=first):
        tensor = ops.repeat(tensor, int(factor), axis=axis)
    return tensor


def resize_images(
    x: Any, height_factor: int, width_factor: int, data_format: str = "channels_last", interpolation: str = "nearest"
) -> Any:
    """Images made larger by whole factors.

    Args:
        x: [N, H, W, C] or [N, C, H, W].
        height_factor, width_factor: whole numbers.
        data_format: `"channels_last"` or `"channels_first"`.
        interpolation: "nearest", or another one of `ops.image.resize` (for a known height and width).

    Raises:
        InvalidArgumentError: an unknown data format or interpolation.
    """
    return _enlarged(x, (height_factor, width_factor), data_format, interpolation)


def resize_volumes(
    x: Any, depth_factor: int, height_factor: int, width_factor: int, data_format: str = "channels_last"
) -> Any:
    """Volumes [N, D, H, W, C] or [N, C, D, H, W] made larger by whole factors, by repeating cells."""
    return _enlarged(x, (depth_factor, height_factor, width_factor), data_format, "nearest")
