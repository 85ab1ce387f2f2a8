"""`LearningRateScheduler`, and how callbacks read the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from kgraph.callbacks.base import Callback, Logs
from kgraph.errors import InvalidArgumentError

__all__ = ["LearningRateScheduler", "learning_rate_of"]


def learning_rate_of(optimizer: Any) -> float:
    """The current rate of an optimizer, which may hold a variable, a number or a schedule."""
    rate = optimizer.learning_rate
    return float(np.asarray(rate.numpy() if hasattr(rate, "numpy") else rate))


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch by `schedule(epoch, lr)` or `schedule(epoch)`; `epoch` counts from 0.

    Raises:
        InvalidArgumentError: the schedule returns no float.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        rate = self.schedule(epoch, learning_rate_of(optimizer)) if _takes_two(self.schedule) else self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)):
            raise InvalidArgumentError("LearningRateScheduler: the schedule must return a float", got=f"{rate!r}")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = learning_rate_of(self.model.optimizer)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in function without a signature
        return True
    return True
