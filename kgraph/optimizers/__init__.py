"""Optimizers and learning-rate schedules, by name or as objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from kgraph.errors import InvalidArgumentError
from kgraph.optimizers import schedules
from kgraph.optimizers.algorithms import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from kgraph.optimizers.optimizer import Optimizer
from kgraph.registry import Registry, serialize

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_REGISTRY = Registry("optimizer", fold=True)
_REGISTRY.add_all((SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion), {})


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` described, or that a name stands for."""
    found = _REGISTRY.deserialize(config, custom_objects)
    return found() if inspect.isclass(found) else found


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name (any case), a class, an instance or a description.

    Raises:
        UnknownNameError: no optimizer has that name.
        InvalidArgumentError: the argument is none of these.
    """
    found = deserialize(identifier) if isinstance(identifier, (str, Mapping)) else identifier
    if inspect.isclass(found):
        found = found()
    if not isinstance(found, Optimizer):
        raise InvalidArgumentError(
            f"cannot use {identifier!r} as an optimizer", needed="a name such as 'adam', or an Optimizer"
        )
    return found
