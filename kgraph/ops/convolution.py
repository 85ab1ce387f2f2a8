"""Convolution and pooling in three dimensions, and transposed convolution, made of the two-dimensional IR ops.

A convolution in depth is a sum over the depth of its kernel of convolutions of images; a pooling in depth is one of
images and one along the depth.  A transposed convolution is a convolution of the input with zeros between its cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import ir_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim, DimLike
from kgraph.ir.graph import literal
from kgraph.ops import making, math, nn, reduction, shaping, taking
from kgraph.ops.convert import active, as_tensor, common, emit

__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool_3d", "conv_3d", "conv_transpose", "max_pool_3d"]

Pads = tuple[tuple[int, int], ...]


def _padded(x: TracedTensor, pads: Pads, value: float = 0.0, interior: tuple[int, ...] | None = None) -> TracedTensor:
    """`x` [N, *spatial, C] with cells around, and between, those of the spatial axes; negative numbers cut."""
    if all(pad == (0, 0) for pad in pads) and not any(interior or ()):
        return x
    low, high = (0, *(a for a, _ in pads), 0), (0, *(b for _, b in pads), 0)
    between = {} if interior is None else {"interior": (0, *interior, 0)}
    result: TracedTensor = emit("pad", x, literal(value, ir_dtype(x.dtype)), low=low, high=high, **between)
    return result


def _depth_slice(x: TracedTensor, start: int, count: DimLike, stride: int) -> TracedTensor:
    """`count` images, `stride` apart, as one batch: [N, D, H, W, C] -> [N · count, H, W, C]."""
    batch, _, *rest = x.dims
    cut = taking.get_item(x, (slice(None), slice(start, start + (count - 1) * stride + 1, stride)))
    flat: TracedTensor = shaping.reshape(cut, (batch * count, *rest))
    return flat


def _known_depth(x: TracedTensor) -> int:
    depth = x.dims[1]
    if isinstance(depth, Dim):
        raise ShapeError(
            "a convolution or pooling in three dimensions needs a known depth",
            where=str(active().location()),
            got=str(x.shape),
            fix="give the size in Input(shape=...)",
        )
    return depth


@operation
def conv_3d(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Cross-correlation over three spatial axes.

    Args:
        inputs: f32[N, D, H, W, C] (channels first: C after N).
        kernel: f32[KD, KH, KW, C / groups, F]; the number of groups follows from its sizes.
        strides, dilation_rate: one number, or three.
        padding: `"valid"`, `"same"`, or (before, after) per spatial axis.
        data_format: `"channels_last"` or `"channels_first"`.
    """
    x, k = (as_tensor(t) for t in common(as_tensor(inputs), as_tensor(kernel), floating=True))
    if len(x.dims) != 5 or len(k.dims) != 5:
        raise ShapeError("conv_3d needs tensors of rank 5", where=str(active().location()), got=f"{x.shape}, {k.shape}")
    first = nn._channels_first(data_format)
    x = nn._last(x, first)
    stride, dilation = nn._pair(strides, 3, "strides"), nn._pair(dilation_rate, 3, "dilation_rate")
    window = tuple(int(str(size)) for size in k.dims[:3])
    pads = nn._paddings(padding, x.dims[1:-1], window, stride, dilation)
    channels, per_group = x.dims[-1], k.dims[-2]
    if not isinstance(channels, int) or not isinstance(per_group, int) or not per_group or channels % per_group:
        raise ShapeError(
            f"conv_3d: an input of {channels} channels does not fit a kernel for {per_group}",
            where=str(active().location()),
            got=f"input {x.shape}, kernel {k.shape}",
        )
    x = _padded(x, (pads[0], (0, 0), (0, 0)))
    # With a stride of 1 the depth need not be known: the frames of a film, say.
    depth = x.dims[1] if stride[0] == 1 else _known_depth(x)
    count = (depth - (window[0] - 1) * dilation[0] - 1) // stride[0] + 1
    total: Any = None
    attrs = {
        "strides": stride[1:],
        "padding": pads[1:],
        "dilation": dilation[1:],
        "groups": channels // per_group,
    }
    for tap in range(window[0]):
        images = _depth_slice(x, tap * dilation[0], count, stride[0])
        plane = shaping.reshape(taking.get_item(k, slice(tap, tap + 1)), k.dims[1:])
        y = emit("conv2d", images, plane, **attrs)
        total = y if total is None else math.add(total, y)
    y = shaping.reshape(total, (x.dims[0], count, *total.dims[1:]))
    return shaping.moveaxis(y, -1, 1) if first else y


def transpose_padding(
    size: int, stride: int, dilation: int, padding: str, output_padding: int | None
) -> tuple[int, int]:
    """Cells around the spread input, per axis, that give Keras's length of output.

    Without `output_padding` this is n·s + max(k - s, 0) for "valid" and n·s for "same".
    """
    reach = (size - 1) * dilation + 1
    if padding == "valid":
        more = max(reach, stride) - reach if output_padding is None else output_padding
        return reach - 1, reach - 1 + more
    total = stride + reach - 2 if output_padding is None else reach + reach % 2 - 2 + output_padding
    low = min(total // 2 + total % 2, reach - 1)
    return low, total - low


@operation
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """The transpose of a convolution, over one, two or three spatial axes.

    Args:
        inputs: f32[N, ..., C] (channels first: C after N).
        kernel: f32[*window, F, C]: outputs before inputs.
        strides: how far the cells of the input come to stand apart.
        padding: `"valid"` or `"same"`.
        output_padding: cells added at the end of the output, one number or one per axis.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: distance of the kernel's cells.
    """
    x, k = (as_tensor(t) for t in common(as_tensor(inputs), as_tensor(kernel), floating=True))
    rank = len(x.dims) - 2
    if (
        not 1 <= rank <= 3
        or len(k.dims) != rank + 2
        or x.dims[1 if nn._channels_first(data_format) else -1] != k.dims[-1]
    ):
        raise ShapeError(
            "conv_transpose: the kernel does not fit the input",
            where=str(active().location()),
            got=f"input {x.shape}, kernel {k.shape}",
            needed="a kernel (*window, filters, channels)",
        )
    if padding.lower() not in ("valid", "same"):
        raise InvalidArgumentError(f"unknown padding {padding!r}", needed="'valid' or 'same'")
    first = nn._channels_first(data_format)
    x = nn._last(x, first)
    stride, dilation = nn._pair(strides, rank, "strides"), nn._pair(dilation_rate, rank, "dilation_rate")
    extra = (None,) * rank if output_padding is None else nn._pair(output_padding, rank, "output_padding")
    window = tuple(int(str(size)) for size in k.dims[:rank])
    pads = tuple(
        transpose_padding(n, s, d, padding.lower(), more) for n, s, d, more in zip(window, stride, dilation, extra)
    )
    spread = _padded(x, pads, interior=tuple(s - 1 for s in stride))
    turned = shaping.swapaxes(shaping.flip(k, tuple(range(rank))), -1, -2)
    convolve = conv_3d if rank == 3 else nn.conv
    y = convolve(spread, turned, 1, "valid", "channels_last", dilation)
    return shaping.moveaxis(y, -1, 1) if first else y


def _pool_3d(op: str, x: TracedTensor, window: tuple[int, ...], stride: tuple[int, ...], pads: Pads) -> TracedTensor:
    """Pool the images, then along the depth."""
    batch, depth, height, width, channels = x.dims
    flat = shaping.reshape(x, (batch * depth, height, width, channels))
    flat = emit(op, flat, window=window[1:], strides=stride[1:], padding=pads[1:])
    tall = shaping.reshape(flat, (batch, depth, flat.dims[1] * flat.dims[2], channels))
    y = emit(op, tall, window=(window[0], 1), strides=(stride[0], 1), padding=(pads[0], (0, 0)))
    result: TracedTensor = shaping.reshape(y, (batch, y.dims[1], *flat.dims[1:3], channels))
    return result


def _pool_arguments(
    inputs: Any, pool_size: Any, strides: Any, padding: Any, data_format: str | None
) -> tuple[TracedTensor, tuple[int, ...], tuple[int, ...], Pads]:
    x = nn._last(nn._floating(inputs), nn._channels_first(data_format))
    if len(x.dims) != 5:
        raise ShapeError("pooling in three dimensions needs rank 5", where=str(active().location()), got=str(x.shape))
    window = nn._pair(pool_size, 3, "pool_size")
    stride = window if strides is None else nn._pair(strides, 3, "strides")
    return x, window, stride, nn._paddings(padding, x.dims[1:-1], window, stride, (1, 1, 1))


@operation
def max_pool_3d(
    inputs: Any, pool_size: Any, strides: Any = None, padding: Any = "valid", data_format: str | None = None
) -> Any:
    """Largest element of each window of f32[N, D, H, W, C]; padding never wins."""
    x, window, stride, pads = _pool_arguments(inputs, pool_size, strides, padding, data_format)
    y = _pool_3d("max_pool", x, window, stride, pads)
    return shaping.moveaxis(y, -1, 1) if nn._channels_first(data_format) else y


@operation
def average_pool_3d(
    inputs: Any, pool_size: Any, strides: Any = None, padding: Any = "valid", data_format: str | None = None
) -> Any:
    """Mean of each window of f32[N, D, H, W, C]; padded cells are not counted."""
    x, window, stride, pads = _pool_arguments(inputs, pool_size, strides, padding, data_format)
    y = _pool_3d("sum_pool", x, window, stride, pads)
    if all(pad == (0, 0) for pad in pads):
        mean = math.divide(y, float(np.prod(window)))
    else:
        mean = math.divide(y, _pool_3d("sum_pool", making.ones((1, *x.dims[1:4], 1), x.dtype), window, stride, pads))
    return shaping.moveaxis(mean, -1, 1) if nn._channels_first(data_format) else mean


def _parts(size: Any, count: int) -> list[tuple[int, int]]:
    """[start, limit) of each of `count` parts of an axis; parts overlap where `size` is no multiple."""
    if not isinstance(size, int):
        raise ShapeError("adaptive pooling needs a known size of the axis", where=str(active().location()))
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


@operation
def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """Means of parts of each spatial axis, so many that the output has `output_size` cells."""
    x = nn._last(nn._floating(inputs), nn._channels_first(data_format))
    rank = len(x.dims) - 2
    for axis, count in enumerate(nn._pair(output_size, rank, "output_size"), start=1):
        weights = np.zeros((count, int(str(x.dims[axis]))), "float32")
        for row, (start, limit) in enumerate(_parts(x.dims[axis], count)):
            weights[row, start:limit] = 1.0 / (limit - start)
        x = along_axis(x, weights, axis)
    return shaping.moveaxis(x, -1, 1) if nn._channels_first(data_format) else x


@operation
def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """Largest values of parts of each spatial axis, so many that the output has `output_size` cells."""
    x = nn._last(nn._floating(inputs), nn._channels_first(data_format))
    rank = len(x.dims) - 2
    for axis, count in enumerate(nn._pair(output_size, rank, "output_size"), start=1):
        lead = (slice(None),) * axis
        parts = [
            reduction.max(taking.get_item(x, (*lead, slice(start, limit))), axis=axis, keepdims=True)
            for start, limit in _parts(x.dims[axis], count)
        ]
        x = shaping.concatenate(parts, axis=axis)
    return shaping.moveaxis(x, -1, 1) if nn._channels_first(data_format) else x


def along_axis(x: TracedTensor, weights: Any, axis: int) -> TracedTensor:
    """Each output cell of an axis a weighted sum of its input cells: a product with the matrix `weights` (out, in)."""
    rank = len(x.dims)
    matrix = as_tensor(np.ascontiguousarray(np.asarray(weights).T), x.dtype)
    moved = shaping.moveaxis(x, axis, rank - 1)
    flat = shaping.reshape(moved, (-1, x.dims[axis]))
    product = emit("matmul", flat, matrix)
    result: TracedTensor = shaping.moveaxis(
        shaping.reshape(product, (*moved.dims[:-1], matrix.dims[1])), rank - 1, axis
    )
    return result
