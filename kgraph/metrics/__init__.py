"""Metrics: sums that grow over batches, kept in variables, and the numbers made of them.  Written in `kgraph.ops`.

`update_state` may be called on arrays or inside a trace; the sums live in float32 variables as in Keras.
The function forms give one value per sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kgraph import losses
from kgraph.errors import InvalidArgumentError
from kgraph.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
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
from kgraph.metrics.base import (
    Mean,
    MeanMetricWrapper,
    Metric,
    Sum,
)
from kgraph.metrics.confusion import (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
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
from kgraph.metrics.means import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
)
from kgraph.metrics.scores import (
    BinaryIoU,
    F1Score,
    FBetaScore,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
    R2Score,
)
from kgraph.registry import Registry, serialize

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "Huber",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "accuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "cosine_similarity",
    "deserialize",
    "get",
    "get_metric",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "resolve_accuracy",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

_REGISTRY = Registry("metric")
_REGISTRY.add_all(
    (Metric, Mean, Sum, MeanMetricWrapper, Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy)
    + (
        TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        MeanSquaredError,
        MeanAbsoluteError,
        RootMeanSquaredError,
    )
    + (MeanAbsolutePercentageError, MeanSquaredLogarithmicError, LogCoshError, Hinge, SquaredHinge, CategoricalHinge)
    + (KLDivergence, Poisson, Huber, CosineSimilarity, BinaryCrossentropy, CategoricalCrossentropy)
    + (SparseCategoricalCrossentropy, TruePositives, TrueNegatives, FalsePositives, FalseNegatives, Precision, Recall)
    + (accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy)
    + (sparse_top_k_categorical_accuracy, mean_squared_error, mean_absolute_error, mean_absolute_percentage_error)
    + (mean_squared_logarithmic_error, log_cosh, hinge, squared_hinge, categorical_hinge, kl_divergence, poisson, huber)
    + (cosine_similarity, binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy)
    + (binary_focal_crossentropy, categorical_focal_crossentropy, pearson_correlation, concordance_correlation)
    + (AUC, PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity, FBetaScore)
    + (F1Score, R2Score, IoU, BinaryIoU, MeanIoU, OneHotIoU, OneHotMeanIoU, PearsonCorrelation, ConcordanceCorrelation),
    # By string Keras makes the stateful class, whose mean goes over samples; for these the function's mean is the same.
    {
        "mse": MeanSquaredError,
        "MSE": MeanSquaredError,
        "mae": MeanAbsoluteError,
        "MAE": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "MAPE": MeanAbsolutePercentageError,
        "msle": MeanSquaredLogarithmicError,
        "MSLE": MeanSquaredLogarithmicError,
        "rmse": RootMeanSquaredError,
        "RMSE": RootMeanSquaredError,
        "bce": BinaryCrossentropy,
        "BCE": BinaryCrossentropy,
        "kld": KLDivergence,
        "KLD": KLDivergence,
        "kullback_leibler_divergence": KLDivergence,
        "logcosh": LogCoshError,
        "cosine_proximity": cosine_similarity,
        "cosine": cosine_similarity,
        "root_mean_squared_error": RootMeanSquaredError,
        "precision": Precision,
        "recall": Recall,
        "auc": AUC,
        "f1_score": F1Score,
        "r2_score": R2Score,
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
    """The metric that `serialize` described, or that a name stands for."""
    return _REGISTRY.deserialize(config, custom_objects)


def get(identifier: Any) -> Any:
    """A metric function or `Metric` from a name, a function, a class, an instance or a description; None stays None.

    Raises:
        UnknownNameError: no metric has that name.
        InvalidArgumentError: the argument is none of these.
    """
    if identifier is None:
        return None
    found: Any = deserialize(identifier) if isinstance(identifier, (str, Mapping)) else identifier
    if isinstance(found, type):
        found = found()
    if not callable(found):
        raise InvalidArgumentError(
            f"cannot use {identifier!r} as a metric", needed="a name, a Metric, or f(y_true, y_pred)"
        )
    return found


def resolve_accuracy(y_true_shape: Sequence[Any], y_pred_shape: Sequence[Any]) -> type[MeanMetricWrapper]:
    """The class that "accuracy" means for an output of this shape (batch axis included).

    Last axis 1: `BinaryAccuracy`; targets of lower rank or with last axis 1: `SparseCategoricalAccuracy`; else
    `CategoricalAccuracy`, also for several labels with binary cross-entropy, as in Keras 3.
    """
    binary, sparse = losses.binary_or_sparse(y_true_shape, y_pred_shape)
    return BinaryAccuracy if binary else SparseCategoricalAccuracy if sparse else CategoricalAccuracy


def get_metric(identifier: Any, y_true_shape: Sequence[Any] = (), y_pred_shape: Sequence[Any] = ()) -> Metric:
    """The `Metric` for one output in `compile`; functions are wrapped, a name is kept as it was spelled.

    Raises:
        UnknownNameError: no metric has that name.
        InvalidArgumentError: the argument is no metric.
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        kind: Any = resolve_accuracy(y_true_shape, y_pred_shape)
        accuracy_metric: Metric = kind(name=identifier)
        return accuracy_metric
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        loss = losses.get_loss(identifier, y_true_shape, y_pred_shape)
        return MeanMetricWrapper(
            loss.fn if isinstance(loss, losses.LossFunctionWrapper) else get(loss), name=identifier
        )
    found = get(identifier)
    if found is None:
        raise InvalidArgumentError("a metric is None", needed="a name, a Metric, or f(y_true, y_pred)")
    if isinstance(found, losses.LossFunctionWrapper):
        found = MeanMetricWrapper(found.call, name=found.name)
    elif not isinstance(found, Metric):
        found = MeanMetricWrapper(found, name=getattr(found, "__name__", type(found).__name__))
    if isinstance(identifier, str):
        found.name = identifier
    metric: Metric = found
    return metric
