"""MobileNet, third version (Howard et al. 2019): searched blocks, squeeze and excitation, hard swish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from kgraph.applications.mobilenet_v2 import NORM
from kgraph.errors import InvalidArgumentError
from kgraph.models import Model

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

# expansion, filters, window (0: 5, or 3 if minimalistic), stride, squeeze and excitation, hard swish
Row = tuple[float, int, int, int, bool, bool]
_SMALL: tuple[Row, ...] = (
    (1, 16, 3, 2, True, False),
    (72 / 16, 24, 3, 2, False, False),
    (88 / 24, 24, 3, 1, False, False),
    (4, 40, 0, 2, True, True),
    (6, 40, 0, 1, True, True),
    (6, 40, 0, 1, True, True),
    (3, 48, 0, 1, True, True),
    (3, 48, 0, 1, True, True),
    (6, 96, 0, 2, True, True),
    (6, 96, 0, 1, True, True),
    (6, 96, 0, 1, True, True),
)
_LARGE: tuple[Row, ...] = (
    (1, 16, 3, 1, False, False),
    (4, 24, 3, 2, False, False),
    (3, 24, 3, 1, False, False),
    (3, 40, 0, 2, True, False),
    (3, 40, 0, 1, True, False),
    (3, 40, 0, 1, True, False),
    (6, 80, 3, 2, False, True),
    (2.5, 80, 3, 1, False, True),
    (2.3, 80, 3, 1, False, True),
    (2.3, 80, 3, 1, False, True),
    (6, 112, 3, 1, True, True),
    (6, 112, 3, 1, True, True),
    (6, 160, 0, 2, True, True),
    (6, 160, 0, 1, True, True),
    (6, 160, 0, 1, True, True),
)


def _relu(x: Any) -> Any:
    return layers.ReLU()(x)


def _hard_swish(x: Any) -> Any:
    return layers.Activation("hard_swish")(x)


def _excited(x: Any, prefix: str) -> Any:
    """Each channel times a factor that depends on the means of all of them."""
    wide = channels(x)
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{prefix}squeeze_excite_avg_pool")(x)
    y = conv(y, divisible(wide * 0.25), 1, bias=True, name=f"{prefix}squeeze_excite_conv")
    y = layers.ReLU(name=f"{prefix}squeeze_excite_relu")(y)
    y = conv(y, wide, 1, bias=True, name=f"{prefix}squeeze_excite_conv_1")
    y = layers.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{prefix}squeeze_excite_mul")([x, y])


def _block(x: Any, row: Row, alpha: float, minimal: bool, index: int) -> Any:
    expansion, filters, window, stride, excite, swish = row
    filters, window = divisible(filters * alpha), window or (3 if minimal else 5)
    activation = _hard_swish if swish and not minimal else _relu
    before, prefix = x, f"expanded_conv_{index}_" if index else "expanded_conv_"
    if index:
        x = conv(x, divisible(channels(x) * expansion), 1, name=f"{prefix}expand")
        x = activation(batch_norm(x, f"{prefix}expand_bn", **NORM))
    if stride == 2:
        x = layers.ZeroPadding2D(correct_pad(x, window), name=f"{prefix}depthwise_pad")(x)
    x = layers.DepthwiseConv2D(
        window, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False, name=f"{prefix}depthwise"
    )(x)
    x = activation(batch_norm(x, f"{prefix}depthwise_bn", **NORM))
    if excite and not minimal:
        x = _excited(x, prefix)
    x = batch_norm(conv(x, filters, 1, name=f"{prefix}project"), f"{prefix}project_bn", **NORM)
    if stride == 1 and channels(before) == filters:
        x = layers.Add(name=f"{prefix}add")([before, x])
    return x


def _parts(
    rows: Sequence[Row], last: int, kind: str, alpha: float, minimal: bool, dropout: float, scale: bool
) -> Classifier:
    activation = _relu if minimal else _hard_swish

    def body(x: Any) -> Any:
        if scale:
            x = layers.Rescaling(scale=1.0 / 127.5, offset=-1.0)(x)
        x = activation(batch_norm(conv(x, 16, 3, 2, name="conv"), "conv_bn", **NORM))
        for i, row in enumerate(rows):
            x = _block(x, row, alpha, minimal, i)
        x = conv(x, divisible(channels(x) * 6), 1, name="conv_1")
        return activation(batch_norm(x, "conv_1_bn", **NORM))

    def top(x: Any, classes: int, softmax: Any) -> Any:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = activation(conv(x, divisible(last * alpha) if alpha > 1.0 else last, 1, bias=True, name="conv_2"))
        if dropout > 0:
            x = layers.Dropout(dropout)(x)
        x = layers.Flatten()(conv(x, classes, 1, bias=True, name="logits"))
        return layers.Activation(softmax, name="predictions")(x)

    stem = f"weights_mobilenet_v3_{kind}{'_minimalistic' if minimal else ''}_224_{alpha}_float"
    return Classifier(body, top, files=(f"{stem}.h5", f"{stem}_no_top_v2.h5"))


def _version(title: str, rows: Sequence[Row], last: int, kind: str) -> Callable[..., Model]:
    def build(
        input_shape: Any = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str | None = title,
    ) -> Model:
        if weights == "imagenet" and alpha not in ((1.0,) if minimalistic else (0.75, 1.0)):
            raise InvalidArgumentError(
                f"{title}: there are no weights of ImageNet for this width",
                got=f"alpha={alpha}, minimalistic={minimalistic}",
                needed="alpha 0.75 or 1.0; minimalistic: 1.0",
            )
        parts = _parts(rows, last, kind, alpha, minimalistic, dropout_rate, include_preprocessing)
        return assemble(
            parts, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
        )

    build.__name__ = build.__qualname__ = title
    build.__doc__ = f"""MobileNetV3, {kind}.

    Args:
        input_shape: of one image.
        alpha: factor of the numbers of filters.
        minimalistic: 3x3 windows and ReLU everywhere, no squeeze and excitation.
        dropout_rate: before the classifier.
        include_preprocessing: the model takes pixels in [0, 255] and scales them.
        include_top, weights, input_tensor, classes, pooling, classifier_activation, name: see `building.assemble`.

    Raises:
        InvalidArgumentError: there are no weights of ImageNet for `alpha`.
    """
    return build


MobileNetV3Small = _version("MobileNetV3Small", _SMALL, 1024, "small")
MobileNetV3Large = _version("MobileNetV3Large", _LARGE, 1280, "large")
preprocess_input = preprocessor("")
