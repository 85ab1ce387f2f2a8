"""Callbacks that watch one value of the logs: `EarlyStopping`, `ReduceLROnPlateau`."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kgraph.callbacks.base import Callback, Logs
from kgraph.callbacks.schedule import learning_rate_of
from kgraph.errors import InvalidArgumentError

__all__ = ["EarlyStopping", "Monitor", "ReduceLROnPlateau", "not_available"]

_RISING = ("acc", "auc", "precision", "recall", "iou", "f1", "fbeta", "r2", "correlation", "sensitivity", "specificity")
_FALLING = ("loss", "error", "mse", "mae", "mape", "msle", "entropy", "hinge", "poisson", "divergence", "cosh", "huber")


class Monitor(Callback):
    """A callback that watches one value of the logs."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, baseline: float | None = None) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"{type(self).__name__}: mode {mode!r} is unknown; taken as 'auto'", stacklevel=3)
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[float, float], Any] | None = None

    def _direction(self) -> str:
        name = self.monitor.removeprefix("val_").lower()
        if self.mode != "auto":
            return self.mode
        if name == "loss" or name.endswith("_loss"):
            return "min"
        for metric in getattr(self.model, "metrics", ()):
            declared = getattr(metric, "_direction", None)
            if declared in ("up", "down") and name.endswith(getattr(metric, "name", name)):
                return "max" if declared == "up" else "min"
        if any(word in name for word in _RISING):
            return "max"
        if any(word in name for word in _FALLING):
            return "min"
        raise InvalidArgumentError(
            f"{type(self).__name__} cannot tell whether {self.monitor!r} should rise or fall",
            fix="pass mode='max' or mode='min'",
        )

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        if self.monitor_op is None:
            self.monitor_op = operator.gt if self._direction() == "max" else operator.lt
        if reference is None:
            return True
        delta = self.min_delta if self.monitor_op is operator.gt else -self.min_delta
        return bool(self.monitor_op(value - delta, reference))


class EarlyStopping(Monitor):
    """Stop when `monitor` has not improved for `patience` epochs.

    An improvement is a value better than the best by more than `min_delta` (strictly).

    Args:
        monitor: key of the logs.
        min_delta: least change that counts.
        patience: epochs without improvement before training stops.
        verbose: 1 prints what it does.
        mode: `"min"`, `"max"`, or `"auto"` from the name.
        baseline: value that must be beaten for the wait to begin anew.
        restore_best_weights: put back the weights of the best epoch when training ends.
        start_from_epoch: epochs to let pass first.

    Attributes:
        stopped_epoch: the epoch at which training stopped; 0 when it did not.
        best: best value; best_epoch: its epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if isinstance(patience, bool) or not isinstance(patience, (int, float)) or not patience >= 0:
            raise InvalidArgumentError(f"EarlyStopping: patience={patience!r}", needed="a number of epochs, 0 or more")
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh, so that one object serves several fits."""
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop."""
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights, when asked."""
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """The watched value; warns when the logs lack it."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(not_available("EarlyStopping", self.monitor, logs or {}), stacklevel=2)
        return value


def not_available(callback: str, monitor: str, logs: Mapping[str, Any]) -> str:
    """The warning for a key that the logs lack."""
    return f"{callback}: the metric {monitor!r} is not available; available are: {', '.join(logs)}"


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs.

    Args:
        monitor: key of the logs.
        factor: below 1.
        patience: epochs to wait.
        verbose: 1 prints what it does.
        mode: `"min"`, `"max"`, or `"auto"` from the name.
        min_delta: least change that counts.
        cooldown: epochs to wait after a reduction.
        min_lr: least learning rate.

    Raises:
        InvalidArgumentError: `factor` is 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1.0:
            raise InvalidArgumentError("ReduceLROnPlateau: the factor must be below 1", got=f"factor={factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start afresh."""
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and reduce; adds the rate to the logs."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = learning_rate_of(self.model.optimizer)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(not_available("ReduceLROnPlateau", self.monitor, logs), stacklevel=2)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether a reduction was less than `cooldown` epochs ago."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> bool:
        old = learning_rate_of(self.model.optimizer)
        if old <= np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        return True
