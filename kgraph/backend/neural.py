"""Layers and losses as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.dispatch import operation
from kgraph.core.session import epsilon, image_data_format
from kgraph.errors import InvalidArgumentError

__all__ = [
    "batch_normalization",
    "bias_add",
    "binary_crossentropy",
    "categorical_crossentropy",
    "conv1d",
    "conv2d",
    "conv3d",
    "ctc_batch_cost",
    "in_top_k",
    "local_conv1d",
    "pool2d",
    "pool3d",
    "sparse_categorical_crossentropy",
]


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """`x` + bias over the channel axis."""
    return ops.bias_add(x, bias, data_format)


def conv1d(
    x: Any, kernel: Any, strides: int = 1, padding: str = "valid", data_format: Any = None, dilation_rate: int = 1
) -> Any:
    """Convolution over one axis."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """Convolution over two axes."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def _pooling(pool_mode: str, largest: Callable[..., Any], mean: Callable[..., Any]) -> Callable[..., Any]:
    if pool_mode not in ("max", "avg"):
        raise InvalidArgumentError(f"unknown pool_mode {pool_mode!r}", needed="'max' or 'avg'")
    return largest if pool_mode == "max" else mean


def pool2d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
    pool_mode: str = "max",
) -> Any:
    """Pooling over two axes.

    Raises:
        InvalidArgumentError: `pool_mode` is neither `max` nor `avg`.
    """
    return _pooling(pool_mode, ops.max_pool, ops.average_pool)(x, pool_size, strides, padding, data_format)


@operation
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-t log p - (1 - t) log(1 - p), element by element."""
    output = ops.convert_to_tensor(output)
    target = ops.cast(target, output.dtype)
    if from_logits:
        return ops.subtract(ops.softplus(output), ops.multiply(target, output))
    p = ops.clip(output, epsilon(), 1.0 - epsilon())
    return ops.negative(
        ops.add(
            ops.multiply(target, ops.log(p)), ops.multiply(ops.subtract(1.0, target), ops.log(ops.subtract(1.0, p)))
        )
    )


@operation
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(t log p) along an axis; p is divided by its sum and kept away from 0 and 1."""
    output = ops.convert_to_tensor(output)
    target = ops.cast(target, output.dtype)
    if from_logits:
        logs = ops.log_softmax(output, axis)
    else:
        p = ops.divide(output, ops.sum(output, axis=axis, keepdims=True))
        logs = ops.log(ops.clip(p, epsilon(), 1.0 - epsilon()))
    return ops.negative(ops.sum(ops.multiply(target, logs), axis=axis))


@operation
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """`categorical_crossentropy` with class numbers as target."""
    output = ops.convert_to_tensor(output)
    target = ops.cast(target, "int32")
    if len(target.dims) == len(output.dims) and target.dims[-1] == 1:
        target = ops.squeeze(target, -1)
    hot = ops.one_hot(target, output.dims[axis], axis=axis)
    return categorical_crossentropy(hot, output, from_logits, axis)


def conv3d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1, 1),
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = (1, 1, 1),
) -> Any:
    """Convolution over three axes."""
    return ops.conv_3d(x, kernel, strides, padding, data_format, dilation_rate)


def pool3d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1, 1),
    padding: str = "valid",
    data_format: Any = None,
    pool_mode: str = "max",
) -> Any:
    """Pooling over three axes.

    Raises:
        InvalidArgumentError: `pool_mode` is neither `max` nor `avg`.
    """
    return _pooling(pool_mode, ops.max_pool_3d, ops.average_pool_3d)(x, pool_size, strides, padding, data_format)


@operation
def local_conv1d(inputs: Any, kernel: Any, kernel_size: Any, strides: Any, data_format: str | None = None) -> Any:
    """Convolution over one axis with weights of its own at each place.

    Args:
        inputs: [N, L, C] (channels first: [N, C, L]).
        kernel: [places, kernel_size · C, F].
        kernel_size, strides: numbers, or tuples of one.
        data_format: `"channels_last"` or `"channels_first"`.
    """
    x, weights = ops.convert_to_tensor(inputs), ops.convert_to_tensor(kernel)
    size, step = (int(np.asarray(value).reshape(-1)[0]) for value in (kernel_size, strides))
    first = (data_format or image_data_format()) == "channels_first"
    x = ops.swapaxes(x, 1, 2) if first else x
    places = weights.dims[0]
    taps = [x[:, tap : tap + (places - 1) * step + 1 : step] for tap in range(size)]
    y = ops.einsum("nlc,lcf->nlf", ops.concatenate(taps, axis=-1), weights)
    return ops.swapaxes(y, 1, 2) if first else y


def batch_normalization(
    x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta; beta and gamma may be None."""
    y = ops.multiply(ops.subtract(x, mean), ops.rsqrt(ops.add(var, epsilon)))
    y = y if gamma is None else ops.multiply(y, gamma)
    return y if beta is None else ops.add(y, beta)


def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    """Whether the target is among the `k` classes with the greatest predictions."""
    return ops.in_top_k(targets, predictions, k)


@operation
def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Any:
    """Connectionist temporal classification loss of each sample; the last class is the blank.

    Args:
        y_true: labels [N, longest label].
        y_pred: probabilities [N, time, classes].
        input_length, label_length: [N, 1], how much of y_pred and y_true counts.

    Returns:
        f32[N, 1].
    """
    scores = ops.convert_to_tensor(y_pred)
    count = scores.dims[0]
    cost = ops.ctc_loss(
        ops.cast(y_true, "int32"),
        ops.log(ops.add(scores, epsilon())),
        ops.reshape(ops.cast(label_length, "int32"), (count,)),
        ops.reshape(ops.cast(input_length, "int32"), (count,)),
        mask_index=int(scores.dims[-1]) - 1,
    )
    return ops.expand_dims(cost, 1)
