"""The frame of every application: input, features, classifier or pooling, weights; and layers in short.

A family gives the two middle parts; arguments mean the same in all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kgraph import layers
from kgraph.applications.imagenet_utils import decode_predictions, find_file, input_size, preprocess_input
from kgraph.core.session import image_data_format
from kgraph.core.tensors import SymbolicTensor
from kgraph.errors import InvalidArgumentError
from kgraph.models import Functional, Model

__all__ = [
    "Classifier",
    "application",
    "assemble",
    "batch_norm",
    "channel_axis",
    "channels",
    "conv",
    "correct_pad",
    "decode_predictions",
    "dense_top",
    "divisible",
    "preprocessor",
]

# features, number of classes, activation -> output
Top = Callable[[Any, int, Any], Any]


@dataclass(frozen=True)
class Classifier:
    """The parts in which families differ.

    Attributes:
        body: images -> features.
        top: features, classes and activation -> probabilities.
        size: height and width of the images in training.
        least: the smallest height and width.
        files: names of the files of weights, with and without the top.
        pooling_names: whether the pooling in place of the top is called `avg_pool` or `max_pool`.
    """

    body: Callable[[Any], Any]
    top: Top
    size: int = 224
    least: int = 32
    files: tuple[str, str] = ("", "")
    pooling_names: bool = True


def assemble(
    parts: Classifier,
    name: str | None,
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    input_shape: Any,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
) -> Model:
    """The model, with its weights.

    Args:
        parts: of the family.
        name: of the model.
        include_top: whether it ends in a classifier.
        weights: None (random), a path, or `"imagenet"`.
        input_tensor: a symbolic tensor to build on.
        input_shape: of one image; the size of the training by default.
        pooling: without the top: None (feature maps), `"avg"` or `"max"`.
        classes: number of classes.
        classifier_activation: of the last layer.

    Raises:
        InvalidArgumentError: arguments that do not go together.
        ShapeError: `input_shape` does not fit.
        FileMissingError: the weights of ImageNet are not on this machine.
    """
    title = str(name or "application")
    _check(title, weights, include_top, classes, pooling, classifier_activation)
    path = None
    if weights == "imagenet":
        path = find_file(parts.files[0 if include_top else 1], f"the weights of {title} for ImageNet")
    elif weights is not None:
        path = weights
    if isinstance(input_tensor, SymbolicTensor):
        images = input_tensor
    else:
        images = layers.Input(shape=input_size(input_shape, parts.size, parts.least, include_top, weights, title))
    x = parts.body(images)
    if include_top:
        x = parts.top(x, classes, classifier_activation)
    elif pooling is not None:
        kind = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
        x = kind(name=f"{pooling}_pool" if parts.pooling_names else None)(x)
    model = Functional(_sources(images), x, name=name)
    if path is not None:
        model.load_weights(path)
    return model


def _check(name: str, weights: Any, include_top: bool, classes: int, pooling: Any, activation: Any) -> None:
    if not (weights is None or weights == "imagenet" or os.path.exists(weights)):
        raise InvalidArgumentError(
            f"{name}: argument `weights` is {weights!r}",
            needed="None (random), 'imagenet', or the path of a file that exists",
        )
    if weights == "imagenet" and include_top and classes != 1000:
        raise InvalidArgumentError(
            f"{name}: the weights of ImageNet are for 1000 classes", got=f"classes={classes}", fix="include_top=False"
        )
    if pooling not in (None, "avg", "max"):
        raise InvalidArgumentError(f"{name}: argument `pooling` is {pooling!r}", needed="None, 'avg' or 'max'")
    if weights is not None and include_top and activation not in (None, "softmax", "linear"):
        plain = getattr(activation, "__name__", "")
        if plain not in ("softmax", "linear"):
            raise InvalidArgumentError(
                f"{name}: argument `classifier_activation` is {activation!r}",
                needed="None or 'softmax' with weights that are trained",
            )


def _sources(tensor: SymbolicTensor) -> Any:
    """The inputs that a tensor is computed from."""
    found: dict[int, SymbolicTensor] = {}
    todo, seen = [tensor], set()
    while todo:
        one = todo.pop()
        history = one._keras_history
        if id(one) in seen:
            continue
        seen.add(id(one))
        if history is None or isinstance(history.operation, layers.InputLayer):
            found[id(one)] = one
        else:
            todo.extend(reversed(history.operation._inbound_nodes[history.node_index].input_tensors))
    inputs = list(found.values())
    return inputs[0] if len(inputs) == 1 else inputs


def application(title: str, parts: Classifier, name: str, summary: str) -> Callable[..., Model]:
    """A function with the arguments that most applications of Keras take."""

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str | None = name,
    ) -> Model:
        return assemble(
            parts, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
        )

    build.__name__ = build.__qualname__ = title
    build.__doc__ = f"{summary}\n\n    Arguments and errors: see `kgraph.applications.building.assemble`."
    return build


def preprocessor(mode: str) -> Callable[..., Any]:
    """The `preprocess_input` of a family; mode "" leaves the pixels to the layers of the model."""

    def preprocess(x: Any, data_format: str | None = None) -> Any:
        return preprocess_input(x, data_format, mode) if mode else x

    preprocess.__name__ = preprocess.__qualname__ = "preprocess_input"
    preprocess.__doc__ = (
        f"See `imagenet_utils.preprocess_input`, mode {mode!r}."
        if mode
        else "Return the pixels in [0, 255] as they are: the model scales them."
    )
    return preprocess


# -- layers in short --------------------------------------------------------------------------------------------------
def channel_axis() -> int:
    """Where the channels are in the session's data format."""
    return 1 if image_data_format() == "channels_first" else 3


def channels(x: Any) -> int:
    """Number of channels."""
    return int(x.shape[channel_axis()])


def conv(
    x: Any, filters: int, size: Any, strides: int = 1, padding: str = "same", bias: bool = False, **options: Any
) -> Any:
    """A convolution, without bias unless asked for."""
    return layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=bias, **options)(x)


def batch_norm(x: Any, name: str | None = None, **options: Any) -> Any:
    """Batch normalisation of the channels."""
    return layers.BatchNormalization(axis=channel_axis(), name=name, **options)(x)


def dense_top(dropout: float = 0.0, **options: Any) -> Top:
    """The mean over the image, dropout, and one dense layer."""

    def top(x: Any, classes: int, activation: Any) -> Any:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        if dropout:
            x = layers.Dropout(dropout, name="top_dropout")(x)
        return layers.Dense(classes, activation=activation, name="predictions", **options)(x)

    return top


def divisible(value: float, by: int = 8) -> int:
    """The multiple of `by` nearest to `value`, at most a tenth below it (Howard et al. 2017, Sandler et al. 2018)."""
    rounded = max(by, int(value + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * value else rounded


def correct_pad(x: Any, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros around an image so that a strided convolution without padding gives what TensorFlow's `same` gave."""
    axis = channel_axis() % 3 + 1  # of the height: 1 with channels last, 2 with channels first
    height, width = x.shape[axis : axis + 2]
    odd = (1, 1) if height is None else (1 - height % 2, 1 - width % 2)
    half = size // 2
    return (half - odd[0], half), (half - odd[1], half)
