"""VGG16, and what VGG19 shares with it (Simonyan and Zisserman 2014)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgraph import layers
from kgraph.applications.building import Classifier, application, conv, decode_predictions, preprocessor

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]


def stacks(*repeats: int) -> Callable[[Any], Any]:
    """Five stacks of convolutions and a pooling; `repeats` convolutions each."""

    def body(x: Any) -> Any:
        for i, (filters, count) in enumerate(zip((64, 128, 256, 512, 512), repeats), start=1):
            for j in range(1, count + 1):
                x = conv(x, filters, 3, bias=True, activation="relu", name=f"block{i}_conv{j}")
            x = layers.MaxPooling2D(2, strides=2, name=f"block{i}_pool")(x)
        return x

    return body


def top(x: Any, classes: int, activation: Any) -> Any:
    """Three dense layers."""
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


def files(name: str) -> tuple[str, str]:
    """Names of the files that Keras publishes, with and without the top."""
    stem = f"{name}_weights_tf_dim_ordering_tf_kernels"
    return f"{stem}.h5", f"{stem}_notop.h5"


VGG16 = application(
    "VGG16",
    Classifier(stacks(2, 2, 3, 3, 3), top, files=files("vgg16"), pooling_names=False),
    "vgg16",
    "Thirteen convolutions and three dense layers.",
)
preprocess_input = preprocessor("caffe")
