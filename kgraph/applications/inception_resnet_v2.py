"""Inception with residual connections, second version (Szegedy et al. 2016)."""

from __future__ import annotations

from typing import Any

from kgraph import layers
from kgraph.applications.building import (
    Classifier,
    application,
    batch_norm,
    channel_axis,
    channels,
    conv,
    decode_predictions,
    dense_top,
    preprocessor,
)
from kgraph.applications.vgg16 import files

__all__ = ["CustomScaleLayer", "InceptionResNetV2", "decode_predictions", "preprocess_input"]

# filters, window; a third entry is the stride, which goes without padding
Step = tuple[Any, ...]


class CustomScaleLayer(layers.Layer):
    """a + scale · b of [a, b]; small scales keep the sums of many blocks in bounds."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        """Add."""
        return inputs[0] + inputs[1] * self.scale

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "scale": self.scale}


layers._REGISTRY.add(CustomScaleLayer)


def _conv(x: Any, filters: int, size: Any, stride: int = 1, padding: str = "", name: str | None = None) -> Any:
    padding = padding or ("same" if stride == 1 else "valid")
    x = batch_norm(conv(x, filters, size, stride, padding, name=name), name and f"{name}_bn", scale=False)
    return layers.Activation("relu", name=name and f"{name}_ac")(x)


def _branch(x: Any, *steps: Step) -> Any:
    for step in steps:
        x = _conv(x, *step)
    return x


def _joined(branches: list[Any], name: str) -> Any:
    return layers.Concatenate(axis=channel_axis(), name=name)(branches)


_BLOCKS: dict[str, tuple[tuple[Step, ...], ...]] = {
    "block35": (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
    "block17": (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
    "block8": (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
}


def _block(x: Any, scale: float, kind: str, index: int, relu: bool = True) -> Any:
    name = f"{kind}_{index}"
    mixed = _joined([_branch(x, *steps) for steps in _BLOCKS[kind]], f"{name}_mixed")
    up = conv(mixed, channels(x), 1, bias=True, name=f"{name}_conv")
    x = CustomScaleLayer(scale)([x, up])
    return layers.Activation("relu", name=f"{name}_ac")(x) if relu else x


def _body(x: Any) -> Any:
    x = _conv(x, 32, 3, 2)
    x = _conv(x, 32, 3, padding="valid")
    x = layers.MaxPooling2D(3, strides=2)(_conv(x, 64, 3))
    x = _conv(x, 80, 1, padding="valid")
    x = layers.MaxPooling2D(3, strides=2)(_conv(x, 192, 3, padding="valid"))
    branches = [_conv(x, 96, 1), _branch(x, (48, 1), (64, 5)), _branch(x, (64, 1), (96, 3), (96, 3))]
    branches.append(_conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), 64, 1))
    x = _joined(branches, "mixed_5b")
    for i in range(1, 11):
        x = _block(x, 0.17, "block35", i)
    branches = [_conv(x, 384, 3, 2), _branch(x, (256, 1), (256, 3), (384, 3, 2))]
    x = _joined([*branches, layers.MaxPooling2D(3, strides=2)(x)], "mixed_6a")
    for i in range(1, 21):
        x = _block(x, 0.1, "block17", i)
    branches = [_branch(x, (256, 1), (384, 3, 2)), _branch(x, (256, 1), (288, 3, 2))]
    branches.append(_branch(x, (256, 1), (288, 3), (320, 3, 2)))
    x = _joined([*branches, layers.MaxPooling2D(3, strides=2)(x)], "mixed_7a")
    for i in range(1, 10):
        x = _block(x, 0.2, "block8", i)
    return _conv(_block(x, 1.0, "block8", 10, relu=False), 1536, 1, name="conv_7b")


InceptionResNetV2 = application(
    "InceptionResNetV2",
    Classifier(_body, dense_top(), size=299, least=75, files=files("inception_resnet_v2"), pooling_names=False),
    "inception_resnet_v2",
    "Branches of convolutions, added to what they read.",
)
preprocess_input = preprocessor("tf")
