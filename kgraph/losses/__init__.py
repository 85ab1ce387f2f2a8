"""Losses, with the formulas, clipping and reductions of Keras 3.  Written in `kgraph.ops`.

The functions return one value per sample (they reduce the last axis only); the classes reduce to a scalar.  Targets and
outputs are brought to one rank, (n,) against (n, 1), and are never broadcast against each other.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from kgraph.errors import InvalidArgumentError
from kgraph.losses.classes import (
    BinaryCrossentropy as BinaryCrossentropy,
)
from kgraph.losses.classes import (
    BinaryFocalCrossentropy as BinaryFocalCrossentropy,
)
from kgraph.losses.classes import (
    CategoricalCrossentropy as CategoricalCrossentropy,
)
from kgraph.losses.classes import (
    CategoricalFocalCrossentropy as CategoricalFocalCrossentropy,
)
from kgraph.losses.classes import (
    CategoricalHinge as CategoricalHinge,
)
from kgraph.losses.classes import (
    CosineSimilarity as CosineSimilarity,
)
from kgraph.losses.classes import (
    Hinge as Hinge,
)
from kgraph.losses.classes import (
    Huber as Huber,
)
from kgraph.losses.classes import (
    KLDivergence as KLDivergence,
)
from kgraph.losses.classes import (
    LogCosh as LogCosh,
)
from kgraph.losses.classes import (
    Loss as Loss,
)
from kgraph.losses.classes import (
    LossFunctionWrapper as LossFunctionWrapper,
)
from kgraph.losses.classes import (
    MeanAbsoluteError as MeanAbsoluteError,
)
from kgraph.losses.classes import (
    MeanAbsolutePercentageError as MeanAbsolutePercentageError,
)
from kgraph.losses.classes import (
    MeanSquaredError as MeanSquaredError,
)
from kgraph.losses.classes import (
    MeanSquaredLogarithmicError as MeanSquaredLogarithmicError,
)
from kgraph.losses.classes import (
    Poisson as Poisson,
)
from kgraph.losses.classes import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from kgraph.losses.classes import (
    SquaredHinge as SquaredHinge,
)
from kgraph.losses.classes import (
    reduce_weighted as reduce_weighted,
)
from kgraph.losses.extra import (
    CTC,
    CategoricalGeneralizedCrossEntropy,
    Circle,
    Dice,
    Tversky,
    categorical_generalized_cross_entropy,
    circle,
    ctc,
    dice,
    tversky,
)
from kgraph.losses.functions import (
    binary_crossentropy as binary_crossentropy,
)
from kgraph.losses.functions import (
    binary_focal_crossentropy as binary_focal_crossentropy,
)
from kgraph.losses.functions import (
    called as called,
)
from kgraph.losses.functions import (
    categorical_crossentropy as categorical_crossentropy,
)
from kgraph.losses.functions import (
    categorical_focal_crossentropy as categorical_focal_crossentropy,
)
from kgraph.losses.functions import (
    categorical_hinge as categorical_hinge,
)
from kgraph.losses.functions import (
    cosine_similarity as cosine_similarity,
)
from kgraph.losses.functions import (
    hinge as hinge,
)
from kgraph.losses.functions import (
    huber as huber,
)
from kgraph.losses.functions import (
    kl_divergence as kl_divergence,
)
from kgraph.losses.functions import (
    l2_normalize as l2_normalize,
)
from kgraph.losses.functions import (
    log_cosh as log_cosh,
)
from kgraph.losses.functions import (
    mask_of as mask_of,
)
from kgraph.losses.functions import (
    match_ranks as match_ranks,
)
from kgraph.losses.functions import (
    mean_absolute_error as mean_absolute_error,
)
from kgraph.losses.functions import (
    mean_absolute_percentage_error as mean_absolute_percentage_error,
)
from kgraph.losses.functions import (
    mean_squared_error as mean_squared_error,
)
from kgraph.losses.functions import (
    mean_squared_logarithmic_error as mean_squared_logarithmic_error,
)
from kgraph.losses.functions import (
    poisson as poisson,
)
from kgraph.losses.functions import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)
from kgraph.losses.functions import (
    squared_hinge as squared_hinge,
)
from kgraph.registry import Registry, serialize

__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
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
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
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
    "tversky",
]

_REGISTRY = Registry("loss")
_REGISTRY.add_all(
    (mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error, huber)
    + (log_cosh, cosine_similarity, hinge, squared_hinge, categorical_hinge, kl_divergence, poisson)
    + (binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy)
    + (sparse_categorical_crossentropy,)
    + (MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError, Huber, LogCosh)
    + (CosineSimilarity, Hinge, SquaredHinge, CategoricalHinge, KLDivergence, Poisson, BinaryCrossentropy)
    + (BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy)
    + (SparseCategoricalCrossentropy, LossFunctionWrapper, dice, tversky, circle, categorical_generalized_cross_entropy)
    + (ctc, CTC, Dice, Tversky, Circle, CategoricalGeneralizedCrossEntropy),
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
