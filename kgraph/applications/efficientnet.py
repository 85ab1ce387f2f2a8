"""EfficientNet (Tan and Le 2019): one searched network, made wider, deeper and larger together."""

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
    conv,
    correct_pad,
    decode_predictions,
    dense_top,
    divisible,
    preprocessor,
)
from kgraph.initializers import VarianceScaling
from kgraph.models import Model

__all__ = [*(f"EfficientNetB{i}" for i in range(8)), "decode_predictions", "preprocess_input"]

# window, repeats, filters in, filters out, expansion, stride (table 1 of the paper)
_STAGES = (
    (3, 1, 32, 16, 1, 1),
    (3, 2, 16, 24, 6, 2),
    (5, 2, 24, 40, 6, 2),
    (3, 3, 40, 80, 6, 2),
    (5, 3, 80, 112, 6, 1),
    (5, 4, 112, 192, 6, 2),
    (3, 1, 192, 320, 6, 1),
)
_DEVIATION = (0.229, 0.224, 0.225)


def kernels() -> Any:
    """Initial values of convolutions."""
    return VarianceScaling(2.0, "fan_out", "truncated_normal")


def classifier(dropout: float) -> Any:
    """Mean, dropout and a dense layer with the initial values of this family."""
    return dense_top(dropout, kernel_initializer=VarianceScaling(1.0 / 3.0, "fan_out", "uniform"))


def swish(x: Any, name: str) -> Any:
    """The activation of this family."""
    return layers.Activation("swish", name=name)(x)


def excited(x: Any, filters: int, reduced: int, name: str) -> Any:
    """Squeeze and excitation: each channel times a factor that depends on the means of all of them."""
    y = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    shape = (filters, 1, 1) if channel_axis() == 1 else (1, 1, filters)
    y = layers.Reshape(shape, name=f"{name}se_reshape")(y)
    given: dict[str, Any] = {"bias": True, "kernel_initializer": kernels()}
    y = conv(y, reduced, 1, activation="swish", name=f"{name}se_reduce", **given)
    y = conv(y, filters, 1, activation="sigmoid", name=f"{name}se_expand", **given)
    return layers.multiply([x, y], name=f"{name}se_excite")


def joined(x: Any, before: Any, drop: float, name: str) -> Any:
    """The sum with what came in; in training whole branches are dropped (stochastic depth)."""
    if drop > 0:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.add([x, before], name=f"{name}add")


def _block(
    x: Any, name: str, drop: float, window: int, wide_in: int, wide_out: int, expansion: int, stride: int
) -> Any:
    before, filters = x, wide_in * expansion
    if expansion != 1:
        x = conv(x, filters, 1, kernel_initializer=kernels(), name=f"{name}expand_conv")
        x = swish(batch_norm(x, f"{name}expand_bn"), f"{name}expand_activation")
    if stride == 2:
        x = layers.ZeroPadding2D(correct_pad(x, window), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        window,
        strides=stride,
        padding="valid" if stride == 2 else "same",
        use_bias=False,
        depthwise_initializer=kernels(),
        name=f"{name}dwconv",
    )(x)
    x = swish(batch_norm(x, f"{name}bn"), f"{name}activation")
    x = excited(x, filters, max(1, int(wide_in * 0.25)), name)
    x = conv(x, wide_out, 1, kernel_initializer=kernels(), name=f"{name}project_conv")
    x = batch_norm(x, f"{name}project_bn")
    return joined(x, before, drop, name) if stride == 1 and wide_in == wide_out else x


def _body(width: float, depth: float, trained: bool) -> Callable[[Any], Any]:
    def wide(filters: int) -> int:
        return divisible(filters * width)

    def body(x: Any) -> Any:
        x = layers.Rescaling(1.0 / 255.0)(x)
        x = layers.Normalization(axis=channel_axis())(x)
        if trained:
            # The weights of ImageNet were made for inputs that are divided by the deviation's root once more.
            x = layers.Rescaling([1.0 / math.sqrt(value) for value in _DEVIATION])(x)
        x = layers.ZeroPadding2D(correct_pad(x, 3), name="stem_conv_pad")(x)
        x = conv(x, wide(32), 3, 2, "valid", kernel_initializer=kernels(), name="stem_conv")
        x = swish(batch_norm(x, "stem_bn"), "stem_activation")
        counts = [math.ceil(depth * stage[1]) for stage in _STAGES]
        done = 0
        for i, ((window, _, one, two, expansion, stride), count) in enumerate(zip(_STAGES, counts), start=1):
            for j in range(count):
                sizes = (wide(two if j else one), wide(two), expansion, 1 if j else stride)
                x = _block(x, f"block{i}{chr(97 + j)}_", 0.2 * done / sum(counts), window, *sizes)
                done += 1
        x = conv(x, wide(1280), 1, kernel_initializer=kernels(), name="top_conv")
        return swish(batch_norm(x, "top_bn"), "top_activation")

    return body


def _version(kind: str, width: float, depth: float, size: int, dropout: float) -> Callable[..., Model]:
    title = f"EfficientNet{kind}"

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str | None = title.lower(),
    ) -> Model:
        stem = title.lower()
        body = _body(width, depth, weights == "imagenet")
        parts = Classifier(body, classifier(dropout), size=size, files=(f"{stem}.h5", f"{stem}_notop.h5"))
        return assemble(
            parts, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
        )

    build.__name__ = build.__qualname__ = title
    build.__doc__ = (
        f"EfficientNet, {kind}, for pixels in [0, 255].\n\n"
        "    Arguments and errors: see `kgraph.applications.building.assemble`."
    )
    return build


EfficientNetB0 = _version("B0", 1.0, 1.0, 224, 0.2)
EfficientNetB1 = _version("B1", 1.0, 1.1, 240, 0.2)
EfficientNetB2 = _version("B2", 1.1, 1.2, 260, 0.3)
EfficientNetB3 = _version("B3", 1.2, 1.4, 300, 0.3)
EfficientNetB4 = _version("B4", 1.4, 1.8, 380, 0.4)
EfficientNetB5 = _version("B5", 1.6, 2.2, 456, 0.4)
EfficientNetB6 = _version("B6", 1.8, 2.6, 528, 0.5)
EfficientNetB7 = _version("B7", 2.0, 3.1, 600, 0.5)
preprocess_input = preprocessor("")
