"""MobileNet, first version (Howard et al. 2017): depthwise, then pointwise convolutions."""

from __future__ import annotations

from typing import Any

from kgraph import layers
from kgraph.applications.building import (
    Classifier,
    assemble,
    batch_norm,
    conv,
    decode_predictions,
    preprocessor,
)
from kgraph.core.session import image_data_format
from kgraph.errors import InvalidArgumentError
from kgraph.models import Model

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

# filters and stride of the blocks
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


def norm_relu6(x: Any, norm: str, relu: str, **options: Any) -> Any:
    """Batch normalisation, and ReLU up to 6."""
    return layers.ReLU(6.0, name=relu)(batch_norm(x, norm, **options))


def _block(x: Any, filters: int, stride: int, multiplier: int, index: int) -> Any:
    if stride > 1:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{index}")(x)
    x = layers.DepthwiseConv2D(
        3,
        padding="same" if stride == 1 else "valid",
        depth_multiplier=multiplier,
        strides=stride,
        use_bias=False,
        name=f"conv_dw_{index}",
    )(x)
    x = norm_relu6(x, f"conv_dw_{index}_bn", f"conv_dw_{index}_relu")
    x = conv(x, filters, 1, name=f"conv_pw_{index}")
    return norm_relu6(x, f"conv_pw_{index}_bn", f"conv_pw_{index}_relu")


def square_size(input_shape: Any, input_tensor: Any, allowed: tuple[int, ...]) -> int:
    """The size among those of the published weights that the images have, else 224."""
    first = image_data_format() == "channels_first"
    shape = None if input_shape is None else tuple(input_shape)
    if shape is None and input_tensor is not None:
        shape = tuple(input_tensor.shape)[1:]
    if shape is None or len(shape) != 3:
        return 224
    height, width = shape[1:] if first else shape[:-1]
    return height if height == width and height in allowed else 224


def MobileNet(
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """Thirteen depthwise separable convolutions.

    Args:
        input_shape: of one image.
        alpha: factor of the numbers of filters.
        depth_multiplier: filters per channel of the depthwise convolutions.
        dropout: before the classifier.
        include_top, weights, input_tensor, pooling, classes, classifier_activation: see `building.assemble`.
        name: `mobilenet_1.00_224` and the like by default.

    Raises:
        InvalidArgumentError: there are no weights of ImageNet for `alpha` or `depth_multiplier`.
    """
    size = square_size(input_shape, input_tensor, (128, 160, 192, 224))
    texts = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
    if weights == "imagenet" and (alpha not in texts or depth_multiplier != 1):
        raise InvalidArgumentError(
            "MobileNet: there are no weights of ImageNet for these arguments",
            got=f"alpha={alpha}, depth_multiplier={depth_multiplier}",
            needed="alpha 0.25, 0.5, 0.75 or 1.0, and depth_multiplier=1",
        )

    def body(x: Any) -> Any:
        x = norm_relu6(conv(x, int(32 * alpha), 3, 2, name="conv1"), "conv1_bn", "conv1_relu")
        for i, (filters, stride) in enumerate(_BLOCKS, start=1):
            x = _block(x, int(filters * alpha), stride, depth_multiplier, i)
        return x

    def top(x: Any, classes: int, activation: Any) -> Any:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = conv(x, classes, 1, bias=True, name="conv_preds")
        x = layers.Reshape((classes,), name="reshape_2")(x)
        return layers.Activation(activation, name="predictions")(x)

    stem = f"mobilenet_{texts.get(alpha, '')}_{size}_tf"
    parts = Classifier(body, top, size=size, files=(f"{stem}.h5", f"{stem}_no_top.h5"), pooling_names=False)
    title = name or f"mobilenet_{alpha:0.2f}_{rows(input_shape, size)}"
    return assemble(
        parts, title, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    )


def rows(input_shape: Any, size: int) -> int:
    """The height in the automatic name."""
    if input_shape is None:
        return size
    height: int = tuple(input_shape)[1 if image_data_format() == "channels_first" else 0]
    return height


preprocess_input = preprocessor("tf")
