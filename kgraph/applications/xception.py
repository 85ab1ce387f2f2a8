"""Xception (Chollet 2016): residual blocks of separable convolutions."""

from __future__ import annotations

from typing import Any

from kgraph import layers
from kgraph.applications.building import (
    Classifier,
    application,
    batch_norm,
    conv,
    decode_predictions,
    dense_top,
    preprocessor,
)
from kgraph.applications.vgg16 import files

__all__ = ["Xception", "decode_predictions", "preprocess_input"]


def _relu(x: Any, name: str) -> Any:
    return layers.Activation("relu", name=name)(x)


def _separable(x: Any, filters: int, name: str) -> Any:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return batch_norm(x, f"{name}_bn")


def _halving(x: Any, block: str, first: int, second: int, relu_first: bool = True) -> Any:
    """Two separable convolutions and a pooling, beside a strided 1x1 convolution."""
    residual = batch_norm(conv(x, second, 1, 2))
    if relu_first:
        x = _relu(x, f"{block}_sepconv1_act")
    x = _separable(x, first, f"{block}_sepconv1")
    x = _relu(x, f"{block}_sepconv2_act")
    x = _separable(x, second, f"{block}_sepconv2")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{block}_pool")(x)
    return layers.add([x, residual])


def _body(x: Any) -> Any:
    for i, (filters, stride) in enumerate(((32, 2), (64, 1)), start=1):
        x = conv(x, filters, 3, stride, "valid", name=f"block1_conv{i}")
        x = _relu(batch_norm(x, f"block1_conv{i}_bn"), f"block1_conv{i}_act")
    x = _halving(x, "block2", 128, 128, relu_first=False)
    x = _halving(x, "block3", 256, 256)
    x = _halving(x, "block4", 728, 728)
    for block in range(5, 13):
        residual = x
        for i in range(1, 4):
            x = _separable(_relu(x, f"block{block}_sepconv{i}_act"), 728, f"block{block}_sepconv{i}")
        x = layers.add([x, residual])
    x = _halving(x, "block13", 728, 1024)
    for i, filters in ((1, 1536), (2, 2048)):
        x = _relu(_separable(x, filters, f"block14_sepconv{i}"), f"block14_sepconv{i}_act")
    return x


Xception = application(
    "Xception",
    Classifier(_body, dense_top(), size=299, least=71, files=files("xception"), pooling_names=False),
    "xception",
    "Separable convolutions with shortcuts.",
)
preprocess_input = preprocessor("tf")
