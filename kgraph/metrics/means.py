"""Metrics that are the mean of one value per sample."""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.losses.common import match_ranks
from kgraph.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
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
from kgraph.metrics.base import Mean, MeanMetricWrapper, _Plain
from kgraph.metrics.functions import (
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    concordance_correlation,
    cosine_similarity,
    pearson_correlation,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "PearsonCorrelation",
    "Poisson",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "TopKCategoricalAccuracy",
]


class Accuracy(_Plain):
    """How often outputs equal targets."""

    function = staticmethod(accuracy)


class CategoricalAccuracy(_Plain):
    """How often the largest output stands where the one-hot target has its 1."""

    function = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(_Plain):
    """How often the largest output stands at the integer label."""

    function = staticmethod(sparse_categorical_accuracy)


class MeanSquaredError(_Plain):
    """Mean of (t - p)²."""

    function = staticmethod(mean_squared_error)


class MeanAbsoluteError(_Plain):
    """Mean of |t - p|."""

    function = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(_Plain):
    """100 times the mean of |t - p| / |t|."""

    function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Plain):
    """Mean of the squared difference of log(1 + x)."""

    function = staticmethod(mean_squared_logarithmic_error)


class LogCoshError(_Plain):
    """Mean of log(cosh(p - t))."""

    function = staticmethod(log_cosh)
    default_name = "logcosh"


class Hinge(_Plain):
    """Mean of max(1 - t · p, 0)."""

    function = staticmethod(hinge)


class SquaredHinge(_Plain):
    """Mean of max(1 - t · p, 0)²."""

    function = staticmethod(squared_hinge)


class CategoricalHinge(_Plain):
    """Mean of the categorical hinge loss."""

    function = staticmethod(categorical_hinge)


class KLDivergence(_Plain):
    """Mean of Σ t · log(t / p)."""

    function = staticmethod(kl_divergence)


class Poisson(_Plain):
    """Mean of p - t · log p."""

    function = staticmethod(poisson)


class Huber(MeanMetricWrapper):
    """Mean of the Huber loss."""

    def __init__(self, delta: float = 1.0, name: str | None = "huber", dtype: Any = None) -> None:
        super().__init__(huber, name, dtype, delta=delta)


class BinaryAccuracy(MeanMetricWrapper):
    """How often (p > threshold) equals the target."""

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` largest outputs; one-hot targets."""

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` largest outputs; integer labels."""

    def __init__(self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine between targets and outputs."""

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


class BinaryCrossentropy(MeanMetricWrapper):
    """Mean binary cross-entropy."""

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean categorical cross-entropy."""

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            categorical_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean sparse categorical cross-entropy."""

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis
        )


class RootMeanSquaredError(Mean):
    """Root of the mean of (t - p)²."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add the squared errors of a batch."""
        y_true, y_pred = match_ranks(ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype))
        super().update_state(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        """The root of the mean."""
        return ops.sqrt(super().result())


class PearsonCorrelation(MeanMetricWrapper):
    """Mean correlation of targets and outputs."""

    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean concordance of targets and outputs."""

    _direction = "up"

    def __init__(self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
