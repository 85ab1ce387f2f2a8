"""Colour spaces of images: grey values, and hue, saturation and value."""

from __future__ import annotations

from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import TracedTensor
from kgraph.errors import DtypeError, ShapeError
from kgraph.ops import math, nn, shaping
from kgraph.ops.convert import active, as_tensor, cast_to

__all__ = ["hsv_to_rgb", "rgb_to_grayscale", "rgb_to_hsv"]

# Luma of ITU-R BT.601, to the four digits that Keras has.
_LUMA = (0.2989, 0.5870, 0.1140)


def _planes(what: str, images: Any, data_format: str | None) -> tuple[TracedTensor, int]:
    """The images, and the axis of their channels (counted from the front).

    Raises:
        ShapeError: another rank than 3 or 4, or no three channels.
    """
    x = as_tensor(images)
    rank = len(x.dims)
    axis = rank - (3 if nn._channels_first(data_format) else 1)
    if rank not in (3, 4) or x.dims[axis] not in (1, 3) or (x.dims[axis] == 1 and what != "rgb_to_grayscale"):
        raise ShapeError(
            f"{what} needs one image or a batch of images with 3 channels",
            where=str(active().location()),
            got=str(x.shape),
            needed="rank 3 or 4, and 3 channels on the axis that data_format names",
        )
    return x, axis


def _three_floats(what: str, images: Any, data_format: str | None) -> tuple[list[TracedTensor], int]:
    x, axis = _planes(what, images, data_format)
    if not is_float_dtype(x.dtype):
        raise DtypeError(
            f"{what} needs images of floats", where=str(active().location()), got=x.dtype, fix="divide them by 255.0"
        )
    return shaping.unstack(x, axis=axis), axis


@operation
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Any:
    """Grey value 0.2989 R + 0.587 G + 0.114 B, on one channel; images of one channel stay as they are.

    Args:
        images: [N, H, W, 3] or [H, W, 3] (channels first: the channel axis before the rows).
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: another rank, or neither 3 nor 1 channels.
    """
    x, axis = _planes("rgb_to_grayscale", images, data_format)
    if x.dims[axis] == 1:
        return x
    y = x if is_float_dtype(x.dtype) else cast_to(x, floatx())
    total: Any = None
    for plane, weight in zip(shaping.unstack(y, axis=axis), _LUMA):
        part = math.multiply(plane, weight)
        total = part if total is None else math.add(total, part)
    return cast_to(shaping.expand_dims(total, axis), x.dtype)


@operation
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Any:
    """Hue, saturation and value (all 0 to 1) of red, green and blue (0 to 1).

    Args:
        images: f[N, H, W, 3] or f[H, W, 3] (channels first: the channel axis before the rows).
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: another rank or number of channels.
        DtypeError: no floats.

    Source: A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978.
    """
    (red, green, blue), axis = _three_floats("rgb_to_hsv", images, data_format)
    value = math.maximum(math.maximum(red, green), blue)
    spread = math.subtract(value, math.minimum(math.minimum(red, green), blue))
    grey = math.equal(spread, 0.0)
    # Divisors are made safe first, or the gradient of the branch not taken would be NaN.
    sixth = math.divide(1.0 / 6.0, math.where(grey, 1.0, spread))
    from_green = math.add(math.multiply(sixth, math.subtract(blue, red)), 2.0 / 6.0)
    from_blue = math.add(math.multiply(sixth, math.subtract(red, green)), 4.0 / 6.0)
    hue = math.where(math.equal(value, green), from_green, from_blue)
    hue = math.where(math.equal(value, red), math.multiply(sixth, math.subtract(green, blue)), hue)
    hue = math.where(grey, 0.0, math.where(math.less(hue, 0.0), math.add(hue, 1.0), hue))
    saturation = math.divide_no_nan(spread, math.maximum(value, 0.0))
    return shaping.stack([hue, saturation, value], axis=axis)


@operation
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Any:
    """Red, green and blue (0 to 1) of hue, saturation and value; a hue counts without its whole part.

    Args:
        images: f[N, H, W, 3] or f[H, W, 3] (channels first: the channel axis before the rows).
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: another rank or number of channels.
        DtypeError: no floats.
    """
    (hue, saturation, value), axis = _three_floats("hsv_to_rgb", images, data_format)
    turn = math.multiply(math.subtract(hue, math.floor(hue)), 6.0)  # 0 to 6 around the circle

    def ramp(centre: float, sign: float, offset: float) -> Any:
        """A trapezium around the circle: 1 near the colour's own hue, 0 on the other side."""
        distance = math.abs(math.subtract(turn, centre))
        return math.clip(math.add(math.multiply(distance, sign), offset), 0.0, 1.0)

    shares = (ramp(3.0, 1.0, -1.0), ramp(2.0, -1.0, 2.0), ramp(4.0, -1.0, 2.0))
    pale = math.subtract(1.0, saturation)
    return shaping.stack(
        [math.multiply(value, math.add(pale, math.multiply(saturation, share))) for share in shares], axis=axis
    )
