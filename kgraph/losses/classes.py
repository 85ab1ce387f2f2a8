"""Losses as classes; what they compute stands in `kgraph.losses.functions`."""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.losses.base import FunctionLoss, PlainLoss, reduce_weighted
from kgraph.losses.common import mask_of
from kgraph.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)

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
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
]


class MeanSquaredError(PlainLoss):
    """Mean of (t - p)²."""

    function = staticmethod(mean_squared_error)


class MeanAbsoluteError(PlainLoss):
    """Mean of |t - p|."""

    function = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(PlainLoss):
    """100 times the mean of |t - p| / max(|t|, 1e-7)."""

    function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(PlainLoss):
    """Mean of the squared difference of log(1 + x)."""

    function = staticmethod(mean_squared_logarithmic_error)


class LogCosh(PlainLoss):
    """Mean of log(cosh(p - t))."""

    function = staticmethod(log_cosh)


class Hinge(PlainLoss):
    """Mean of max(1 - t · p, 0)."""

    function = staticmethod(hinge)


class SquaredHinge(PlainLoss):
    """Mean of max(1 - t · p, 0)²."""

    function = staticmethod(squared_hinge)


class CategoricalHinge(PlainLoss):
    """max(max((1 - t) · p) - Σ t · p + 1, 0)."""

    function = staticmethod(categorical_hinge)


class KLDivergence(PlainLoss):
    """Σ t · log(t / p)."""

    function = staticmethod(kl_divergence)


class Poisson(PlainLoss):
    """Mean of p - t · log p."""

    function = staticmethod(poisson)


class Huber(FunctionLoss):
    """Quadratic near 0, linear beyond `delta`."""

    function = staticmethod(huber)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, delta=delta)


class CosineSimilarity(FunctionLoss):
    """Minus the cosine between targets and outputs."""

    function = staticmethod(cosine_similarity)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, axis=axis)


class _Crossentropy(FunctionLoss):
    """What the cross-entropies of soft targets share."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class BinaryCrossentropy(_Crossentropy):
    """See `binary_crossentropy`."""

    function = staticmethod(binary_crossentropy)


class CategoricalCrossentropy(_Crossentropy):
    """See `categorical_crossentropy`."""

    function = staticmethod(categorical_crossentropy)


class _Focal(FunctionLoss):
    """What the focal losses share."""

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        settings = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(reduction, name, dtype, alpha=alpha, gamma=gamma, **settings)


class CategoricalFocalCrossentropy(_Focal):
    """See `categorical_focal_crossentropy`."""

    function = staticmethod(categorical_focal_crossentropy)


class BinaryFocalCrossentropy(_Focal):
    """See `binary_focal_crossentropy`."""

    function = staticmethod(binary_focal_crossentropy)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(alpha, gamma, from_logits, label_smoothing, axis, reduction, name, dtype)
        self._kwargs["apply_class_balancing"] = apply_class_balancing


class SparseCategoricalCrossentropy(FunctionLoss):
    """See `sparse_categorical_crossentropy`; entries of `ignore_class` do not count in the mean either."""

    function = staticmethod(sparse_categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)
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
