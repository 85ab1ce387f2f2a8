"""What the families share about ImageNet: scales of pixels, names of classes, sizes of inputs, files of weights."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.session import floatx, image_data_format
from kgraph.errors import FileError, FileMissingError, InvalidArgumentError, ShapeError

__all__ = ["decode_predictions", "find_file", "input_size", "preprocess_input"]

# Means (and deviations) of the channels: of R, G, B in [0, 1], and of B, G, R in [0, 255].
_TORCH = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
_CAFFE = [103.939, 116.779, 123.68]


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Bring pixels from [0, 255] to the range that a family was trained with.

    Args:
        x: array or tensor [..., height, width, 3] (channels first: 3 before the sizes).  A float array is changed in
            place where the mode does not turn the channels round, as in Keras.
        data_format: `"channels_last"` or `"channels_first"`; that of the session by default.
        mode: `"tf"`: [-1, 1]; `"torch"`: [0, 1], less mean, over deviation; `"caffe"`: B, G, R less their means.

    Raises:
        InvalidArgumentError: an unknown mode or data format.
    """
    if mode not in ("caffe", "tf", "torch"):
        raise InvalidArgumentError(f"preprocess_input: argument `mode` is {mode!r}", needed="caffe, tf or torch")
    data_format = data_format or image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise InvalidArgumentError(
            f"preprocess_input: argument `data_format` is {data_format!r}", needed="channels_last or channels_first"
        )
    array = isinstance(x, np.ndarray)
    if array and not np.issubdtype(x.dtype, np.floating):
        x = x.astype(floatx())
    if mode == "tf":
        if array:
            x /= 127.5
            x -= 1.0
            return x
        return x / 127.5 - 1.0
    first = data_format == "channels_first"
    mean, deviation = (_CAFFE, None) if mode == "caffe" else _TORCH
    if mode == "caffe":
        x = np.flip(x, -3 if first else -1) if array else ops.flip(x, axis=len(x.shape) - 3 if first else -1)
    else:
        x = x / 255.0
    dtype = x.dtype if array else "float32"

    def row(values: Any) -> Any:
        return np.asarray(values, dtype).reshape((3, 1, 1) if first else (3,))

    x = x - row(mean)
    return x if deviation is None else x / row(deviation)


def _folders() -> list[Path]:
    home = os.environ.get("KERAS_HOME")
    return [Path(home) / "models"] if home else [Path.home() / ".keras" / "models"]


def find_file(name: str, what: str) -> Path:
    """The file `name` where Keras keeps what it has downloaded: `$KERAS_HOME/models` or `~/.keras/models`.

    Raises:
        FileMissingError: it is not there; kgraph downloads nothing.
    """
    for folder in _folders():
        if (folder / name).is_file():
            return folder / name
    raise FileMissingError(
        f"{what} are not on this machine, and kgraph downloads nothing",
        got=f"no file {name}",
        needed=f"{name} in {' or '.join(str(folder) for folder in _folders())}, where Keras puts it",
        fix="copy the file there, or give its path",
    )


@cache
def _class_index(path: Path, changed: float) -> dict[str, tuple[str, str]]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {str(int(key)): (str(value[0]), str(value[1])) for key, value in table.items()}
    except (ValueError, AttributeError, TypeError, IndexError) as error:
        raise FileError(
            f"{path} is no list of classes", got=str(error), needed='JSON like {"0": ["n01440764", "tench"], ...}'
        ) from None


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """The `top` most probable classes of each sample, best first: (WordNet id, name, score).

    The names come from `imagenet_class_index.json` beside the weights, see `find_file`.

    Args:
        preds: f32[N, 1000].
        top: how many.

    Raises:
        ShapeError: another shape.
        FileMissingError: the list of classes is not on this machine.
    """
    scores = np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ShapeError(
            "`decode_predictions` expects a batch of predictions over the 1000 classes of ImageNet",
            got=f"shape {scores.shape}",
            needed="(samples, 1000)",
        )
    path = find_file("imagenet_class_index.json", "the names of the classes")
    names = _class_index(path, path.stat().st_mtime)
    result = []
    for row in scores:
        best = np.argsort(row, kind="stable")[::-1][:top]
        result.append([(*names[str(i)], row[i]) for i in best])
    return result


def input_size(
    input_shape: Any, default: int, least: int, include_top: bool, weights: Any, name: str
) -> tuple[int | None, ...]:
    """The shape of one image.

    Args:
        input_shape: what the user gave, or None.
        default: height and width where nothing is given, with the top and without: strided convolutions with the
            padding `same` need a known size.
        least: the smallest height and width that the layers leave something of.
        include_top: the sizes must be known.
        weights: `"imagenet"` needs three channels, and with the top the size that it was trained at.

    Raises:
        ShapeError: it does not fit.
    """
    first = image_data_format() == "channels_first"

    def shaped(size: int | None, channels: int) -> tuple[int | None, ...]:
        return (channels, size, size) if first else (size, size, channels)

    trained = weights == "imagenet"
    if input_shape is None:
        return shaped(default, 3)
    shape = tuple(input_shape)
    if len(shape) != 3:
        raise ShapeError(f"{name}: `input_shape` must be a tuple of three integers", got=str(shape))
    channels, sizes = (shape[0], shape[1:]) if first else (shape[-1], shape[:-1])
    if trained and channels != 3:
        raise ShapeError(f"{name}: the weights of ImageNet are for 3 channels", got=f"input_shape={shape}")
    if trained and include_top and shape != shaped(default, 3):
        raise ShapeError(
            f"{name}: with include_top=True the weights of ImageNet fit one size",
            got=f"input_shape={shape}",
            needed=str(shaped(default, 3)),
            fix="leave input_shape out, or take include_top=False",
        )
    if any(size is not None and size < least for size in sizes):
        raise ShapeError(f"{name}: images must have at least {least}x{least} pixels", got=f"input_shape={shape}")
    if include_top and None in shape:
        raise ShapeError(
            f"{name}: with include_top=True the size of the images must be known", got=f"input_shape={shape}"
        )
    return shape
