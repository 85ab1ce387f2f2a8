"""EfficientNet, second version (Tan and Le 2021): full convolutions in place of depthwise ones in early stages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kgraph import layers
from kgraph.applications.building import (
    Classifier,
    assemble,
    batch_norm,
    channel_axis,
    channels,
    conv,
    decode_predictions,
    preprocessor,
)
from kgraph.applications.efficientnet import classifier, excited, joined, kernels, swish
from kgraph.models import Model

__all__ = [
    *(f"EfficientNetV2{kind}" for kind in ("B0", "B1", "B2", "B3", "L", "M", "S")),
    "decode_predictions",
    "preprocess_input",
]

# repeats, filters in, filters out, expansion, share of squeeze and excitation, stride, fused
Stage = tuple[int, int, int, int, float, int, bool]
_BASE: tuple[Stage, ...] = (
    (1, 32, 16, 1, 0.0, 1, True),
    (2, 16, 32, 4, 0.0, 2, True),
    (2, 32, 48, 4, 0.0, 2, True),
    (3, 48, 96, 4, 0.25, 2, False),
    (5, 96, 112, 6, 0.25, 1, False),
    (8, 112, 192, 6, 0.25, 2, False),
)
_SMALL: tuple[Stage, ...] = (
    (2, 24, 24, 1, 0.0, 1, True),
    (4, 24, 48, 4, 0.0, 2, True),
    (4, 48, 64, 4, 0.0, 2, True),
    (6, 64, 128, 4, 0.25, 2, False),
    (9, 128, 160, 6, 0.25, 1, False),
    (15, 160, 256, 6, 0.25, 2, False),
)
_MEDIUM: tuple[Stage, ...] = (
    (3, 24, 24, 1, 0.0, 1, True),
    (5, 24, 48, 4, 0.0, 2, True),
    (5, 48, 80, 4, 0.0, 2, True),
    (7, 80, 160, 4, 0.25, 2, False),
    (14, 160, 176, 6, 0.25, 1, False),
    (18, 176, 304, 6, 0.25, 2, False),
    (5, 304, 512, 6, 0.25, 1, False),
)
_LARGE: tuple[Stage, ...] = (
    (4, 32, 32, 1, 0.0, 1, True),
    (7, 32, 64, 4, 0.0, 2, True),
    (7, 64, 96, 4, 0.0, 2, True),
    (10, 96, 192, 4, 0.25, 2, False),
    (19, 192, 224, 6, 0.25, 1, False),
    (25, 224, 384, 6, 0.25, 2, False),
    (7, 384, 640, 6, 0.25, 1, False),
)
_MEAN, _VARIANCE = [0.485, 0.456, 0.406], [0.229**2, 0.224**2, 0.225**2]


def _norm(x: Any, name: str) -> Any:
    return batch_norm(x, name, momentum=0.9)


def _wide(filters: float) -> int:
    """The nearest multiple of 8, halves up."""
    return max(8, int(filters + 4) // 8 * 8)


def _conv(x: Any, filters: int, window: int, stride: int, name: str) -> Any:
    return conv(x, filters, window, stride, kernel_initializer=kernels(), name=name)


def _spread(x: Any, filters: int, stride: int, expansion: int, fused: bool, name: str) -> Any:
    """Up to `filters` channels, and over the neighbours: in one convolution if fused, else in two."""
    if expansion != 1:
        x = _conv(x, filters, 3 if fused else 1, stride if fused else 1, f"{name}expand_conv")
        x = swish(_norm(x, f"{name}expand_bn"), f"{name}expand_activation")
    if fused:
        return x
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, depthwise_initializer=kernels(), name=f"{name}dwconv2"
    )(x)
    return swish(_norm(x, f"{name}bn"), f"{name}activation")


def _block(x: Any, stage: Stage, wide_in: int, wide_out: int, stride: int, drop: float, name: str) -> Any:
    expansion, share, fused = stage[3], stage[4], stage[6]
    before, filters = x, wide_in * expansion
    x = _spread(x, filters, stride, expansion, fused, name)
    if share:
        x = excited(x, filters, max(1, int(wide_in * share)), name)
    alone = fused and expansion == 1  # then the projection is the only convolution
    x = _conv(x, wide_out, 3 if alone else 1, stride if alone else 1, f"{name}project_conv")
    x = _norm(x, f"{name}project_bn")
    if alone:
        x = swish(x, f"{name}project_activation")
    return joined(x, before, drop, name) if stride == 1 and wide_in == wide_out else x


def _scaled(x: Any, base: bool) -> Any:
    if not base or channels(x) != 3:
        return layers.Rescaling(scale=1.0 / 128.0, offset=-1)(x)
    x = layers.Rescaling(scale=1.0 / 255)(x)
    return layers.Normalization(mean=_MEAN, variance=_VARIANCE, axis=channel_axis())(x)


def _body(stages: tuple[Stage, ...], width: float, depth: float, base: bool, preprocess: bool) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        if preprocess:
            x = _scaled(x, base)
        x = _conv(x, _wide(stages[0][1] * width), 3, 2, "stem_conv")
        x = swish(_norm(x, "stem_bn"), "stem_activation")
        total, done = sum(stage[0] for stage in stages), 0
        for i, stage in enumerate(stages, start=1):
            one, two = _wide(stage[1] * width), _wide(stage[2] * width)
            for j in range(math.ceil(depth * stage[0])):
                sizes = (two if j else one, two, 1 if j else stage[5])
                x = _block(x, stage, *sizes, 0.2 * done / total, f"block{i}{chr(97 + j)}_")
                done += 1
        x = _conv(x, _wide(1280 * width), 1, 1, "top_conv")
        return swish(_norm(x, "top_bn"), "top_activation")

    return body


def _version(kind: str, stages: tuple[Stage, ...], size: int, width: float = 1.0, depth: float = 1.0) -> Any:
    title, stem = f"EfficientNetV2{kind}", f"efficientnetv2-{kind.lower()}"

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str | None = stem,
    ) -> Model:
        body = _body(stages, width, depth, kind.startswith("B"), include_preprocessing)
        parts = Classifier(body, classifier(0.2), size=size, files=(f"{stem}.h5", f"{stem}_notop.h5"))
        return assemble(
            parts, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
        )

    build.__name__ = build.__qualname__ = title
    build.__doc__ = (
        f"EfficientNetV2, {kind}; with `include_preprocessing` for pixels in [0, 255], else in [-1, 1].\n\n"
        "    The other arguments and errors: see `kgraph.applications.building.assemble`."
    )
    return build


EfficientNetV2B0 = _version("B0", _BASE, 224)
EfficientNetV2B1 = _version("B1", _BASE, 240, 1.0, 1.1)
EfficientNetV2B2 = _version("B2", _BASE, 260, 1.1, 1.2)
EfficientNetV2B3 = _version("B3", _BASE, 300, 1.2, 1.4)
EfficientNetV2S = _version("S", _SMALL, 384)
EfficientNetV2M = _version("M", _MEDIUM, 480)
EfficientNetV2L = _version("L", _LARGE, 480)
preprocess_input = preprocessor("")
