"""MobileNet, second version (Sandler et al. 2018): narrow tensors between wide depthwise convolutions."""

from __future__ import annotations

from typing import Any

from kgraph import layers
from kgraph.applications.building import (
    Classifier,
    assemble,
    batch_norm,
    channels,
    conv,
    correct_pad,
    decode_predictions,
    divisible,
    preprocessor,
)
from kgraph.applications.mobilenet import norm_relu6, rows, square_size
from kgraph.errors import InvalidArgumentError
from kgraph.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_SIZES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
# filters, stride of the first, expansion, repeats (table 2 of the paper)
_STAGES = (
    (16, 1, 1, 1),
    (24, 2, 6, 2),
    (32, 2, 6, 3),
    (64, 2, 6, 4),
    (96, 1, 6, 3),
    (160, 2, 6, 3),
    (320, 1, 6, 1),
)
NORM = {"epsilon": 1e-3, "momentum": 0.999}


def _block(x: Any, filters: int, stride: int, expansion: int, index: int) -> Any:
    before = x
    prefix = f"block_{index}_" if index else "expanded_conv_"
    if index:
        x = conv(x, expansion * channels(x), 1, name=f"{prefix}expand")
        x = norm_relu6(x, f"{prefix}expand_BN", f"{prefix}expand_relu", **NORM)
    if stride == 2:
        x = layers.ZeroPadding2D(correct_pad(x, 3), name=f"{prefix}pad")(x)
    x = layers.DepthwiseConv2D(
        3, strides=stride, use_bias=False, padding="same" if stride == 1 else "valid", name=f"{prefix}depthwise"
    )(x)
    x = norm_relu6(x, f"{prefix}depthwise_BN", f"{prefix}depthwise_relu", **NORM)
    x = batch_norm(conv(x, filters, 1, name=f"{prefix}project"), f"{prefix}project_BN", **NORM)
    if channels(before) == filters and stride == 1:
        return layers.Add(name=f"{prefix}add")([before, x])
    return x


def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """Seventeen inverted residual blocks.

    Args:
        input_shape: of one image.
        alpha: factor of the numbers of filters.
        include_top, weights, input_tensor, pooling, classes, classifier_activation: see `building.assemble`.
        name: `mobilenetv2_1.00_224` and the like by default.

    Raises:
        InvalidArgumentError: there are no weights of ImageNet for `alpha`.
    """
    size = square_size(input_shape, input_tensor, _SIZES)
    if weights == "imagenet" and alpha not in _ALPHAS:
        raise InvalidArgumentError(
            "MobileNetV2: there are no weights of ImageNet for this width",
            got=f"alpha={alpha}",
            needed=" or ".join(map(str, _ALPHAS)),
        )

    def body(x: Any) -> Any:
        x = conv(x, divisible(32 * alpha), 3, 2, name="Conv1")
        x = norm_relu6(x, "bn_Conv1", "Conv1_relu", **NORM)
        index = 0
        for filters, first, expansion, repeats in _STAGES:
            for j in range(repeats):
                x = _block(x, divisible(int(filters * alpha)), 1 if j else first, expansion, index)
                index += 1
        x = conv(x, divisible(1280 * alpha) if alpha > 1.0 else 1280, 1, 1, "valid", name="Conv_1")
        return norm_relu6(x, "Conv_1_bn", "out_relu", **NORM)

    def top(x: Any, classes: int, activation: Any) -> Any:
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dense(classes, activation=activation, name="predictions")(x)

    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}"
    parts = Classifier(body, top, size=size, files=(f"{stem}.h5", f"{stem}_no_top.h5"), pooling_names=False)
    title = name or f"mobilenetv2_{alpha:0.2f}_{rows(input_shape, size)}"
    return assemble(
        parts, title, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    )


preprocess_input = preprocessor("tf")
