"""Metrics: sums that grow over batches, kept in variables, and the numbers made of them.  Written in `kgraph.ops`.

`update_state` may be called on arrays or inside a trace; the sums live in float32 variables as in Keras.
The function forms give one value per sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph import losses
from kgraph.errors import InvalidArgumentError
from kgraph.losses.functions import *  # noqa: F403  (the next modules replace some of these)
from kgraph.losses.functions import (
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from kgraph.metrics import base, confusion, curves, functions, means, scores
from kgraph.metrics.base import *  # noqa: F403
from kgraph.metrics.base import MeanMetricWrapper, Metric
from kgraph.metrics.confusion import *  # noqa: F403
from kgraph.metrics.confusion import Precision, Recall
from kgraph.metrics.curves import *  # noqa: F403
from kgraph.metrics.curves import AUC
from kgraph.metrics.functions import *  # noqa: F403
from kgraph.metrics.functions import cosine_similarity
from kgraph.metrics.means import *  # noqa: F403
from kgraph.metrics.means import (
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
)
from kgraph.metrics.scores import *  # noqa: F403
from kgraph.metrics.scores import F1Score, R2Score
from kgraph.registry import Registry, serialize

__all__ = ["deserialize", "get", "get_metric", "resolve_accuracy", "serialize"]
__all__ += losses.functions.__all__
__all__ += base.__all__
__all__ += confusion.__all__
__all__ += curves.__all__
__all__ += functions.__all__
__all__ += means.__all__
__all__ += scores.__all__

_REGISTRY = Registry("metric")
_REGISTRY.add_all(
    [
        getattr(part, name)
        for part in (losses.functions, base, confusion, curves, functions, means, scores)
        for name in part.__all__
    ],
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

deserialize = _REGISTRY.deserialize


def get(identifier: Any) -> Any:
    """A metric function or `Metric` from a name, a function, a class, an instance or a description; None stays None.

    Raises:
        UnknownNameError: no metric has that name.
        InvalidArgumentError: the argument is none of these.
    """
    return None if identifier is None else _REGISTRY.get(identifier, "a name, a Metric, or f(y_true, y_pred)")


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
