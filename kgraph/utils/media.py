"""Images, sounds and texts from files: Pillow for most image formats, NumPy and the standard library for the rest."""

from __future__ import annotations

import re
import wave
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import FileError, InvalidArgumentError, UnsupportedError

__all__ = ["IMAGE_FILES", "read_image", "read_text", "read_wav"]

Array = npt.NDArray[Any]
_PILLOW_FILES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
IMAGE_FILES = (*_PILLOW_FILES, ".npy", ".pgm", ".ppm")
# Luminance of red, green and blue (ITU-R 601), as Pillow has it.
_LUMINANCE = np.array([299, 587, 114], np.float32) / 1000


def read_text(path: str) -> str:
    """The text of a file in UTF-8.

    Raises:
        FileError: it is no text.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise FileError(f"the file {path} is no text in UTF-8") from None


def read_wav(path: str, rate: int | None = None) -> Array:
    """f32[time, channels]: the samples of a WAV file with whole numbers of 8 to 32 bits, from -1 to 1.

    Raises:
        FileError: it is no such file.
        UnsupportedError: it has another sampling rate than asked for.
    """
    try:
        with wave.open(path, "rb") as file:
            width, channels, found = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise FileError(f"the file {path} is no WAV file with whole numbers", got=str(error)) from None
    if rate is not None and found != rate:
        raise UnsupportedError(
            f"the file {path} has {found} samples a second, not {rate}", fix="resample the files before"
        )
    if width == 1:
        values = np.frombuffer(data, np.uint8).astype(np.float32) / 128 - 1
    elif width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    else:
        values = (np.frombuffer(data, f"<i{width}") / 2.0 ** (8 * width - 1)).astype(np.float32)
    return values.reshape(-1, channels)


def read_image(path: str, size: tuple[int, int], channels: int, interpolation: str, keep: str = "") -> Array:
    """f32[height, width, channels]: an image from 0 to 255, in a given size.

    Args:
        path: of the file.
        size: (height, width).
        channels: 1, 3 or 4.
        interpolation: as `ops.resize` takes it.
        keep: "crop" or "pad" to keep the proportions.

    Raises:
        FileError: it is no image.
        MissingLibraryError: it needs Pillow, which is not installed.
    """
    from kgraph import ops

    pixels = _pixels(path, channels)
    height, width = pixels.shape[:2]
    if keep == "crop":
        tall, wide = min(height, int(width * size[0] / size[1])), min(width, int(height * size[1] / size[0]))
        top, left = (height - tall) // 2, (width - wide) // 2
        pixels = pixels[top : top + tall, left : left + wide]
    elif keep == "pad":
        tall, wide = max(height, int(width * size[0] / size[1])), max(width, int(height * size[1] / size[0]))
        top, left = (tall - height) // 2, (wide - width) // 2
        pixels = np.pad(pixels, [(top, tall - height - top), (left, wide - width - left), (0, 0)])
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(ops.resize(pixels, size, interpolation=interpolation, data_format="channels_last"))


def _pixels(path: str, channels: int) -> Array:
    """f32[height, width, channels] as the file has them."""
    if path.lower().endswith(_PILLOW_FILES):
        return _by_pillow(path, channels)
    pixels = np.load(path, allow_pickle=False) if path.lower().endswith(".npy") else _netpbm(path)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4):
        raise FileError(f"the file {path} is no image", got=f"an array of shape {pixels.shape}")
    pixels = pixels.astype(np.float32)
    have = pixels.shape[-1]
    if channels == 1 and have > 1:
        return np.round(pixels[..., :3] @ _LUMINANCE)[..., None]
    colours = np.repeat(pixels, 3, axis=-1) if have == 1 and channels > 1 else pixels
    if channels == 4 and have != 4:
        return np.concatenate([colours, np.full_like(colours[..., :1], 255)], axis=-1)
    return colours[..., :channels]


def _by_pillow(path: str, channels: int) -> Array:
    from kgraph.utils.image import pillow

    library = pillow(f"the image {path} (unlike .ppm, .pgm and .npy files)")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    try:
        with library.open(path) as image:
            keep = channels == 1 and image.mode in ("I;16", "I")
            pixels = np.asarray(image if keep or image.mode == mode else image.convert(mode), np.float32)
    except OSError:  # what Pillow raises for files that it does not know, or that are cut off
        raise FileError(f"the file {path} is no image that Pillow knows") from None
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _netpbm(path: str) -> Array:
    """The pixels of a binary PGM (P5) or PPM (P6) file, from 0 to 255."""
    with open(path, "rb") as file:
        data = file.read()
    head = re.match(rb"(P[56])(?:\s+#[^\n]*)*\s+(\d+)(?:\s+#[^\n]*)*\s+(\d+)(?:\s+#[^\n]*)*\s+(\d+)\s", data)
    if head is None:
        raise FileError(f"the file {path} is no binary PGM or PPM file", needed="P5 or P6 at its begin")
    width, height, highest = (int(number) for number in head.groups()[1:])
    channels = 3 if head.group(1) == b"P6" else 1
    kind = np.dtype(">u2") if highest > 255 else np.dtype(np.uint8)
    count = width * height * channels
    if len(data) - head.end() < count * kind.itemsize:
        raise FileError(f"the file {path} ends too early")
    if not highest:
        raise InvalidArgumentError(f"the file {path} has a highest value of 0")
    pixels = np.frombuffer(data, kind, count, head.end()).reshape(height, width, channels)
    return pixels.astype(np.float32) * (255.0 / highest)
