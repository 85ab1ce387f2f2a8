"""Arguments of `fit`, `evaluate` and `predict` that are no data: checked, and brought to one form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from kgraph.callbacks import CallbackList, History
from kgraph.errors import InvalidArgumentError
from kgraph.keras_config import is_interactive_logging_enabled

__all__ = ["callback_list", "drop_workers", "is_due", "verbosity", "whole_number"]


def callback_list(callbacks: Any, model: Any, add_history: bool = True, **params: Any) -> CallbackList:
    """The callbacks of a run, with a history when `add_history`; `params` are what callbacks read as `self.params`."""
    if isinstance(callbacks, CallbackList):
        if add_history and callbacks.history is None:
            callbacks.history = History()
            callbacks.append(callbacks.history)
        callbacks.set_model(model)
        callbacks.set_params(params)
        return callbacks
    return CallbackList(callbacks, add_history=add_history, model=model, **params)


def verbosity(verbose: Any) -> int:
    """0, 1 or 2.

    Raises:
        InvalidArgumentError: something else.
    """
    if verbose == "auto":
        return 1 if is_interactive_logging_enabled() else 2
    if verbose is True:
        return 1
    if verbose not in (0, 1, 2):
        raise InvalidArgumentError(f"verbose={verbose!r}", needed="'auto', 0, 1 or 2")
    return int(verbose)


def is_due(frequency: Any, epoch: int) -> bool:
    """Whether to validate after an epoch (from 0).

    Raises:
        InvalidArgumentError: the frequency is neither a number nor a list of epochs.
    """
    if isinstance(frequency, int) and frequency >= 1:
        return (epoch + 1) % frequency == 0
    if isinstance(frequency, (list, tuple, set)):
        return epoch + 1 in frequency
    raise InvalidArgumentError(f"validation_freq={frequency!r}", needed="a whole number above 0, or a list of epochs")


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        InvalidArgumentError: it is none.
    """
    whole = isinstance(value, (int, np.integer)) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise InvalidArgumentError(f"{name}={value!r}", needed=f"a whole number, {least} or more")
    return int(value)


def drop_workers(kwargs: Mapping[str, Any], method: str, function: Callable[..., Any]) -> None:
    """Let the worker arguments of Keras 2 pass, and nothing else.

    Raises:
        InvalidArgumentError: another argument; names the one that was meant.
    """
    for name in kwargs:
        if name not in ("workers", "use_multiprocessing", "max_queue_size"):
            near = get_close_matches(name, inspect.signature(function).parameters, 1)
            raise InvalidArgumentError(f"{method}() has no argument {name!r}", fix=f"write {near[0]}=" if near else "")
