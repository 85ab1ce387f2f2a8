"""Sizes of images: interpolation along rows and columns as products with constant matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ops import math, nn, shaping
from kgraph.ops.convert import active, as_tensor, cast_to
from kgraph.ops.convolution import along_axis

__all__ = ["INTERPOLATIONS", "affine_transform", "resize"]

Array = npt.NDArray[np.float64]


def _triangle(x: Array) -> Array:
    return np.asarray(np.maximum(0.0, 1.0 - x))


def _cubic(x: Array) -> Array:
    # Keys (1981), a = -1/2.
    near, far = ((1.5 * x - 2.5) * x) * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x >= 2.0, 0.0, np.where(x >= 1.0, far, near))


def _lanczos(radius: float) -> Callable[[Array], Array]:
    def kernel(x: Array) -> Array:
        y = radius * np.sin(np.pi * x) * np.sin(np.pi * x / radius)
        safe = np.where(x != 0, np.pi**2 * x**2, 1.0)
        return np.where(x > radius, 0.0, np.where(x > 1e-3, y / safe, 1.0))

    return kernel


_KERNELS: dict[str, Callable[[Array], Array]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}
INTERPOLATIONS = ("nearest", *_KERNELS)


def resize_matrix(size: int, target: int, interpolation: str, antialias: bool = False) -> npt.NDArray[np.float32]:
    """Weights f32[target, size] of the cells along an axis, with centres of cells at half a pixel."""
    centres = (np.arange(target) + 0.5) * (size / target) - 0.5
    cells = np.arange(size)
    if interpolation == "nearest":
        chosen = np.minimum(np.floor((np.arange(target) + 0.5) * (size / target)), size - 1)
        return np.asarray(chosen[:, None] == cells[None], np.float32)
    scale = max(size / target, 1.0) if antialias else 1.0
    weights = _KERNELS[interpolation](np.abs(centres[:, None] - cells[None]) / scale)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(np.abs(total) > 1000 * np.finfo(np.float32).eps, weights / np.where(total != 0, total, 1.0), 0.0)
    inside = (centres >= -0.5) & (centres <= size - 0.5)
    return np.where(inside[:, None], weights, 0.0).astype(np.float32)


@operation
def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    data_format: str | None = None,
) -> Any:
    """Images [N, H, W, C] or [H, W, C] in another size.

    Args:
        images: tensor.
        size: (height, width).
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: widen the kernel where the image becomes smaller.
        data_format: `"channels_last"` or `"channels_first"`.
    """
    if interpolation not in INTERPOLATIONS:
        raise InvalidArgumentError(f"unknown interpolation {interpolation!r}", needed=" or ".join(INTERPOLATIONS))
    x = as_tensor(images)
    if len(x.dims) not in (3, 4):
        raise ShapeError("resize needs images of rank 3 or 4", where=str(active().location()), got=str(x.shape))
    whole = not is_float_dtype(x.dtype)
    y = cast_to(x, "float32") if whole else x
    first = len(x.dims) - (2 if nn._channels_first(data_format) else 3)
    for axis, target in enumerate(nn._pair(size, 2, "size"), start=first):
        length = y.dims[axis]
        if not isinstance(length, int):
            raise ShapeError("resize needs a known height and width", where=str(active().location()), got=str(x.shape))
        if length != target:
            y = along_axis(y, resize_matrix(length, target, interpolation, antialias), axis)
    return cast_to(math.round(y), x.dtype) if whole else y


_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _fold(position: Any, size: int, mode: str) -> Any:
    """Coordinates brought into [0, size - 1] as the fill mode says; float tensors in, float tensors out."""
    last = float(size - 1)
    if mode == "wrap":
        return math.subtract(position, math.multiply(math.floor(math.divide(position, float(size))), float(size)))
    if mode == "reflect":  # (d c b a | a b c d | d c b a)
        period = 2.0 * size
        shifted = math.add(position, 0.5)
        inside = math.subtract(shifted, math.multiply(math.floor(math.divide(shifted, period)), period))
        return math.subtract(math.minimum(inside, math.subtract(period, inside)), 0.5)
    if mode == "mirror":  # (d c b | a b c d | c b a)
        if size == 1:
            return math.multiply(position, 0.0)
        period = 2.0 * last
        inside = math.subtract(position, math.multiply(math.floor(math.divide(position, period)), period))
        return math.minimum(inside, math.subtract(period, inside))
    return position


@operation
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Any:
    """Each image seen through an affine map: output (x, y) is input (a0 x + a1 y + a2, b0 x + b1 y + b2).

    Args:
        images: f32[N, H, W, C].
        transform: f32[N, 8], rows (a0, a1, a2, b0, b1, b2, 0, 0).
        interpolation: "nearest" or "bilinear".
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
        fill_value: for "constant".
        data_format: `"channels_last"` or `"channels_first"`.
    """
    if interpolation not in ("nearest", "bilinear") or fill_mode not in _FILL_MODES:
        raise InvalidArgumentError(
            f"affine_transform: interpolation {interpolation!r}, fill_mode {fill_mode!r}",
            needed=f"nearest or bilinear; {' or '.join(_FILL_MODES)}",
        )
    first = nn._channels_first(data_format)
    x = nn._last(nn._floating(images), first)
    batch, height, width, channels = x.dims
    if not isinstance(height, int) or not isinstance(width, int):
        raise ShapeError("affine_transform needs a known height and width", where=str(active().location()))
    matrix = as_tensor(transform)
    rows, columns = (
        shaping.reshape(as_tensor(np.asarray(grid, "float32")), (1, height * width))
        for grid in np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    )

    def coefficient(i: int) -> Any:
        return shaping.get_item(matrix, (slice(None), slice(i, i + 1)))

    def source(i: int) -> Any:
        return math.add(
            math.add(math.multiply(coefficient(i), columns), math.multiply(coefficient(i + 1), rows)),
            coefficient(i + 2),
        )

    across, down = source(0), source(3)
    table = shaping.reshape(x, (batch * height * width, channels))
    start = math.multiply(shaping.reshape(shaping.arange(batch), (batch, 1)), height * width)

    def pick(row: Any, column: Any) -> Any:
        """The cells at whole coordinates, which may lie outside."""
        inside_row = math.clip(_fold(row, height, fill_mode), 0.0, float(height - 1))
        inside_column = math.clip(_fold(column, width, fill_mode), 0.0, float(width - 1))
        cell = cast_to(
            math.add(math.multiply(math.round(inside_row), float(width)), math.round(inside_column)), "int32"
        )
        found = shaping.take(table, math.add(start, cell), axis=0)
        if fill_mode != "constant":
            return found
        valid = math.logical_and(
            math.logical_and(math.greater_equal(row, 0.0), math.less_equal(row, float(height - 1))),
            math.logical_and(math.greater_equal(column, 0.0), math.less_equal(column, float(width - 1))),
        )
        return math.where(shaping.expand_dims(valid, -1), found, float(fill_value))

    if interpolation == "nearest":
        y = pick(math.round(down), math.round(across))
    else:
        top, left = math.floor(down), math.floor(across)
        low, right = math.subtract(down, top), math.subtract(across, left)
        y = None
        for row, share_row in ((top, math.subtract(1.0, low)), (math.add(top, 1.0), low)):
            for column, share in ((left, math.subtract(1.0, right)), (math.add(left, 1.0), right)):
                weight = shaping.expand_dims(math.multiply(share_row, share), -1)
                part = math.multiply(pick(row, column), weight)
                y = part if y is None else math.add(y, part)
    y = shaping.reshape(y, (batch, height, width, channels))
    return shaping.moveaxis(y, -1, 1) if first else y
