"""Changes of one image in plain NumPy: affine maps, shifts of channels and brightness, flips.

The functions of `keras.preprocessing.image` of Keras 2; random ones draw from `numpy.random`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.utils.image import check_layout, img_to_array, to_bytes

__all__ = [
    "apply_affine_transform",
    "apply_brightness_shift",
    "apply_channel_shift",
    "flip_axis",
    "random_brightness",
    "random_channel_shift",
    "random_rotation",
    "random_shear",
    "random_shift",
    "random_zoom",
    "transform_matrix_offset_center",
]

Array = np.ndarray[Any, np.dtype[Any]]
FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def flip_axis(x: npt.ArrayLike, axis: int) -> Array:
    """`x` with the order along an axis reversed."""
    return np.flip(np.asarray(x), axis)


def transform_matrix_offset_center(matrix: npt.ArrayLike, x: int, y: int) -> Array:
    """An affine map f64[3, 3] of pixel numbers that has the middle of an image of size (x, y) as its origin."""
    middle = np.array([[1, 0, x / 2 - 0.5], [0, 1, y / 2 - 0.5], [0, 0, 1]])
    back = np.array([[1, 0, 0.5 - x / 2], [0, 1, 0.5 - y / 2], [0, 0, 1]])
    return np.asarray(middle @ matrix @ back)


def affine_matrix(theta: float, tx: float, ty: float, shear: float, zx: float, zy: float) -> Array:
    """f64[3, 3]: from the place of a pixel in the result to its place in the image, about the origin.

    Rotation, shift, shear and zoom, in this order; angles in degrees.
    """
    turn, slant = np.deg2rad(theta), np.deg2rad(shear)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    sheared = np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
    return np.asarray(rotation @ shift @ sheared @ np.diag([zx, zy, 1.0]))


def apply_affine_transform(
    x: Array,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> Array:
    """An image turned, shifted, sheared and zoomed.

    As in Keras 3, where x is the column; the middle of the image stays where it is, also when it is not square.

    Args:
        x: one image, `(height, width, channels)` in the order that the axes say.
        theta: angle of a turn, degrees.
        tx: shift along x, pixels: column j of the result is column j + tx of the image.
        ty: shift along y, pixels: row i of the result is row i + ty of the image.
        shear: angle, degrees.
        zx: zoom along x; below 1 things get larger.
        zy: zoom along y.
        row_axis: axis of the rows in `x`.
        col_axis: axis of the columns.
        channel_axis: axis of the channels, the first or the last.
        fill_mode: outside the image: `"constant"` (`cval`), `"nearest"` (aaa|abcd|ddd), `"reflect"` (cba|abcd|dcb) or
            `"wrap"` (the image again, first and last row being one).
        cval: see `fill_mode`.
        order: 0 takes the nearest pixel, 1 interpolates between four.

    Raises:
        ShapeError: `x` is no single image.
        InvalidArgumentError: the axes are not 0, 1 and 2 with the channels outside; an unknown `fill_mode`.
        UnsupportedError: an `order` above 1.
    """
    if x.ndim != 3:
        raise ShapeError("an affine transform takes one image", got=f"shape {x.shape}", needed="three axes")
    if sorted((row_axis, col_axis, channel_axis)) != [0, 1, 2] or channel_axis == 1:
        raise InvalidArgumentError(
            "the axes of an image",
            got=f"row_axis={row_axis}, col_axis={col_axis}, channel_axis={channel_axis}",
            needed="0, 1 and 2, the channels being the first or the last",
        )
    if fill_mode not in FILL_MODES:
        raise InvalidArgumentError(f"fill_mode={fill_mode!r}", needed="one of " + ", ".join(FILL_MODES))
    if order not in (0, 1):
        raise UnsupportedError(f"interpolation of order {order} is not there", fix="use order 0 or 1")
    if (theta, tx, ty, shear, zx, zy) == (0, 0, 0, 0, 1, 1):
        return x
    planes = np.moveaxis(x, channel_axis, -1)
    swapped = col_axis < row_axis
    if swapped:
        planes = planes.swapaxes(0, 1)
    height, width = planes.shape[:2]
    matrix = transform_matrix_offset_center(affine_matrix(theta, tx, ty, shear, zx, zy), width, height)
    # The map is of (x, y), the array of (row, column): both axes change places in it.
    planes = _sampled(planes, matrix[[1, 0, 2]][:, [1, 0, 2]], fill_mode, cval, order)
    return np.moveaxis(planes.swapaxes(0, 1) if swapped else planes, -1, channel_axis)


def _sampled(planes: Array, matrix: Array, fill_mode: str, cval: float, order: int) -> Array:
    """[height, width, channels]: the image at the places that the map gives."""
    height, width = planes.shape[:2]
    rows, columns = np.indices((height, width), dtype=np.float64)
    places = [line[0] * rows + line[1] * columns + line[2] for line in matrix[:2]]
    wide = planes.astype(np.float64)
    (top, bottom, down), (left, right, across) = (
        _neighbours(place, size, fill_mode, order) for place, size in zip(places, (height, width))
    )
    if order == 0:
        result = wide[top, left]
    else:
        down, across = down[..., None], across[..., None]
        upper = wide[top, left] * (1 - across) + wide[top, right] * across
        lower = wide[bottom, left] * (1 - across) + wide[bottom, right] * across
        result = upper * (1 - down) + lower * down
    if fill_mode == "constant":
        outside = [(place < 0) | (place > size - 1) for place, size in zip(places, (height, width))]
        result[outside[0] | outside[1]] = cval
    if planes.dtype.kind in "iu":
        result = np.rint(result)
    return result.astype(planes.dtype)


def _neighbours(place: Array, size: int, fill_mode: str, order: int) -> tuple[Array, Array, Array]:
    """The pixels before and after each place of one axis, and how far it is from the first of them (0 ... 1)."""
    if fill_mode == "wrap":
        # The period is size - 1: the first and the last pixel fall together, as in scipy.ndimage.
        period = max(size - 1, 1)
        below, above = period * (np.trunc(-place / period) + 1), period * np.trunc(place / period)
        place = np.where(place < 0, place + below, np.where(place > size - 1, place - above, place))
    elif fill_mode != "reflect":
        place = np.clip(place, 0, size - 1)
    first = np.floor(place + 0.5 if order == 0 else place)
    return _inside(first, size), _inside(first + 1, size), place - first


def _inside(number: Array, size: int) -> npt.NDArray[np.intp]:
    """Pixel numbers beyond the ends reflected about the edges."""
    turned = number.astype(np.intp) % (2 * size)
    return np.minimum(turned, 2 * size - 1 - turned)


def apply_channel_shift(x: Array, intensity: float, channel_axis: int = 0) -> Array:
    """`intensity` added to an image, within its least and largest value."""
    del channel_axis  # every channel gets the same
    return np.clip(x + intensity, x.min(), x.max()).astype(x.dtype)


def apply_brightness_shift(x: Array, brightness: float, scale: bool = True) -> Array:
    """An image made darker (below 1) or brighter, by way of whole numbers 0 ... 255.

    Args:
        x: one image in the default layout.
        brightness: factor; the fraction is cut off.
        scale: bring the values to 0 ... 255 first, and leave them there; else values outside come back to their range.
    """
    least, largest = x.min(), x.max()
    outside = bool(least < 0 or largest > 255)
    pixels = to_bytes(x, scale=outside or scale).astype(np.float32)
    lit = np.clip(np.trunc(pixels * np.float32(brightness)), 0, 255)
    if lit.shape[2] == 4:
        lit[..., 3] = pixels[..., 3]  # transparency is no light
    result = img_to_array(lit)
    return result / 255 * (largest - least) + least if outside and not scale else result


# -- at random ------------------------------------------------------------------------------------------------------
def random_rotation(
    x: Array,
    rg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """A turn by an angle in -rg ... rg degrees; the rest as in `apply_affine_transform`."""
    axes = (row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, np.random.uniform(-rg, rg), 0, 0, 0, 1, 1, *axes)


def random_shift(
    x: Array,
    wrg: float,
    hrg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """A shift by up to the fractions `hrg` of the height (up and down) and `wrg` of the width (left and right)."""
    down = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    right = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    axes = (row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, 0, right, down, 0, 1, 1, *axes)


def random_shear(
    x: Array,
    intensity: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """A shear by an angle in -intensity ... intensity degrees."""
    axes = (row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, 0, 0, 0, np.random.uniform(-intensity, intensity), 1, 1, *axes)


def random_zoom(
    x: Array,
    zoom_range: Sequence[float],
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Array:
    """A zoom by a factor of its own along each axis, both in `zoom_range`."""
    low, high = pair("zoom_range", zoom_range)
    zx, zy = (1, 1) if low == high == 1 else np.random.uniform(low, high, 2)
    axes = (row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, 0, 0, 0, 0, zx, zy, *axes)


def random_channel_shift(x: Array, intensity_range: float, channel_axis: int = 0) -> Array:
    """`apply_channel_shift` by a number in -intensity_range ... intensity_range."""
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis)


def random_brightness(x: Array, brightness_range: Sequence[float], scale: bool = True) -> Array:
    """`apply_brightness_shift` by a factor in `brightness_range`."""
    return apply_brightness_shift(x, np.random.uniform(*pair("brightness_range", brightness_range)), scale)


def pair(name: str, value: Any) -> tuple[float, float]:
    """Two numbers from an argument.

    Raises:
        InvalidArgumentError: it is no list or tuple of two numbers.
    """
    good = isinstance(value, (list, tuple)) and len(value) == 2
    if not good or not all(isinstance(one, (int, float, np.number)) for one in value):
        raise InvalidArgumentError(f"{name}={value!r}", needed="two numbers, as in (0.8, 1.2)")
    return value[0], value[1]


def axes_of(data_format: str | None) -> tuple[int, int, int]:
    """(rows, columns, channels): the axes of one image."""
    return (0, 1, 2) if check_layout(data_format) == "channels_last" else (1, 2, 0)
