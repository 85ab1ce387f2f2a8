"""Losses as objects: a function and how its values are reduced to a scalar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kgraph import ops
from kgraph.core.session import unique_name
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses.functions import (
    _text,
    binary_crossentropy,
    binary_focal_crossentropy,
    called,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mask_of,
    match_ranks,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from kgraph.registry import serialize

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
    "reduce_weighted",
]

LossFunction = Callable[..., Any]
_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


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
            from kgraph.losses import get

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
