"""`ops.image`: sizes of images (interpolation along rows and columns as products with matrices), and the names of the
modules that hold the other operations on images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import _NoValue
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ops import math, nn
from kgraph.ops.arranging import known_size
from kgraph.ops.colour import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from kgraph.ops.convert import active, as_tensor, cast_to, normal_axis
from kgraph.ops.convolution import along_axis
from kgraph.ops.filtering import gaussian_blur, sobel_edges, ssim
from kgraph.ops.patches import crop_images, extract_patches, extract_patches_3d, pad_images
from kgraph.ops.warping import affine_transform, elastic_transform, map_coordinates, perspective_transform

__all__ = [
    "INTERPOLATIONS",
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]

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
    if interpolation == "nearest":
        chosen = np.minimum(np.floor((np.arange(target) + 0.5) * (size / target)), size - 1)
        return np.asarray(chosen[:, None] == np.arange(size)[None], np.float32)
    return _weights(size, target, size / target, 0.0, interpolation, antialias)


def _weights(
    size: int, target: int, step: float, shift: float, interpolation: str, antialias: bool
) -> npt.NDArray[np.float32]:
    """Weights f32[target, size]: output cell i lies `step` · (i + 1/2) - `shift` from the start of the axis."""
    centres = (np.arange(target) + 0.5) * step - shift - 0.5
    cells = np.arange(size)
    scale = max(step, 1.0) if antialias else 1.0
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


# Names of jax.image besides those of `resize`.
_METHODS = {
    **{name: name for name in _KERNELS},
    **{"linear": "bilinear", "trilinear": "bilinear", "cubic": "bicubic", "tricubic": "bicubic"},
}


def scale_and_translate(
    images: Any,
    output_shape: Any,
    scale: Any,
    translation: Any,
    spatial_dims: Any,
    method: str,
    antialias: bool = True,
) -> Any:
    """Tensors scaled and then shifted along some axes, with interpolation.

    Args:
        images: tensor.
        output_shape: sizes of the result.
        scale: factor for each axis of `spatial_dims`, numbers.
        translation: shift in cells of the result for each of these axes, numbers.
        spatial_dims: the axes that change.
        method: "linear", "cubic", "lanczos3" or "lanczos5" (also "bilinear", "trilinear", "bicubic", "tricubic").
        antialias: widen the kernel where the tensor becomes smaller.

    Raises:
        InvalidArgumentError: an unknown method, or not one number for each axis.
        ShapeError: an unknown size, or another axis would change its size.
        UnsupportedError: scale or translation is a tensor of a model.
    """
    if method not in _METHODS:
        raise InvalidArgumentError(f"scale_and_translate has no method {method!r}", needed=" or ".join(_METHODS))
    if any(isinstance(x, _NoValue) for x in (scale, translation)):
        raise UnsupportedError(
            "scale_and_translate needs numbers as scale and translation", fix="use ops.image.affine_transform"
        )
    scales, shifts = ([float(v) for v in np.asarray(x).reshape(-1)] for x in (scale, translation))
    axes = [int(axis) for axis in spatial_dims]
    if not len(scales) == len(shifts) == len(axes):
        raise InvalidArgumentError(
            "scale_and_translate needs a scale and a translation for each of spatial_dims",
            got=f"{len(scales)} and {len(shifts)} for {len(axes)} axes",
        )
    return _placed(images, tuple(output_shape), axes, scales, shifts, _METHODS[method], bool(antialias))


@operation
def _placed(
    images: Any, shape: Any, axes: list[int], scales: list[float], shifts: list[float], method: str, antialias: bool
) -> Any:
    y = nn._floating(images)
    for axis, scale, shift in zip(axes, scales, shifts):
        place = normal_axis(axis, len(y.dims))
        size = known_size("scale_and_translate", y, place)
        weights = _weights(size, int(shape[place]), 1.0 / scale, shift / scale, method, antialias)
        y = along_axis(y, weights, place)
    if len(shape) != len(y.dims) or any(d != n for d, n in zip(y.dims, shape) if isinstance(d, int)):
        raise ShapeError(
            "scale_and_translate changes the sizes of spatial_dims alone",
            where=str(active().location()),
            got=f"output_shape {shape} for a tensor that becomes {y.shape}",
        )
    return y
