"""Convolutions with few filters as products of matrices.

A convolution's tiles keep output channels side by side in vectors; with one to four of them most lanes would idle. Here
all taps of the kernel stand side by side instead: one product gives, for every pixel, what it contributes through each
tap, and each output adds what its neighbours contribute to it. Their padding is zero, so pixels in it are never made.
The weight gradient is likewise one product, of the pixels with all shifts of the output's gradient. The arithmetic is
that of the convolution; only the sums are ordered by taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kgraph.ir.builder import Builder
from kgraph.ir.dims import Shape, shape_volume
from kgraph.ir.graph import Node, Value

__all__ = ["convolve_by_taps", "kernel_gradient_by_taps"]

Pads = tuple[tuple[int, int], tuple[int, int]]

FILTERS = 4  # at most: a quarter of a vector
COLUMNS = 36  # taps times filters, at most: contributions are stored, and would outweigh the picture
CHANNELS = 16  # at least: products with fewer terms are not worth it


def _fits(node: Node, kernel: Shape) -> bool:
    """Whether the taps fill vectors better than the filters do."""
    taps, channels, filters = shape_volume(kernel[:2]), kernel[2], kernel[3]
    if not (isinstance(taps, int) and isinstance(channels, int) and isinstance(filters, int)):
        return False
    plain = node.attrs["strides"] == (1, 1) and node.attrs["groups"] == 1
    return bool(plain and filters <= FILTERS and 1 < taps <= COLUMNS // filters and channels >= CHANNELS)


def _shifts(kernel: Shape, padding: Pads, dilation: tuple[int, int]) -> Iterator[Pads]:
    """For each tap the padding (low, high per axis; negative: cropping) that brings pixels to the outputs they feed."""
    height, width = kernel[:2]
    assert isinstance(height, int) and isinstance(width, int)
    for row in range(height):
        for column in range(width):
            (top, bottom), (left, right) = padding
            down, across = dilation
            rows = (top - row * down, bottom - (height - 1 - row) * down)
            yield rows, (left - column * across, right - (width - 1 - column) * across)


def convolve_by_taps(b: Builder, node: Node) -> Sequence[Value] | None:
    """`conv2d` with few filters: y[h, w, o] = sum over taps (i, j) of (x K[i, j])[h + i, w + j, o]."""
    x, kernel = node.operands
    if not _fits(node, kernel.shape):
        return None
    height, width, channels, filters = kernel.shape
    taps = height * width
    padding, none = node.attrs["padding"], ((0, 0), (0, 0))
    # Zeros around the picture cost less than to ask for each contribution whether it has a pixel.
    x = _shifted(b, x, *padding)
    flat = b.op("reshape", x, shape=(shape_volume(x.shape[:3]), channels))
    columns = b.op("transpose", kernel, perm=(2, 0, 1, 3))
    columns = b.op("reshape", columns, shape=(channels, taps * filters))
    parts = b.op("reshape", b.op("matmul", flat, columns), shape=(*x.shape[:3], taps, filters))
    total: Value | None = None
    for tap, (rows, sides) in enumerate(_shifts(kernel.shape, none, node.attrs["dilation"])):
        starts, limits = (0, 0, 0, tap, 0), (*x.shape[:3], tap + 1, filters)
        part = b.op("slice", parts, starts=starts, limits=limits)
        part = b.op("reshape", part, shape=(*x.shape[:3], filters))
        part = _shifted(b, part, rows, sides)
        total = part if total is None else b.op("add", total, part)
    return None if total is None else [total]


def kernel_gradient_by_taps(b: Builder, node: Node) -> Sequence[Value] | None:
    """`conv2d_kernel_grad` with few filters: dK[i, j] = sum over pixels of x[h, w] (dy shifted by (i, j))[h, w]."""
    x, dy = node.operands
    kernel: Shape = node.attrs["kernel_shape"]
    if not _fits(node, kernel):
        return None
    height, width, channels, filters = kernel
    # What brings pixels to outputs takes outputs back to pixels the other way.
    forth = _shifts(kernel, node.attrs["padding"], node.attrs["dilation"])
    moved = [_shifted(b, dy, (-rows[0], -rows[1]), (-sides[0], -sides[1])) for rows, sides in forth]
    pixels = shape_volume(x.shape[:3])
    columns = b.op("reshape", b.op("concat", *moved, axis=3), shape=(pixels, height * width * filters))
    flat = b.op("reshape", x, shape=(pixels, channels))
    grad = b.op("matmul", flat, columns, transpose_a=True)
    grad = b.op("reshape", grad, shape=(channels, height, width, filters))
    return [b.op("transpose", grad, perm=(1, 2, 0, 3))]


def _shifted(b: Builder, x: Value, rows: tuple[int, int], sides: tuple[int, int]) -> Value:
    low, high = (0, rows[0], sides[0], 0), (0, rows[1], sides[1], 0)
    return b.op("pad", x, 0.0, low=low, high=high, interior=(0, 0, 0, 0)) if any((*low, *high)) else x
