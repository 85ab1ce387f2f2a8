"""`fit_generator` and its kin of Keras 1 and 2: their arguments, in the order of the time, as those of `fit`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kgraph.errors import CallError, InvalidArgumentError

__all__ = ["evaluate_arguments", "fit_arguments", "predict_arguments"]

# In the order of Keras 2.3.
_FIT = (
    "steps_per_epoch epochs verbose callbacks validation_data validation_steps validation_freq class_weight "
    "max_queue_size workers use_multiprocessing shuffle initial_epoch"
).split()
_EVALUATE = "steps callbacks max_queue_size workers use_multiprocessing verbose".split()
_PREDICT = "steps callbacks max_queue_size workers use_multiprocessing verbose".split()
# How batches were made: here the calling thread makes them, so nothing changes.
_WORKERS = frozenset("max_queue_size max_q_size workers nb_worker use_multiprocessing pickle_safe".split())
# Keras 1 counted samples, not batches: name -> (name now, whether it counts samples)
_OLD = {
    "nb_epoch": ("epochs", False),
    "samples_per_epoch": ("steps_per_epoch", True),
    "nb_val_samples": ("validation_steps", True),
    "val_samples": ("steps", True),
}


def fit_arguments(generator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `fit` for those of `fit_generator`.

    Args:
        generator: the training data; its batch size turns samples into steps.
        args: after the generator, in the order of Keras 2.
        kwargs: by name; `nb_epoch`, `samples_per_epoch`, `nb_val_samples`, `nb_worker`, `max_q_size` and
            `pickle_safe` of Keras 1 too.

    Raises:
        CallError: an argument is given twice, or there are too many.
        InvalidArgumentError: samples are counted, and the generator does not say how many a batch has.
    """
    given = _named("fit_generator", _FIT, args, kwargs)
    held = given.get("validation_data", (None, ""))[0]
    return {name: _counted(name, *pair, held if name[:3] == "val" else generator) for name, pair in given.items()}


def evaluate_arguments(generator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `evaluate` for those of `evaluate_generator`; `val_samples` of Keras 1 too."""
    given = _named("evaluate_generator", _EVALUATE, args, kwargs)
    return {name: _counted(name, *pair, generator) for name, pair in given.items()}


def predict_arguments(generator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `predict` for those of `predict_generator`; `val_samples` of Keras 1 too."""
    given = _named("predict_generator", _PREDICT, args, kwargs)
    return {name: _counted(name, *pair, generator) for name, pair in given.items()}


def _named(
    method: str, order: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, tuple[Any, str]]:
    """Name now -> (value, name that was written)."""
    if len(args) > len(order):
        raise CallError(f"{method}() takes {len(order)} arguments after the generator", got=f"{len(args)}")
    given: dict[str, tuple[Any, str]] = {}
    for written, value in [*zip(order, args), *kwargs.items()]:
        name = _OLD.get(written, (written, False))[0]
        if name in given:
            raise CallError(f"{method}() got {name} twice", got=f"{given[name][1]} and {written}", fix="pass it once")
        given[name] = value, written
    return {name: pair for name, pair in given.items() if pair[1] not in _WORKERS}


def _counted(name: str, value: Any, written: str, source: Any) -> Any:
    """The value now: samples become steps."""
    if not _OLD.get(written, ("", False))[1] or value is None:
        return value
    batch = getattr(source, "batch_size", None)
    if not isinstance(batch, int) or batch < 1:
        raise InvalidArgumentError(
            f"{written} counts samples, and the generator does not say how many a batch has",
            got=f"{written}={value!r}",
            fix=f"pass {name}= (batches), which is {written} / batch size",
        )
    return math.ceil(value / batch)
