"""Inception, third version (Szegedy et al. 2015): branches of convolutions of several shapes, joined by channels."""

from __future__ import annotations

from typing import Any

from kgraph import layers
from kgraph.applications.building import (
    Classifier,
    application,
    batch_norm,
    channel_axis,
    conv,
    decode_predictions,
    dense_top,
    preprocessor,
)
from kgraph.applications.vgg16 import files

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

# filters, rows, columns; a fourth number is the stride, which goes without padding
Step = tuple[int, ...]


def _conv(x: Any, filters: int, rows: int, columns: int, stride: int = 1, padding: str = "") -> Any:
    padding = padding or ("same" if stride == 1 else "valid")
    x = batch_norm(conv(x, filters, (rows, columns), stride, padding), scale=False)
    return layers.Activation("relu")(x)


def _branch(x: Any, *steps: Step) -> Any:
    for filters, rows, columns, *stride in steps:
        x = _conv(x, filters, rows, columns, stride[0] if stride else 1)
    return x


def _mean(x: Any, filters: int) -> Any:
    return _conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), filters, 1, 1)


def _shrunk(x: Any) -> Any:
    return layers.MaxPooling2D(3, strides=2)(x)


def _joined(branches: list[Any], name: str | None = None) -> Any:
    return layers.concatenate(branches, axis=channel_axis(), name=name)


def _sevens(x: Any, wide: int, name: str) -> Any:
    """Convolutions of 1x7 and 7x1, one after another."""
    row, column = (wide, 1, 7), (wide, 7, 1)
    branches = [
        _conv(x, 192, 1, 1),
        _branch(x, (wide, 1, 1), row, (192, 7, 1)),
        _branch(x, (wide, 1, 1), column, row, column, (192, 1, 7)),
        _mean(x, 192),
    ]
    return _joined(branches, name)


def _fan(x: Any, name: str | None, *steps: Step) -> Any:
    """A branch that ends in a 1x3 and a 3x1 convolution side by side."""
    x = _branch(x, *steps)
    return _joined([_conv(x, 384, 1, 3), _conv(x, 384, 3, 1)], name)


def _body(x: Any) -> Any:
    x = _conv(x, 32, 3, 3, 2)
    x = _conv(x, 32, 3, 3, padding="valid")
    x = _shrunk(_conv(x, 64, 3, 3))
    x = _conv(x, 80, 1, 1, padding="valid")
    x = _shrunk(_conv(x, 192, 3, 3, padding="valid"))
    for i, pooled in enumerate((32, 64, 64)):
        double = _conv(x, 64, 1, 1), _branch(x, (48, 1, 1), (64, 5, 5)), _branch(x, (64, 1, 1), (96, 3, 3), (96, 3, 3))
        x = _joined([*double, _mean(x, pooled)], f"mixed{i}")
    x = _joined(
        [_conv(x, 384, 3, 3, 2), _branch(x, (64, 1, 1), (96, 3, 3), (96, 3, 3, 2)), _shrunk(x)],
        "mixed3",
    )
    for i, wide in enumerate((128, 160, 160, 192), start=4):
        x = _sevens(x, wide, f"mixed{i}")
    long = (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2)
    x = _joined([_branch(x, (192, 1, 1), (320, 3, 3, 2)), _branch(x, *long), _shrunk(x)], "mixed8")
    for i in range(2):
        one = _conv(x, 320, 1, 1)
        three = _fan(x, f"mixed9_{i}", (384, 1, 1))
        double = _fan(x, None, (448, 1, 1), (384, 3, 3))
        x = _joined([one, three, double, _mean(x, 192)], f"mixed{9 + i}")
    return x


InceptionV3 = application(
    "InceptionV3",
    Classifier(_body, dense_top(), size=299, least=75, files=files("inception_v3"), pooling_names=False),
    "inception_v3",
    "Branches of convolutions of several shapes.",
)
preprocess_input = preprocessor("tf")
