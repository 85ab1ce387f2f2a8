"""Residual networks, second version (He et al. 2016): normalisation and ReLU come before each convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgraph import layers
from kgraph.applications.building import Classifier, application, conv, decode_predictions, dense_top, preprocessor
from kgraph.applications.resnet import norm_relu, stem, stem_pool
from kgraph.applications.vgg16 import files

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


def _block(x: Any, filters: int, stride: int, project: bool, name: str) -> Any:
    ready = norm_relu(x, f"{name}_preact_bn", f"{name}_preact_relu")
    if project:
        shortcut = conv(ready, 4 * filters, 1, stride, "valid", True, name=f"{name}_0_conv")
    else:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = conv(ready, filters, 1, 1, "valid", name=f"{name}_1_conv")
    x = norm_relu(x, f"{name}_1_bn", f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = conv(x, filters, 3, stride, "valid", name=f"{name}_2_conv")
    x = norm_relu(x, f"{name}_2_bn", f"{name}_2_relu")
    x = conv(x, 4 * filters, 1, 1, "valid", True, name=f"{name}_3_conv")
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _body(*counts: int) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        x = stem_pool(stem(x))
        for i, count in enumerate(counts):
            for j in range(count):
                # The last block of a stack halves the size, but for the last stack.
                stride = 2 if j == count - 1 and i < len(counts) - 1 else 1
                x = _block(x, 64 << i, stride, not j, f"conv{i + 2}_block{j + 1}")
        return norm_relu(x, "post_bn", "post_relu")

    return body


def _resnet(depth: int, *counts: int) -> Any:
    name = f"resnet{depth}v2"
    parts = Classifier(_body(*counts), dense_top(), files=files(name))
    return application(f"ResNet{depth}V2", parts, name, f"A residual network of {depth} layers, second version.")


ResNet50V2 = _resnet(50, 3, 4, 6, 3)
ResNet101V2 = _resnet(101, 3, 4, 23, 3)
ResNet152V2 = _resnet(152, 3, 8, 36, 3)
preprocess_input = preprocessor("tf")
