"""Parts of images: cropping and padding, patches, and cells moved between the channels and the plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import ir_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import literal
from kgraph.ops import nn, shaping, taking
from kgraph.ops.arranging import known_size
from kgraph.ops.convert import active, as_tensor, emit

__all__ = [
    "crop_images",
    "depth_to_space",
    "extract_patches",
    "extract_patches_3d",
    "fold",
    "pad_images",
    "space_to_depth",
    "unfold",
]


# -- margins --------------------------------------------------------------------------------------------------------
def _plane(what: str, images: Any, data_format: str | None) -> tuple[TracedTensor, int]:
    """The images, and the axis of their rows."""
    x = as_tensor(images)
    if len(x.dims) not in (3, 4):
        raise ShapeError(
            f"{what} needs one image or a batch of images", where=str(active().location()), got=str(x.shape)
        )
    return x, len(x.dims) - (2 if nn._channels_first(data_format) else 3)


def _margins(
    what: str, size: DimLike, before: int | None, after: int | None, target: int | None, grows: bool
) -> tuple[DimLike, DimLike]:
    """The two margins of an axis, of which the three arguments give two, in the unit of `size`.

    Raises:
        InvalidArgumentError: not two of the three, or a margin below 0.
    """
    if [before, after, target].count(None) != 1:
        raise InvalidArgumentError(
            f"{what} needs exactly two of the margins on both sides and the target size of each axis",
            got=f"before={before}, after={after}, target={target}",
        )
    total: DimLike | None = None
    if target is not None:
        total = target - size if grows else size - target
    low: DimLike = before if before is not None else _rest(total, after)
    high: DimLike = after if after is not None else _rest(total, before)
    if (isinstance(low, int) and low < 0) or (isinstance(high, int) and high < 0):
        raise InvalidArgumentError(f"{what}: a margin is below 0", got=f"{low} and {high} for a size of {size}")
    return low, high


def _rest(total: DimLike | None, taken: int | None) -> DimLike:
    assert total is not None and taken is not None
    return total - taken


@operation
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """Images without margins; of top, bottom and target height two are given, and so of left, right and width.

    Raises:
        InvalidArgumentError: too few or too many are given, or a margin is below 0.
        ShapeError: another rank than 3 or 4.
    """
    x, first = _plane("crop_images", images, data_format)
    keys: list[Any] = [slice(None)] * len(x.dims)
    given = ((top_cropping, bottom_cropping, target_height), (left_cropping, right_cropping, target_width))
    for axis, (before, after, target) in enumerate(given, start=first):
        low, high = _margins("crop_images", x.dims[axis], before, after, target, False)
        keys[axis] = slice(low, x.dims[axis] - high)
    return taking.get_item(x, tuple(keys))


@operation
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """Images with margins of zeros; of top, bottom and target height two are given, and so of left, right and width.

    Raises:
        InvalidArgumentError: too few or too many are given, or a margin is below 0.
        ShapeError: another rank than 3 or 4, or an unknown size with a target.
    """
    x, first = _plane("pad_images", images, data_format)
    widths = [(0, 0)] * len(x.dims)
    given = ((top_padding, bottom_padding, target_height), (left_padding, right_padding, target_width))
    for axis, (before, after, target) in enumerate(given, start=first):
        size = x.dims[axis] if target is None else known_size("pad_images", x, axis)
        low, high = _margins("pad_images", size, before, after, target, True)
        widths[axis] = (int(str(low)), int(str(high)))
    return shaping.pad(x, widths)


# -- patches --------------------------------------------------------------------------------------------------------
def _patches(what: str, x: Any, size: Any, strides: Any, dilation_rate: Any, padding: Any, data_format: Any) -> Any:
    """Patches in `len(size)` dimensions: the cells of each, in row-major order, along the channels."""
    tensor = as_tensor(x)
    rank = len(size)
    single = len(tensor.dims) == rank + 1
    tensor = shaping.expand_dims(tensor, 0) if single else tensor
    if len(tensor.dims) != rank + 2:
        raise ShapeError(
            f"{what} needs rank {rank + 1} or {rank + 2}", where=str(active().location()), got=str(x.shape)
        )
    first = nn._channels_first(data_format)
    tensor = nn._last(tensor, first)
    stride = size if not strides else nn._pair(strides, rank, "strides")
    dilation = nn._pair(dilation_rate, rank, "dilation_rate")
    pads = nn._paddings(padding, tensor.dims[1:-1], size, stride, dilation)
    tensor = shaping.pad(tensor, [(0, 0), *pads, (0, 0)])
    y = shaping.concatenate(_taps(tensor, 1, size, stride, dilation), axis=-1)
    y = shaping.moveaxis(y, -1, 1) if first else y
    return shaping.squeeze(y, 0) if single else y


def _taps(
    x: TracedTensor, axis: int, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> list[Any]:
    """For each cell of a window, in row-major order, the tensor of that cell in all windows."""
    counts = []
    for i, (n, s, d) in enumerate(zip(size, stride, dilation)):
        room = x.dims[axis + i] - (n - 1) * d - 1
        counts.append(room + 1 if s == 1 else room // s + 1)
    found = []
    for place in np.ndindex(*size):
        keys: list[Any] = [slice(None)] * len(x.dims)
        for i, (tap, s, d) in enumerate(zip(place, stride, dilation)):
            keys[axis + i] = slice(tap * d, tap * d + (counts[i] - 1) * s + 1, s)
        found.append(taking.get_item(x, tuple(keys)))
    return found


@operation
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Patches of images: [N, H, W, C] -> [N, H', W', height · width · C].

    Args:
        images: one image or a batch (a volume or a batch of them for a size of three numbers).
        size: one number, (height, width), or (depth, height, width).
        strides: from one patch to the next; the size by default.
        dilation_rate: distance of a patch's cells.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: another rank.
    """
    sizes = nn._pair(size, 2 if isinstance(size, int) else len(size), "size")
    return _patches("extract_patches", images, sizes, strides, dilation_rate, padding, data_format)


@operation
def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Patches of volumes: [N, D, H, W, C] -> [N, D', H', W', depth · height · width · C]; see `extract_patches`."""
    sizes = nn._pair(size, 3, "size")
    return _patches("extract_patches_3d", volumes, sizes, strides, dilation_rate, padding, data_format)


def _fold_arguments(kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> list[tuple[int, ...]]:
    names = ("kernel_size", "dilation", "padding", "stride")
    return [nn._pair(value, 2, name) for value, name in zip((kernel_size, dilation, padding, stride), names)]


@operation
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images as columns: [N, C, H, W] -> [N, C · height · width, number of windows].

    Args:
        x: images, channels first.
        kernel_size: one number, or (height, width).
        dilation: distance of a window's cells.
        padding: zeros around the images.
        stride: from one window to the next.

    Raises:
        ShapeError: another rank than 4.
    """
    tensor = as_tensor(x)
    if len(tensor.dims) != 4:
        raise ShapeError("unfold needs images [N, C, H, W]", where=str(active().location()), got=str(tensor.shape))
    size, apart, pads, step = _fold_arguments(kernel_size, dilation, padding, stride)
    tensor = shaping.pad(tensor, [(0, 0), (0, 0), (pads[0], pads[0]), (pads[1], pads[1])])
    taps = shaping.stack(_taps(tensor, 2, size, step, apart), axis=2)
    batch, channels, cells, rows, columns = taps.dims
    return shaping.reshape(taps, (batch, channels * cells, rows * columns))


@operation
def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns of windows added up to images, the transpose of `unfold`.

    Args:
        x: [N, C · height · width, number of windows].
        output_size: (H, W) of the images.
        kernel_size, dilation, padding, stride: as of `unfold`.

    Returns:
        [N, C, H, W].

    Raises:
        ShapeError: the sizes do not fit each other.
    """
    tensor = as_tensor(x)
    size, apart, pads, step = _fold_arguments(kernel_size, dilation, padding, stride)
    height, width = nn._pair(output_size, 2, "output_size")
    cells = size[0] * size[1]
    counts = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, p, k, d, s in zip((height, width), pads, size, apart, step)]
    fits = len(tensor.dims) == 3 and tensor.dims[2] == counts[0] * counts[1]
    if not fits or known_size("fold", tensor, 1) % cells:
        raise ShapeError(
            "fold: the columns do not fit the output",
            where=str(active().location()),
            got=str(tensor.shape),
            needed=f"(N, C * {cells}, {counts[0] * counts[1]})",
        )
    channels = known_size("fold", tensor, 1) // cells
    windows = shaping.reshape(tensor, (tensor.dims[0], channels, cells, counts[0], counts[1]))
    total: Any = None
    zero = literal(0, ir_dtype(tensor.dtype))
    for number, place in enumerate(np.ndindex(*size)):
        low = [tap * d for tap, d in zip(place, apart)]
        high = [n + 2 * p - 1 - (c - 1) * s - i
                for n, p, c, s, i in zip((height, width), pads, counts, step, low)]  # fmt: skip
        part = emit(
            "pad", taking.get_item(windows, (slice(None), slice(None), number)), zero,
            low=(0, 0, *low), high=(0, 0, *high), interior=(0, 0, step[0] - 1, step[1] - 1),
        )  # fmt: skip
        total = part if total is None else total + part
    return taking.get_item(total, (..., slice(pads[0], pads[0] + height), slice(pads[1], pads[1] + width)))


# -- channels and plane ---------------------------------------------------------------------------------------------
def _block(what: str, x: Any, block_size: Any) -> tuple[TracedTensor, int]:
    tensor, block = as_tensor(x), int(block_size)
    if len(tensor.dims) != 4 or block < 1:
        raise ShapeError(
            f"{what} needs a batch of images and a block of 1 or more cells",
            where=str(active().location()),
            got=f"{tensor.shape}, block_size={block_size}",
        )
    return tensor, block


@operation
def depth_to_space(x: Any, block_size: int, data_format: str | None = None) -> Any:
    """Channels laid out as blocks of cells: [N, H, W, b · b · C] -> [N, H · b, W · b, C].

    Channels first, the block's cells are the inner part of the channels: [N, C · b · b, H, W], as in Keras.

    Raises:
        ShapeError: another rank, or channels that do not divide.
    """
    tensor, b = _block("depth_to_space", x, block_size)
    first = nn._channels_first(data_format)
    channels = known_size("depth_to_space", tensor, 1 if first else 3)
    if channels % (b * b):
        raise ShapeError(f"depth_to_space: {channels} channels are no multiple of {b * b}", got=str(tensor.shape))
    c = channels // (b * b)
    if first:
        n, _, h, w = tensor.dims
        split = shaping.transpose(shaping.reshape(tensor, (n, c, b, b, h, w)), (0, 1, 4, 2, 5, 3))
        return shaping.reshape(split, (n, c, h * b, w * b))
    n, h, w, _ = tensor.dims
    split = shaping.transpose(shaping.reshape(tensor, (n, h, w, b, b, c)), (0, 1, 3, 2, 4, 5))
    return shaping.reshape(split, (n, h * b, w * b, c))


@operation
def space_to_depth(x: Any, block_size: int, data_format: str | None = None) -> Any:
    """Blocks of cells laid out as channels, the inverse of `depth_to_space`.

    Raises:
        ShapeError: another rank, or a height or width that does not divide.
    """
    tensor, b = _block("space_to_depth", x, block_size)
    first = nn._channels_first(data_format)
    height, width = (tensor.dims[axis] for axis in ((2, 3) if first else (1, 2)))
    if any(isinstance(size, int) and size % b for size in (height, width)):
        raise ShapeError(f"space_to_depth: height and width are no multiples of {b}", got=str(tensor.shape))
    h, w = height // b, width // b
    if first:
        n, c = tensor.dims[:2]
        split = shaping.transpose(shaping.reshape(tensor, (n, c, h, b, w, b)), (0, 1, 3, 5, 2, 4))
        return shaping.reshape(split, (n, c * (b * b), h, w))
    n, c = tensor.dims[0], tensor.dims[3]
    split = shaping.transpose(shaping.reshape(tensor, (n, h, b, w, b, c)), (0, 1, 3, 2, 4, 5))
    return shaping.reshape(split, (n, h, w, c * (b * b)))
