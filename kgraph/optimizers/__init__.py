"""Optimizers and learning-rate schedules, by name or as objects."""

from __future__ import annotations

from typing import Any

from kgraph.keras_paths import child, missing
from kgraph.optimizers import schedules
from kgraph.optimizers.algorithms import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from kgraph.optimizers.loss_scale import LossScaleOptimizer
from kgraph.optimizers.multi import MultiOptimizer, OptimizerMap
from kgraph.optimizers.optimizer import Optimizer
from kgraph.optimizers.scaled import Adafactor, Ftrl, Lamb, Muon, ScheduleFreeAdamW
from kgraph.registry import Registry, serialize

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]


def __getattr__(name: str) -> Any:
    found = None if name[:2] == "__" else child(__name__, name)
    if found is None:
        raise missing(__name__, name, __all__)
    return found


_REGISTRY = Registry("optimizer", fold=True, makes=True)
_REGISTRY.add_all((SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion), {})
_REGISTRY.add_all((Ftrl, Lamb, Adafactor, Muon, ScheduleFreeAdamW, LossScaleOptimizer, MultiOptimizer), {})
deserialize = _REGISTRY.deserialize


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name (any case), a class, an instance or a description.

    Raises:
        UnknownNameError: no optimizer has that name.
        InvalidArgumentError: the argument is none of these.
    """
    found: Optimizer = _REGISTRY.get(
        identifier, "a name such as 'adam', or an Optimizer", lambda thing: isinstance(thing, Optimizer)
    )
    return found
