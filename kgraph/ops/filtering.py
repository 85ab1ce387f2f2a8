"""Linear filters of images: Gaussian blur, Sobel edges, and the structural similarity that is made of blurs."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ops import math, nn, reduction, shaping
from kgraph.ops.convert import active, as_tensor, cast_to, must_equal

__all__ = ["gaussian_blur", "sobel_edges", "ssim"]


def _batch(what: str, images: Any, data_format: str | None) -> tuple[TracedTensor, bool]:
    """Images as f[N, H, W, C], and whether there was one alone."""
    x = as_tensor(images)
    if len(x.dims) not in (3, 4):
        raise ShapeError(
            f"{what} needs one image or a batch of images",
            where=str(active().location()),
            got=str(x.shape),
            needed="rank 3 or 4",
        )
    single = len(x.dims) == 3
    x = nn._floating(shaping.expand_dims(x, 0) if single else x)
    return nn._last(x, nn._channels_first(data_format)), single


def _separable(x: TracedTensor, down: Any, across: Any, padding: str) -> TracedTensor:
    """Each channel correlated with `down` along the rows and `across` along the columns (vectors)."""
    channels = x.dims[-1]
    for vector, shape in ((down, (-1, 1, 1, 1)), (across, (1, -1, 1, 1))):
        weights = shaping.reshape(as_tensor(vector, x.dtype), shape)
        kernel = shaping.broadcast_to(weights, (*weights.dims[:2], channels, 1))
        x = nn.depthwise_conv(x, kernel, 1, padding, "channels_last")
    return x


def _bell(size: int, sigma: Any) -> Any:
    """Normalised Gaussian weights f32[size]; `sigma` may be a tensor of one element."""
    offsets = as_tensor((np.arange(size) - (size - 1) / 2).astype("float32"))
    if not isinstance(sigma, (int, float)):
        sigma = shaping.reshape(cast_to(as_tensor(sigma), "float32"), (1,))
    weights = math.exp(math.multiply(math.square(math.divide(offsets, sigma)), -0.5))
    return math.divide(weights, reduction.sum(weights))


@operation
def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Any:
    """Each channel smoothed with a Gaussian; zeros are taken around the image.

    Args:
        images: f[N, H, W, C] or f[H, W, C].
        kernel_size: cells (across, down), as in Keras: width before height.
        sigma: standard deviations (across, down) in cells; numbers, or a tensor f32[2].
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: another rank.
    """
    x, single = _batch("gaussian_blur", images, data_format)
    width, height = nn._pair(kernel_size, 2, "kernel_size")
    if isinstance(sigma, (tuple, list)):
        across, down = sigma
    else:
        across, down = shaping.unstack(shaping.broadcast_to(as_tensor(sigma, "float32"), (2,)))
    y: Any = _separable(x, _bell(height, down), _bell(width, across), "same")
    y = shaping.moveaxis(y, -1, 1) if nn._channels_first(data_format) else y
    return shaping.squeeze(y, 0) if single else y


@operation
def sobel_edges(images: Any, data_format: str | None = None) -> Any:
    """Slopes of the brightness of each channel, (down, across) along a new last axis; zeros around the image.

    Args:
        images: f[N, H, W, C] (channels first: f[N, C, H, W]).
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: another rank than 4.
    """
    x, single = _batch("sobel_edges", images, data_format)
    if single:
        raise ShapeError(
            "sobel_edges needs a batch of images", where=str(active().location()), got="rank 3", needed="rank 4"
        )
    slope, smooth = np.array([-1.0, 0.0, 1.0], "float32"), np.array([1.0, 2.0, 1.0], "float32")
    pair = [_separable(x, slope, smooth, "same"), _separable(x, smooth, slope, "same")]
    if nn._channels_first(data_format):
        pair = [shaping.moveaxis(y, -1, 1) for y in pair]
    return shaping.stack(pair, axis=-1)


@operation
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Any:
    """Structural similarity of two images, -1 to 1: one number for each pair.

    Args:
        image1, image2: f[N, H, W, C] or f[H, W, C], no smaller than the filter.
        max_val: greatest value of a cell, 255 for bytes.
        filter_size, filter_sigma: width and standard deviation of the Gaussian filter, in cells.
        k1, k2: constants that keep the quotients apart from 0 / 0.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: the images are no pair, or another rank.
        InvalidArgumentError: the filter has no middle.

    Source: Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE Transactions on Image Processing 13(4), 2004.
    """
    if filter_size < 1 or filter_size % 2 == 0:
        raise InvalidArgumentError("ssim needs an odd filter_size", got=str(filter_size), needed="1, 3, 5, ...")
    dtype = as_tensor(image1).dtype
    (x, single), (y, _) = _batch("ssim", image1, data_format), _batch("ssim", image2, data_format)
    must_equal([x.dims[0], y.dims[0]])
    bell = _bell(filter_size, filter_sigma)

    def mean(values: Any) -> Any:
        return _separable(values, bell, bell, "valid")

    mean_x, mean_y = mean(x), mean(y)
    xx, yy, xy = math.square(mean_x), math.square(mean_y), math.multiply(mean_x, mean_y)
    spread = math.add(
        math.subtract(mean(math.square(x)), xx), math.subtract(mean(math.square(y)), yy)
    )  # both variances
    together = math.subtract(mean(math.multiply(x, y)), xy)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    above = math.multiply(math.add(math.multiply(xy, 2.0), c1), math.add(math.multiply(together, 2.0), c2))
    below = math.multiply(math.add(math.add(xx, yy), c1), math.add(spread, c2))
    result = cast_to(reduction.mean(math.divide(above, below), axis=(1, 2, 3)), dtype)
    return shaping.squeeze(result, 0) if single else result
