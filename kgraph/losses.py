"""Losses, with the formulas, clipping and reductions of Keras 3.  Written in `kgraph.ops`.

The functions return one value per sample (they reduce the last axis only); the classes reduce to a scalar.  Targets and
outputs are brought to one rank, (n,) against (n, 1), and are never broadcast against each other.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.session import epsilon, unique_name
from kgraph.errors import CallError, InvalidArgumentError, ShapeError
from kgraph.registry import Registry, serialize

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "get",
    "get_loss",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

LossFunction = Callable[..., Any]
_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


# -- shapes ---------------------------------------------------------------------------------------------------------
def match_ranks(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Bring (n,) and (n, 1) to one rank, as Keras does: rank 1 is expanded, a higher rank loses its last axis of 1."""
    rank_true, rank_pred = len(y_true.shape), len(y_pred.shape)
    if rank_true == rank_pred + 1 and y_true.shape[-1] == 1:
        if rank_pred == 1:
            y_pred = ops.expand_dims(y_pred, -1)
        else:
            y_true = ops.squeeze(y_true, -1)
    elif rank_pred == rank_true + 1 and y_pred.shape[-1] == 1:
        if rank_true == 1:
            y_true = ops.expand_dims(y_true, -1)
        else:
            y_pred = ops.squeeze(y_pred, -1)
    return y_true, y_pred


def _pair(name: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Tensors of one float type and one shape."""
    y_pred = ops.convert_to_tensor(y_pred)
    if not str(y_pred.dtype).startswith("float"):
        y_pred = ops.cast(y_pred, "float32")
    y_true, y_pred = match_ranks(ops.cast(y_true, y_pred.dtype), y_pred)
    have, want = tuple(y_true.shape), tuple(y_pred.shape)
    if len(have) != len(want) or any(a is not None and b is not None and a != b for a, b in zip(have, want)):
        raise ShapeError(
            f"{name}: targets and outputs have different shapes",
            got=f"targets {_text(have)}, outputs {_text(want)}",
            needed="equal shapes; kgraph does not broadcast targets against outputs",
            fix="for integer class labels use a sparse_categorical loss" if len(have) + 1 == len(want) else "",
        )
    return y_true, y_pred


def _text(shape: Sequence[Any]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"


def _clip(p: Any, upper: float | None = None) -> Any:
    # Exactly this form: the pass `stabilise` knows the logarithm of it and goes back to the logits.
    return ops.minimum(ops.maximum(p, epsilon()), 1.0 - epsilon() if upper is None else upper)


def mask_of(tensor: Any) -> Any:
    """The mask that travels with a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def called(function: Callable[..., Any], kind: str, y_true: Any, y_pred: Any, kwargs: Mapping[str, Any]) -> Any:
    """What a loss or metric function of the user returns.

    Raises:
        CallError: it does not take targets and outputs.
        InvalidArgumentError: it returned None.
    """
    name = getattr(function, "__name__", type(function).__name__)
    try:
        inspect.signature(function).bind(y_true, y_pred, **kwargs)
    except TypeError as error:
        raise CallError(
            f"the {kind} function {name!r} cannot be called with targets and outputs",
            got=str(error),
            needed="a function of (y_true, y_pred)",
        ) from None
    except ValueError:
        pass  # a built-in without a signature
    value = function(y_true, y_pred, **kwargs)
    if value is None:
        raise InvalidArgumentError(
            f"the {kind} function {name!r} returned None",
            needed="one value for each sample, or a single one",
            fix="end it with `return ...`",
        )
    return value


# -- regression -----------------------------------------------------------------------------------------------------
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((t - p)²) over the last axis."""
    y_true, y_pred = _pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|t - p|) over the last axis."""
    y_true, y_pred = _pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 · mean(|t - p| / max(|t|, 1e-7)) over the last axis."""
    y_true, y_pred = _pair("mean_absolute_percentage_error", y_true, y_pred)
    return ops.mean(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), epsilon())), axis=-1) * 100.0


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(max(p, 1e-7) + 1) - log(max(t, 1e-7) + 1))²) over the last axis."""
    y_true, y_pred = _pair("mean_squared_logarithmic_error", y_true, y_pred)
    first = ops.log(ops.maximum(y_pred, epsilon()) + 1.0)
    second = ops.log(ops.maximum(y_true, epsilon()) + 1.0)
    return ops.mean(ops.square(first - second), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean(½ d² where |d| ≤ delta, delta |d| - ½ delta² elsewhere) over the last axis."""
    y_true, y_pred = _pair("huber", y_true, y_pred)
    error = y_pred - y_true
    size = ops.abs(error)
    small, large = ops.square(error) * 0.5, size * delta - 0.5 * delta * delta
    return ops.mean(ops.where(ops.less_equal(size, delta), small, large), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log(cosh(p - t))) over the last axis, computed as d + softplus(-2 d) - log 2."""
    y_true, y_pred = _pair("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-Σ of the product of the L2-normalised vectors: -1 for equal directions."""
    y_true, y_pred = _pair("cosine_similarity", y_true, y_pred)
    return -ops.sum(l2_normalize(y_true, axis) * l2_normalize(y_pred, axis), axis=axis)


def l2_normalize(x: Any, axis: int = -1) -> Any:
    """`x` / max(|x|, 1e-7), |x| the L2 norm over `axis`."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, epsilon() * epsilon()))


# -- classification by margin ---------------------------------------------------------------------------------------
def _signed_labels(y_true: Any) -> Any:
    """Labels 0/1 become -1/1; others stay.  Decided over the whole tensor, as in Keras."""
    others = ops.max(ops.abs(y_true * (y_true - 1.0)))
    return ops.where(ops.greater(others, 0.0), y_true, y_true * 2.0 - 1.0)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - t · p, 0)) over the last axis; labels 0/1 are read as -1/1."""
    y_true, y_pred = _pair("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signed_labels(y_true) * y_pred, 0.0), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - t · p, 0)²) over the last axis; labels 0/1 are read as -1/1."""
    y_true, y_pred = _pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signed_labels(y_true) * y_pred, 0.0)), axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(max((1 - t) · p) - Σ t · p + 1, 0)."""
    y_true, y_pred = _pair("categorical_hinge", y_true, y_pred)
    positive = ops.sum(y_true * y_pred, axis=-1)
    negative = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(negative - positive + 1.0, 0.0)


# -- probabilities --------------------------------------------------------------------------------------------------
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Σ t · log(t / p), both within [1e-7, 1]."""
    y_true, y_pred = _pair("kl_divergence", y_true, y_pred)
    y_true, y_pred = _clip(y_true, 1.0), _clip(y_pred, 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(p - t · log(p + 1e-7)) over the last axis."""
    y_true, y_pred = _pair("poisson", y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + epsilon()), axis=-1)


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
    y_true, y_pred = _pair("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
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
    y_true, y_pred = _pair("binary_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
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


def _smooth(y_true: Any, label_smoothing: float, axis: int) -> Any:
    if not label_smoothing:
        return y_true
    classes = y_true.shape[axis]
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes


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
    y_true, y_pred = _pair("categorical_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, -1)
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
    y_true, y_pred = _pair("categorical_focal_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, -1)
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
            got=f"labels {_text(y_true.shape)}, outputs {_text(y_pred.shape)}",
            needed=f"labels of shape {_text(want)}, one integer per output",
            fix="for one-hot labels use categorical_crossentropy",
        )
    classes = int(y_pred.shape[axis])
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


# -- classes --------------------------------------------------------------------------------------------------------
class Loss:
    """Base of the losses: `call(y_true, y_pred)` gives values, `__call__` weights and reduces them.

    Args:
        name: shown in messages.
        reduction: "sum_over_batch_size" (divides by the number of values, also with weights), "mean" (the same), "sum",
            "mean_with_sample_weight" (divides by the sum of the weights), "none" or None.
        dtype: type of the values, `floatx` unless given.
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction == "auto":  # Keras 2
            reduction = "sum_over_batch_size"
        if reduction not in _REDUCTIONS:
            raise InvalidArgumentError(
                f"argument `reduction` is {reduction!r}", needed=", ".join(str(known) for known in _REDUCTIONS)
            )
        self.name = name or unique_name(type(self).__name__)
        self.reduction = reduction
        self.dtype = dtype or "float32"

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss of a batch."""
        mask = mask_of(y_pred)
        y_pred, y_true = ops.convert_to_tensor(y_pred), ops.convert_to_tensor(y_true)
        values = ops.convert_to_tensor(self.call(y_true, y_pred))
        own = mask_of(values)
        if mask is not None and own is not None:
            mask = ops.logical_and(mask, own)
        return reduce_weighted(values, sample_weight, own if mask is None else mask, self.reduction)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal loss."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)


def reduce_weighted(values: Any, sample_weight: Any = None, mask: Any = None, reduction: str | None = "mean") -> Any:
    """Weight values and reduce them as `Loss` says; entries off the mask weigh 0, the others total / valid."""
    mean = reduction in ("sum_over_batch_size", "mean")
    weight = None if sample_weight is None else ops.cast(sample_weight, values.dtype)
    if mask is not None:
        factor = ops.cast(mask, values.dtype)
        if mean:
            share = ops.mean(factor)  # valid / total
            factor = ops.where(ops.greater(share, 0.0), factor / ops.maximum(share, 1e-30), 0.0)
        weight = factor if weight is None else _times(factor, weight)
    if weight is not None:
        values = _times(values, weight)
    if reduction in (None, "none") or len(values.shape) == 0:
        return values
    if mean or (reduction == "mean_with_sample_weight" and weight is None):
        return ops.mean(values)
    total = ops.sum(values)
    if reduction == "mean_with_sample_weight":
        divisor = ops.sum(weight)
        return ops.where(ops.equal(divisor, 0.0), 0.0, total / ops.where(ops.equal(divisor, 0.0), 1.0, divisor))
    return total


def _times(values: Any, weight: Any) -> Any:
    """Product of values and weights; weights per sample reach every entry of the sample."""
    values, weight = match_ranks(values, weight)
    missing = len(values.shape) - len(weight.shape)
    if missing > 0 and len(weight.shape) > 0:
        for _ in range(missing):
            weight = ops.expand_dims(weight, -1)
    elif missing < 0 and len(values.shape) > 0:
        raise ShapeError(
            "sample weights have more axes than the values they weight",
            got=f"weights {_text(weight.shape)}, values {_text(values.shape)}",
        )
    return values * weight


class LossFunctionWrapper(Loss):
    """The loss that a function `fn(y_true, y_pred, **kwargs)` makes; any function of the user will do."""

    def __init__(
        self,
        fn: LossFunction,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self._kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample."""
        y_true, y_pred = match_ranks(y_true, y_pred)
        return called(self.fn, "loss", y_true, y_pred, self._kwargs)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal loss."""
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config["fn"] = serialize(self.fn)
        return {**config, **self._kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        values = dict(config)
        if isinstance(values.get("fn"), (str, dict)):
            values["fn"] = get(values["fn"])
        return cls(**values)


class _Plain(LossFunctionWrapper):
    """A wrapper whose function is fixed by the class and has no arguments."""

    function: LossFunction = staticmethod(mean_squared_error)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        function = type(self).function
        super().__init__(function, reduction, name or function.__name__, dtype)


class MeanSquaredError(_Plain):
    """Mean of (t - p)²."""

    function = staticmethod(mean_squared_error)


class MeanAbsoluteError(_Plain):
    """Mean of |t - p|."""

    function = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(_Plain):
    """100 times the mean of |t - p| / max(|t|, 1e-7)."""

    function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Plain):
    """Mean of the squared difference of log(1 + x)."""

    function = staticmethod(mean_squared_logarithmic_error)


class LogCosh(_Plain):
    """Mean of log(cosh(p - t))."""

    function = staticmethod(log_cosh)


class Hinge(_Plain):
    """Mean of max(1 - t · p, 0)."""

    function = staticmethod(hinge)


class SquaredHinge(_Plain):
    """Mean of max(1 - t · p, 0)²."""

    function = staticmethod(squared_hinge)


class CategoricalHinge(_Plain):
    """max(max((1 - t) · p) - Σ t · p + 1, 0)."""

    function = staticmethod(categorical_hinge)


class KLDivergence(_Plain):
    """Σ t · log(t / p)."""

    function = staticmethod(kl_divergence)


class Poisson(_Plain):
    """Mean of p - t · log p."""

    function = staticmethod(poisson)


class Huber(LossFunctionWrapper):
    """Quadratic near 0, linear beyond `delta`."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine between targets and outputs."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


class BinaryCrossentropy(LossFunctionWrapper):
    """See `binary_crossentropy`."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """See `binary_focal_crossentropy`."""

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(LossFunctionWrapper):
    """See `categorical_crossentropy`."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """See `categorical_focal_crossentropy`."""

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """See `sparse_categorical_crossentropy`; entries of `ignore_class` do not count in the mean either."""

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.ignore_class = ignore_class

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss of a batch."""
        if self.ignore_class is None:
            return super().__call__(y_true, y_pred, sample_weight)
        mask = mask_of(y_pred)
        values = ops.convert_to_tensor(self.call(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)))
        valid = ops.reshape(ops.not_equal(ops.cast(y_true, "int32"), self.ignore_class), ops.shape(values))
        return reduce_weighted(
            values, sample_weight, valid if mask is None else ops.logical_and(mask, valid), self.reduction
        )


# -- names ----------------------------------------------------------------------------------------------------------
_REGISTRY = Registry("loss")
_REGISTRY.add_all(
    (mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error, huber)
    + (log_cosh, cosine_similarity, hinge, squared_hinge, categorical_hinge, kl_divergence, poisson)
    + (binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy)
    + (sparse_categorical_crossentropy,)
    + (MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError, Huber, LogCosh)
    + (CosineSimilarity, Hinge, SquaredHinge, CategoricalHinge, KLDivergence, Poisson, BinaryCrossentropy)
    + (BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy)
    + (SparseCategoricalCrossentropy, LossFunctionWrapper),
    {
        "mse": mean_squared_error,
        "MSE": mean_squared_error,
        "mae": mean_absolute_error,
        "MAE": mean_absolute_error,
        "mape": mean_absolute_percentage_error,
        "MAPE": mean_absolute_percentage_error,
        "msle": mean_squared_logarithmic_error,
        "MSLE": mean_squared_logarithmic_error,
        "bce": binary_crossentropy,
        "BCE": binary_crossentropy,
        "kld": kl_divergence,
        "KLD": kl_divergence,
        "kullback_leibler_divergence": kl_divergence,
        "logcosh": log_cosh,
        "cosine_proximity": cosine_similarity,
        "cosine": cosine_similarity,
        "huber_loss": huber,
    },
)

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
cosine_proximity = cosine_similarity


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss that `serialize` described, or that a name stands for."""
    return _REGISTRY.deserialize(config, custom_objects)


def get(identifier: Any) -> Any:
    """A loss function or `Loss` from a name, a function, a class, an instance or a description; None stays None.

    Raises:
        UnknownNameError: no loss has that name.
        InvalidArgumentError: the argument is none of these.
    """
    if identifier is None:
        return None
    found = deserialize(identifier) if isinstance(identifier, (str, Mapping)) else identifier
    if inspect.isclass(found):
        found = found()
    if not callable(found):
        raise InvalidArgumentError(
            f"cannot use {identifier!r} as a loss", needed="a name, a Loss, or f(y_true, y_pred)"
        )
    return found


def get_loss(identifier: Any, y_true_shape: Sequence[Any] = (), y_pred_shape: Sequence[Any] = ()) -> Loss | None:
    """The `Loss` for one output in `compile`: functions are wrapped, "crossentropy" is resolved by the shapes."""
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        binary, sparse = binary_or_sparse(y_true_shape, y_pred_shape)
        kind = (
            binary_crossentropy if binary else sparse_categorical_crossentropy if sparse else categorical_crossentropy
        )
        return LossFunctionWrapper(kind, name=identifier)
    found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", type(found).__name__)
    return LossFunctionWrapper(found, name=name)


def binary_or_sparse(y_true_shape: Sequence[Any], y_pred_shape: Sequence[Any]) -> tuple[bool, bool]:
    """Whether these shapes (batch axis included) mean a binary output, and whether they mean integer class labels."""
    last_true = y_true_shape[-1] if len(y_true_shape) else None
    last_pred = y_pred_shape[-1] if len(y_pred_shape) else None
    sparse = len(y_true_shape) < len(y_pred_shape) or (last_true == 1 and last_pred is not None and last_pred > 1)
    return last_pred == 1, sparse
