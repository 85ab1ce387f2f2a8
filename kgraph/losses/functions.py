"""Losses as functions: one value per sample (they reduce the last axis only)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses.common import l2_normalize, pair, sizes_text

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]


def _clip(p: Any, upper: float | None = None) -> Any:
    # Exactly this form: the pass `stabilise` knows the logarithm of it and goes back to the logits.
    return ops.minimum(ops.maximum(p, epsilon()), 1.0 - epsilon() if upper is None else upper)


# -- regression -----------------------------------------------------------------------------------------------------
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((t - p)²) over the last axis."""
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|t - p|) over the last axis."""
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 · mean(|t - p| / max(|t|, 1e-7)) over the last axis."""
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    return ops.mean(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), epsilon())), axis=-1) * 100.0


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(max(p, 1e-7) + 1) - log(max(t, 1e-7) + 1))²) over the last axis."""
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    first = ops.log(ops.maximum(y_pred, epsilon()) + 1.0)
    second = ops.log(ops.maximum(y_true, epsilon()) + 1.0)
    return ops.mean(ops.square(first - second), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean(½ d² where |d| ≤ delta, delta |d| - ½ delta² elsewhere) over the last axis."""
    y_true, y_pred = pair("huber", y_true, y_pred)
    error = y_pred - y_true
    size = ops.abs(error)
    small, large = ops.square(error) * 0.5, size * delta - 0.5 * delta * delta
    return ops.mean(ops.where(ops.less_equal(size, delta), small, large), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log(cosh(p - t))) over the last axis, computed as d + softplus(-2 d) - log 2."""
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-Σ of the product of the L2-normalised vectors: -1 for equal directions."""
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return -ops.sum(l2_normalize(y_true, axis) * l2_normalize(y_pred, axis), axis=axis)


# -- classification by margin ---------------------------------------------------------------------------------------
def _signed_labels(y_true: Any) -> Any:
    """Labels 0/1 become -1/1; others stay.  Decided over the whole tensor, as in Keras."""
    others = ops.max(ops.abs(y_true * (y_true - 1.0)))
    return ops.where(ops.greater(others, 0.0), y_true, y_true * 2.0 - 1.0)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - t · p, 0)) over the last axis; labels 0/1 are read as -1/1."""
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signed_labels(y_true) * y_pred, 0.0), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - t · p, 0)²) over the last axis; labels 0/1 are read as -1/1."""
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signed_labels(y_true) * y_pred, 0.0)), axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(max((1 - t) · p) - Σ t · p + 1, 0)."""
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    positive = ops.sum(y_true * y_pred, axis=-1)
    negative = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(negative - positive + 1.0, 0.0)


# -- probabilities --------------------------------------------------------------------------------------------------
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Σ t · log(t / p), both within [1e-7, 1]."""
    y_true, y_pred = pair("kl_divergence", y_true, y_pred)
    y_true, y_pred = _clip(y_true, 1.0), _clip(y_pred, 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(p - t · log(p + 1e-7)) over the last axis."""
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + epsilon()), axis=-1)


def _smooth(y_true: Any, label_smoothing: float, classes: int) -> Any:
    """Targets moved towards equal shares of all classes."""
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else y_true


def _binary_terms(y_true: Any, y_pred: Any, from_logits: bool) -> Any:
    if from_logits:
        # max(x, 0) - x·t + log(1 + e^-|x|): never the logarithm of a rounded 1 - p.
        return ops.relu(y_pred) - y_pred * y_true + ops.softplus(-ops.abs(y_pred))
    p = _clip(y_pred)
    return -(y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p))


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """mean(-t · log p - (1 - t) · log(1 - p)) over `axis`, p within [1e-7, 1 - 1e-7].

    Args:
        y_true: targets in [0, 1], of the shape of `y_pred`.
        y_pred: probabilities, or logits.
        from_logits: `y_pred` are logits.
        label_smoothing: s moves targets to t · (1 - s) + s / 2.
        axis: the axis to average over.
    """
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    return ops.mean(_binary_terms(y_true, y_pred, from_logits), axis=axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Binary cross-entropy times (1 - p_t)^gamma, p_t the probability of the right answer (Lin et al. 2018)."""
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    right = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    terms = ops.power(1.0 - right, gamma) * _binary_terms(y_true, y_pred, False)
    if apply_class_balancing:
        terms = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * terms
    return ops.mean(terms, axis=axis)


def _log_probabilities(y_pred: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return ops.log_softmax(y_pred, axis=axis)
    return ops.log(_clip(y_pred / ops.sum(y_pred, axis=axis, keepdims=True)))


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """-Σ t · log p over `axis`; p is divided by its sum and kept within [1e-7, 1 - 1e-7].

    Args:
        y_true: one-hot or soft targets, of the shape of `y_pred`.
        y_pred: probabilities, or logits.
        from_logits: `y_pred` are logits.
        label_smoothing: s moves targets to t · (1 - s) + s / n.
        axis: the axis of the classes.
    """
    y_true, y_pred = pair("categorical_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, y_true.shape[-1])
    return -ops.sum(y_true * _log_probabilities(y_pred, from_logits, axis), axis=axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Categorical cross-entropy whose terms are weighted by alpha · (1 - p)^gamma (Lin et al. 2018)."""
    y_true, y_pred = pair("categorical_focal_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, y_true.shape[-1])
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    p = _clip(y_pred / ops.sum(y_pred, axis=axis, keepdims=True))
    return ops.sum(ops.power(1.0 - p, gamma) * alpha * (-y_true * ops.log(p)), axis=axis)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """-log of the probability of the right class; p as in `categorical_crossentropy`.

    Args:
        y_true: integer labels of the shape of `y_pred` without its class axis, or with 1 there.
        y_pred: probabilities, or logits.
        from_logits: `y_pred` are logits.
        ignore_class: entries with this label count nothing.
        axis: the axis of the classes.

    Raises:
        ShapeError: the shapes do not fit.
        InvalidArgumentError: a label is no class (known here for NumPy arrays; `fit` checks its data).
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true)
    rank = len(y_pred.shape)
    axis = axis % rank
    if len(y_true.shape) == rank and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    want = tuple(size for position, size in enumerate(y_pred.shape) if position != axis)
    if len(y_true.shape) != len(want):
        raise ShapeError(
            "sparse_categorical_crossentropy: labels and outputs do not fit",
            got=f"labels {sizes_text(y_true.shape)}, outputs {sizes_text(y_pred.shape)}",
            needed=f"labels of shape {sizes_text(want)}, one integer per output",
            fix="for one-hot labels use categorical_crossentropy",
        )
    classes = ops.shape(y_pred)[axis]  # a symbolic size where the classes are the rows of the batch
    if isinstance(classes, int):
        _check_labels(y_true, classes, ignore_class)
    labels = ops.cast(y_true, "int32")
    valid = None
    if ignore_class is not None:
        valid = ops.not_equal(labels, ignore_class)
        labels = ops.where(valid, labels, 0)
    log_p = _log_probabilities(y_pred, from_logits, axis)
    picked = ops.one_hot(labels, classes, axis=axis, dtype=log_p.dtype)
    result = -ops.sum(picked * log_p, axis=axis)
    if valid is None:
        return result
    return ops.where(valid, result, 0.0)


def _check_labels(labels: Any, classes: int, ignore_class: int | None) -> None:
    if not isinstance(labels, np.ndarray) or not labels.size:
        return
    wrong = (labels < 0) | (labels >= classes)
    if ignore_class is not None:
        wrong &= labels != ignore_class
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InvalidArgumentError(
            "sparse_categorical_crossentropy: a label is no class",
            got=f"label {labels.reshape(-1)[first]} at position {first}",
            needed=f"0 to {classes - 1}, as the outputs have {classes} classes",
        )
