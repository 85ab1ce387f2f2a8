"""Residual networks, first version (He et al. 2015): the sum is the last thing of a block, before its ReLU."""

from __future__ import annotations

from collections.abc import Callable
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

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

EPSILON = 1.001e-5


def norm_relu(x: Any, norm: str, relu: str) -> Any:
    """Batch normalisation with the epsilon of this family, and ReLU."""
    return layers.Activation("relu", name=relu)(batch_norm(x, norm, epsilon=EPSILON))


def stem(x: Any, bias: bool = True) -> Any:
    """The first convolution, of 7 by 7."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    return conv(x, 64, 7, 2, "valid", bias, name="conv1_conv")


def stem_pool(x: Any) -> Any:
    """The first pooling."""
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _block(x: Any, filters: int, stride: int, project: bool, name: str) -> Any:
    """1x1, 3x3 and 1x1 convolutions beside the input, or beside its projection."""
    shortcut = x
    if project:
        shortcut = conv(x, 4 * filters, 1, stride, "valid", True, name=f"{name}_0_conv")
        shortcut = batch_norm(shortcut, f"{name}_0_bn", epsilon=EPSILON)
    x = conv(x, filters, 1, stride, "valid", True, name=f"{name}_1_conv")
    x = norm_relu(x, f"{name}_1_bn", f"{name}_1_relu")
    x = conv(x, filters, 3, bias=True, name=f"{name}_2_conv")
    x = norm_relu(x, f"{name}_2_bn", f"{name}_2_relu")
    x = conv(x, 4 * filters, 1, 1, "valid", True, name=f"{name}_3_conv")
    x = batch_norm(x, f"{name}_3_bn", epsilon=EPSILON)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _body(*counts: int) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        x = stem_pool(norm_relu(stem(x), "conv1_bn", "conv1_relu"))
        for i, count in enumerate(counts):
            for j in range(count):
                stride = 2 if i and not j else 1
                x = _block(x, 64 << i, stride, not j, f"conv{i + 2}_block{j + 1}")
        return x

    return body


def _resnet(depth: int, *counts: int) -> Any:
    name = f"resnet{depth}"
    parts = Classifier(_body(*counts), dense_top(), files=files(name))
    return application(f"ResNet{depth}", parts, name, f"A residual network of {depth} layers.")


ResNet50 = _resnet(50, 3, 4, 6, 3)
ResNet101 = _resnet(101, 3, 4, 23, 3)
ResNet152 = _resnet(152, 3, 8, 36, 3)
preprocess_input = preprocessor("caffe")
