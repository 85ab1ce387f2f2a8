"""Metrics as functions: one value per sample.  Those that are losses too stand in `kgraph.losses`."""

from __future__ import annotations

from typing import Any

from kgraph import losses, ops
from kgraph.core.session import epsilon
from kgraph.losses.common import match_ranks

__all__ = [
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "concordance_correlation",
    "cosine_similarity",
    "pearson_correlation",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1.0 where targets and outputs are equal."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(ops.cast(y_true, y_pred.dtype), y_pred)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1.0 where the target equals (p > threshold)."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(ops.cast(y_true, "float32"), y_pred)
    return ops.cast(ops.equal(y_true, ops.cast(ops.greater(y_pred, threshold), "float32")), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1.0 where the largest entries of targets and outputs stand at one place."""
    y_true, y_pred = ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def _class_ids(y_true: Any, rank: int) -> Any:
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return ops.cast(y_true, "int32")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1.0 where the integer label is the place of the largest output."""
    y_pred = ops.convert_to_tensor(y_pred)
    labels = _class_ids(y_true, len(y_pred.shape))
    return ops.cast(ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32")), "float32")


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1.0 where fewer than `k` outputs are larger than that of the right class (integer labels)."""
    y_pred = ops.convert_to_tensor(y_pred)
    labels = _class_ids(y_true, len(y_pred.shape))
    picked = ops.one_hot(labels, int(y_pred.shape[-1]), dtype=y_pred.dtype)
    score = ops.sum(picked * y_pred, axis=-1, keepdims=True)
    larger = ops.sum(ops.cast(ops.greater(y_pred, score), "float32"), axis=-1)
    return ops.cast(ops.less(larger, float(k)), "float32")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1.0 where fewer than `k` outputs are larger than that of the right class (one-hot targets)."""
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred, k)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Cosine between targets and outputs: 1 for equal directions (the loss of that name is its negative)."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Correlation of targets and outputs along an axis, from -1 to 1."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(ops.cast(y_true, y_pred.dtype), y_pred)
    parts = []
    for values in (y_true, y_pred):
        values = values - ops.mean(values, axis=axis, keepdims=True)
        parts.append(values / ops.sqrt(ops.mean(ops.square(values), axis=axis, keepdims=True)))
    return ops.mean(parts[0] * parts[1], axis=axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Agreement of targets and outputs along an axis (Lin 1989), as Keras computes it."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(ops.cast(y_true, y_pred.dtype), y_pred)
    of_true, of_pred = ops.mean(y_true, axis=axis, keepdims=True), ops.mean(y_pred, axis=axis, keepdims=True)
    spread = ops.mean(ops.square(y_true - of_true), axis=axis, keepdims=True)
    spread = spread + ops.mean(ops.square(y_pred - of_pred), axis=axis, keepdims=True)
    together = (y_true - of_pred) * (y_pred - of_pred)
    return ops.mean(together * 2.0 / (spread + ops.square(of_true - of_pred) + epsilon()), axis=axis)
