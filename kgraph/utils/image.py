"""Images in files and arrays: `load_img`, `save_img`, `img_to_array`, `array_to_img`, `smart_resize`.

Files and picture objects need Pillow, which is not a dependency; arrays do not.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.session import floatx, image_data_format
from kgraph.errors import (
    CallError,
    FileError,
    FileMissingError,
    InvalidArgumentError,
    KGraphError,
    ShapeError,
)

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize", "to_bytes"]

Array = np.ndarray[Any, np.dtype[Any]]
_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_METHODS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


class MissingLibraryError(KGraphError, ImportError):
    """A library that kgraph does not depend on is needed, and not installed."""


def pillow(what: str) -> Any:
    """The module `PIL.Image`.

    Raises:
        MissingLibraryError: Pillow is not installed; names what needs it.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingLibraryError(f"{what} needs Pillow, which is not installed", fix="pip install pillow") from None
    return Image


def check_layout(data_format: str | None) -> str:
    """A layout of images; None is the default one.

    Raises:
        InvalidArgumentError: neither `channels_last` nor `channels_first`.
    """
    layout = image_data_format() if data_format is None else data_format
    if layout not in ("channels_last", "channels_first"):
        raise InvalidArgumentError(f"data_format={data_format!r}", needed="'channels_last' or 'channels_first'")
    return layout


def to_bytes(x: npt.ArrayLike, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Array:
    """One image as whole numbers, channels last.

    Args:
        x: `(height, width, channels)`, or channels first.
        data_format: of `x`.
        scale: bring the values to 0 ... 255; else they are cut off towards 0, and must fit.
        dtype: to compute in; default: floatx.

    Returns:
        u8[height, width, channels]; i32 for one channel with values above 255.

    Raises:
        ShapeError: the rank is not 3, or there are not 1, 3 or 4 channels.
    """
    array = np.asarray(x, dtype=dtype or floatx())
    if array.ndim != 3:
        raise ShapeError("an image has three axes", got=f"shape {array.shape}", needed="one image, without batch axis")
    if check_layout(data_format) == "channels_first":
        array = array.transpose(1, 2, 0)
    if array.shape[2] not in (1, 3, 4):
        raise ShapeError(f"a picture of {array.shape[2]} channels", got=f"shape {array.shape}", needed="1, 3 or 4")
    if scale and array.size:
        array = array - array.min()
        largest = array.max()
        array = (array / largest if largest else array) * np.asarray(255, array.dtype)
    if array.shape[2] == 1 and array.size and array.max() > 255:
        return array.astype("int32")
    return array.astype("uint8")


def array_to_img(x: npt.ArrayLike, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """A picture of Pillow from an array; see `to_bytes` for the arguments and errors.

    Raises:
        MissingLibraryError: Pillow is not installed.
    """
    library = pillow("array_to_img")
    array = to_bytes(x, data_format, scale, dtype)
    return library.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """An array `(height, width, channels)` (or channels first) from a picture of Pillow, or from an array.

    Raises:
        ShapeError: it has neither two nor three axes.
    """
    array = np.asarray(img, dtype=dtype or floatx())
    if array.ndim == 2:
        array = array[:, :, None]
    elif array.ndim != 3:
        raise ShapeError("an image has two or three axes", got=f"shape {array.shape}")
    first = check_layout(data_format) == "channels_first"
    return np.asarray(array.transpose(2, 0, 1) if first else array)


def save_img(
    path: Any,
    x: npt.ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an image.

    Args:
        path: a path, or a file open for writing.
        x: see `to_bytes`.
        data_format: of `x`.
        file_format: `"png"`, ...; default: by the ending of the path.
        scale: bring the values to 0 ... 255.
        kwargs: for Pillow's `save`.

    Raises:
        MissingLibraryError: Pillow is not installed.
        ShapeError: see `to_bytes`.
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:].lower() or None
    if file_format is not None and file_format.lower() == "jpg":
        file_format = "jpeg"
    picture = array_to_img(x, data_format, scale)
    if picture.mode == "RGBA" and file_format == "jpeg":
        warnings.warn("JPEG has no transparency: the image is saved as RGB", stacklevel=2)
        picture = picture.convert("RGB")
    picture.save(path, format=file_format, **kwargs)


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
    **kwargs: Any,
) -> Any:
    """Read an image file as a picture of Pillow; `img_to_array` makes an array of it.

    Args:
        path: a path, or `io.BytesIO`.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        target_size: (height, width) to resize to.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"hamming"`, `"box"` or `"lanczos"`.
        keep_aspect_ratio: cut to the form of `target_size` at the middle first.
        kwargs: `grayscale=True` of Keras 2.2.

    Raises:
        MissingLibraryError: Pillow is not installed.
        FileMissingError, FileError: there is no such file, or it is no image.
        InvalidArgumentError: an argument has a value that means nothing.
    """
    if kwargs.pop("grayscale", False):
        color_mode = "grayscale"
    if kwargs:
        raise CallError(f"load_img has no argument {next(iter(kwargs))!r}")
    if color_mode not in _MODES:
        raise InvalidArgumentError(f"color_mode={color_mode!r}", needed="'rgb', 'rgba' or 'grayscale'")
    if interpolation not in _METHODS:
        raise InvalidArgumentError(f"interpolation={interpolation!r}", needed="one of " + ", ".join(_METHODS))
    picture = _open(pillow("load_img"), path)
    kept = color_mode == "grayscale" and picture.mode in ("L", "I;16", "I")
    if not kept and picture.mode != _MODES[color_mode]:
        picture = picture.convert(_MODES[color_mode])
    return picture if target_size is None else _resized(picture, target_size, interpolation, keep_aspect_ratio)


def _open(library: Any, path: Any) -> Any:
    if not isinstance(path, (io.BytesIO, str, bytes, os.PathLike)):
        raise CallError("load_img takes a path or io.BytesIO", got=type(path).__name__)
    name = "the data" if isinstance(path, io.BytesIO) else os.fsdecode(path)
    try:
        data = path.read() if isinstance(path, io.BytesIO) else Path(name).read_bytes()
    except FileNotFoundError:
        raise FileMissingError(f"there is no image file {name!r}") from None
    try:
        picture = library.open(io.BytesIO(data))
        picture.load()
    except OSError as error:
        raise FileError(f"{name} cannot be read as an image", got=str(error).split("<")[0].strip()) from None
    return picture


def _resized(picture: Any, size: tuple[int, int], method: str, keep_aspect_ratio: bool) -> Any:
    height, width = (int(side) for side in size)
    if picture.size == (width, height):
        return picture
    resample = getattr(pillow("load_img").Resampling, method.upper())
    if not keep_aspect_ratio:
        return picture.resize((width, height), resample)
    top, left, tall, wide = crop_box(picture.size[1], picture.size[0], height, width)
    return picture.resize((width, height), resample, box=(left, top, left + wide, top + tall))


def crop_box(height: int, width: int, target_height: int, target_width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest middle part that has the form of the target."""
    tall = max(1, min(height, width * target_height // target_width))
    wide = max(1, min(width, height * target_width // target_height))
    return (height - tall) // 2, (width - wide) // 2, tall, wide


def smart_resize(
    x: Any, size: tuple[int, int], interpolation: str = "bilinear", data_format: str = "channels_last"
) -> Any:
    """Images resized without changing their proportions: the middle part of the target's form is taken first.

    Args:
        x: `(height, width, channels)`, or with a batch axis; an array or a tensor of known size.
        size: (height, width).
        interpolation: as in `kgraph.ops.image.resize`.
        data_format: of `x`.

    Returns:
        An array for an array, a tensor for a tensor.

    Raises:
        InvalidArgumentError: `size` is no pair.
        ShapeError: a rank other than 3 or 4.
    """
    from kgraph import ops

    if len(size) != 2:
        raise InvalidArgumentError(f"size={size!r}", needed="(height, width)")
    if len(x.shape) not in (3, 4):
        raise ShapeError("smart_resize takes images", got=f"shape {x.shape}", needed="three or four axes")
    last = check_layout(data_format) == "channels_last"
    height, width = x.shape[-3:-1] if last else x.shape[-2:]
    top, left, tall, wide = crop_box(height, width, *size)
    rows, columns = slice(top, top + tall), slice(left, left + wide)
    part = x[..., rows, columns, :] if last else x[..., rows, columns]
    resized = ops.image.resize(part, tuple(size), interpolation=interpolation, data_format=data_format)
    return np.array(resized) if isinstance(x, np.ndarray) else resized
