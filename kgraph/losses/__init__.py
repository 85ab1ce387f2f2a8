"""Losses, with the formulas, clipping and reductions of Keras 3.  Written in `kgraph.ops`.

The functions return one value per sample (they reduce the last axis only); the classes reduce to a scalar.  Targets and
outputs are brought to one rank, (n,) against (n, 1), and are never broadcast against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph.losses import classes, extra, functions
from kgraph.losses.base import Loss, LossFunctionWrapper
from kgraph.losses.classes import *  # noqa: F403
from kgraph.losses.extra import *  # noqa: F403
from kgraph.losses.functions import *  # noqa: F403
from kgraph.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    cosine_similarity,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    sparse_categorical_crossentropy,
)
from kgraph.registry import Registry, serialize

__all__ = ["Loss", "LossFunctionWrapper", "deserialize", "get", "get_loss", "serialize"]
__all__ += classes.__all__
__all__ += extra.__all__
__all__ += functions.__all__

_REGISTRY = Registry("loss")
_REGISTRY.add_all(
    [LossFunctionWrapper, *(getattr(part, name) for part in (functions, classes, extra) for name in part.__all__)],
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

deserialize = _REGISTRY.deserialize


def get(identifier: Any) -> Any:
    """A loss function or `Loss` from a name, a function, a class, an instance or a description; None stays None.

    Raises:
        UnknownNameError: no loss has that name.
        InvalidArgumentError: the argument is none of these.
    """
    return None if identifier is None else _REGISTRY.get(identifier, "a name, a Loss, or f(y_true, y_pred)")


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
