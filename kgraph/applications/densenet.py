"""Densely connected networks (Huang et al. 2016): each block reads what all blocks before it have made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgraph import layers
from kgraph.applications.building import (
    Classifier,
    application,
    channel_axis,
    channels,
    conv,
    decode_predictions,
    dense_top,
    preprocessor,
)
from kgraph.applications.resnet import norm_relu
from kgraph.applications.vgg16 import files

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

_GROWTH = 32


def _block(x: Any, name: str) -> Any:
    new = norm_relu(x, f"{name}_0_bn", f"{name}_0_relu")
    new = conv(new, 4 * _GROWTH, 1, 1, "valid", name=f"{name}_1_conv")
    new = norm_relu(new, f"{name}_1_bn", f"{name}_1_relu")
    new = conv(new, _GROWTH, 3, name=f"{name}_2_conv")
    return layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")([x, new])


def _transition(x: Any, name: str) -> Any:
    """Half the channels, half the size."""
    x = norm_relu(x, f"{name}_bn", f"{name}_relu")
    x = conv(x, channels(x) // 2, 1, 1, "valid", name=f"{name}_conv")
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _body(*counts: int) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        x = layers.ZeroPadding2D(3)(x)
        x = conv(x, 64, 7, 2, "valid", name="conv1_conv")
        x = norm_relu(x, "conv1_bn", "conv1_relu")
        x = layers.ZeroPadding2D(1)(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
        for i, count in enumerate(counts):
            for j in range(count):
                x = _block(x, f"conv{i + 2}_block{j + 1}")
            if i < len(counts) - 1:
                x = _transition(x, f"pool{i + 2}")
        return norm_relu(x, "bn", "relu")

    return body


def _densenet(depth: int, *counts: int) -> Any:
    name = f"densenet{depth}"
    parts = Classifier(_body(*counts), dense_top(), files=files(name))
    return application(f"DenseNet{depth}", parts, name, f"A densely connected network of {depth} layers.")


DenseNet121 = _densenet(121, 6, 12, 24, 16)
DenseNet169 = _densenet(169, 6, 12, 32, 32)
DenseNet201 = _densenet(201, 6, 12, 48, 32)
preprocess_input = preprocessor("torch")
