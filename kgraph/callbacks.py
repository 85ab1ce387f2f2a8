"""Callbacks: what a user's code may do while a model trains, with the hooks and semantics of Keras 3.

A hook on batches makes `fit` return from native code after each batch; without one it returns some times a second.
"""

from __future__ import annotations

import csv
import inspect
import math
import operator
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

Logs = dict[str, Any]
Phase = Literal["train", "test", "predict"]


class Callback:
    """Base of all callbacks; override the hooks you need.

    Attributes:
        model: the model that trains.
        params: `epochs`, `steps` (batches an epoch, None when unknown) and `verbose`.

    `epoch` and `batch` count from 0.  `logs` of a batch hold running averages since the epoch began.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}
        self.validation_data: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Called once before the first hook."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called once before the first hook."""
        self.model = model

    def wants_batches(self, phase: Phase) -> bool:
        """Whether this callback must be called for each batch of a phase: it overrides one of the hooks on batches."""
        names = [f"on_{phase}_batch_begin", f"on_{phase}_batch_end"]
        if phase == "train":
            names += ["on_batch_begin", "on_batch_end"]
        return any(_overridden(self, name) for name in names)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Keras 2 spelling of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Keras 2 spelling of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch of `fit`."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch of `fit` and its validation; what is put in `logs` reaches later callbacks and the history."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `fit`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `fit`."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate` or of validation."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`; `logs["outputs"]` holds the arrays."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate` or a validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate` or a validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""


def _overridden(callback: Callback, name: str) -> bool:
    return name in vars(callback) or getattr(type(callback), name) is not getattr(Callback, name)


class CallbackList(Callback):
    """Several callbacks as one, called in order.

    Args:
        callbacks: a callback, or nested lists of them.
        add_history: append a `History` when there is none.
        add_progbar: accepted for Keras; the progress bar is drawn by `fit` itself.
        model: given to each callback.
        params: given to each callback.

    Raises:
        InvalidArgumentError: an entry is no callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks = list(_flat(callbacks))
        for callback in self.callbacks:
            if isinstance(callback, type) or not hasattr(callback, "on_epoch_end"):
                raise InvalidArgumentError(
                    "callbacks take Callback objects",
                    got=f"the class {callback.__name__}" if isinstance(callback, type) else f"{callback!r}",
                    fix=f"write {callback.__name__}(...)" if isinstance(callback, type) else "",
                )
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        if self.history is None and add_history:
            self.history = History()
            self.callbacks.append(self.history)
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)

    def set_params(self, params: dict[str, Any]) -> None:
        """Give `params` to each callback."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give `model` to each callback; the history becomes `model.history`."""
        self.model = model
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def wants_batches(self, phase: Phase) -> bool:
        """Whether one of the callbacks wants each batch."""
        # A foreign callback class knows no wants_batches: call it for each batch.
        return any(c.wants_batches(phase) if isinstance(c, Callback) else True for c in self.callbacks)

    def _each(self, hook: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_epoch_begin", epoch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_epoch_end", epoch, {} if logs is None else logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_train_batch_begin", batch, {} if logs is None else logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_train_batch_end", batch, {} if logs is None else logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_test_batch_begin", batch, {} if logs is None else logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_test_batch_end", batch, {} if logs is None else logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_predict_batch_begin", batch, {} if logs is None else logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_predict_batch_end", batch, {} if logs is None else logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_train_begin", {} if logs is None else logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_train_end", {} if logs is None else logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_test_begin", {} if logs is None else logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_test_end", {} if logs is None else logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_predict_begin", {} if logs is None else logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Call each."""
        self._each("on_predict_end", {} if logs is None else logs)


def _flat(callbacks: Any) -> Iterator[Any]:
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, (list, tuple)):
        for entry in callbacks:
            yield from _flat(entry)
    else:
        yield callbacks


class History(Callback):
    """What `fit` returns.

    Attributes:
        epoch: epoch numbers, from 0.
        history: for each key of the logs a list with one value an epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget the epochs of an earlier fit."""
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the logs."""
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)


class LambdaCallback(Callback):
    """Functions as hooks: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))`."""

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        hooks = dict(kwargs)
        hooks.update(
            on_epoch_begin=on_epoch_begin,
            on_epoch_end=on_epoch_end,
            on_train_begin=on_train_begin,
            on_train_end=on_train_end,
            on_train_batch_begin=on_train_batch_begin,
            on_train_batch_end=on_train_batch_end,
        )
        vars(self).update({name: hook for name, hook in hooks.items() if hook is not None})


_RISING = ("acc", "auc", "precision", "recall", "iou", "f1", "fbeta", "r2", "correlation", "sensitivity", "specificity")
_FALLING = ("loss", "error", "mse", "mae", "mape", "msle", "entropy", "hinge", "poisson", "divergence", "cosh", "huber")


class _Monitor(Callback):
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


class EarlyStopping(_Monitor):
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
            warnings.warn(_not_available("EarlyStopping", self.monitor, logs or {}), stacklevel=2)
        return value


def _not_available(callback: str, monitor: str, logs: Mapping[str, Any]) -> str:
    return f"{callback}: the metric {monitor!r} is not available; available are: {', '.join(logs)}"


class ModelCheckpoint(_Monitor):
    """Save the weights after each epoch, or after every `save_freq` batches.

    Args:
        filepath: may contain `{epoch}` (from 1), `{batch}` (from 1) and keys of the logs, e.g. `{val_loss:.2f}`.
        monitor: key of the logs that `save_best_only` compares.
        verbose: 1 prints what it does.
        save_best_only: save only when `monitor` improved.
        save_weights_only: must be True, with a path that ends in `.weights.h5` (or `.h5`, as in Keras 2).
        mode: `"min"`, `"max"`, or `"auto"` from the name.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: value to beat at first.
        period: Keras 2: epochs between two saves.

    Raises:
        UnsupportedError: `save_weights_only` is False.
        InvalidArgumentError: the path or `save_freq` does not fit.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
        period: int = 1,
    ) -> None:
        super().__init__(monitor, mode, baseline=initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.period = period
        self._current_epoch = 0
        self._batches_since_save = 0
        self._last_batch: int | None = None
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise InvalidArgumentError(
                f"ModelCheckpoint: save_freq={save_freq!r}", needed="'epoch' or a number of batches"
            )
        if not save_weights_only:
            raise UnsupportedError(
                "ModelCheckpoint cannot save whole models in this version",
                got=f"save_weights_only=False, filepath={self.filepath!r}",
                fix="pass save_weights_only=True and a path that ends in .weights.h5",
            )
        if not self.filepath.endswith(".h5"):
            raise InvalidArgumentError(
                "ModelCheckpoint: weights are saved in the .weights.h5 format",
                got=f"filepath={self.filepath!r}",
                needed="a path that ends in .weights.h5",
            )

    def wants_batches(self, phase: Phase) -> bool:
        """Only when it saves by batches."""
        return phase == "train" and self.save_freq != "epoch"

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save when `save_freq` batches have passed."""
        if self.save_freq == "epoch":
            return
        new_epoch = self._last_batch is None or batch <= self._last_batch
        self._batches_since_save += batch + 1 if new_epoch or self._last_batch is None else batch - self._last_batch
        self._last_batch = batch
        if self._batches_since_save >= int(self.save_freq):
            self._batches_since_save = 0
            self._save(self._current_epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save."""
        if self.save_freq == "epoch" and (epoch + 1) % self.period == 0:
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = Path(self._path(epoch, batch, logs))
        if not self._wanted(epoch, logs, path):
            return
        if path.is_dir():
            raise IsADirectoryError(f"ModelCheckpoint: {path} is a directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.model.save_weights(str(path), overwrite=True)
        self._say(epoch, f"finished saving model to {path}")

    def _wanted(self, epoch: int, logs: Logs, path: Path) -> bool:
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(_not_available("ModelCheckpoint", self.monitor, logs), stacklevel=2)
            return True
        before = "None" if self.best is None else f"{self.best:.5f}"
        if self._is_improvement(current, self.best):
            self._say(epoch, f"{self.monitor} improved from {before} to {current:.5f}, saving model to {path}")
            self.best = current
            return True
        self._say(epoch, f"{self.monitor} did not improve from {before}")
        return False

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        values = dict(logs)
        if batch is not None:
            values.setdefault("batch", batch + 1)
        try:
            return self.filepath.format(**{**values, "epoch": epoch + 1})
        except KeyError as error:
            have = ", ".join(values)
            raise KeyError(
                f"ModelCheckpoint: {self.filepath!r} asks for {error}, which the logs lack; they have: {have}"
            ) from None

    def _say(self, epoch: int, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: {text}")


def _learning_rate(optimizer: Any) -> float:
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
        rate = self.schedule(epoch, _learning_rate(optimizer)) if _takes_two(self.schedule) else self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)):
            raise InvalidArgumentError("LearningRateScheduler: the schedule must return a float", got=f"{rate!r}")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = _learning_rate(self.model.optimizer)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in function without a signature
        return True
    return True


class ReduceLROnPlateau(_Monitor):
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
        logs["learning_rate"] = _learning_rate(self.model.optimizer)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(_not_available("ReduceLROnPlateau", self.monitor, logs), stacklevel=2)
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
        old = _learning_rate(self.model.optimizer)
        if old <= np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        return True


class TerminateOnNaN(Callback):
    """Stop at the first batch whose loss is NaN or infinite.

    Args:
        raise_error: raise a RuntimeError instead of stopping.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}: {loss}")
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True


class CSVLogger(Callback):
    """Write the logs of each epoch as a row of a CSV file: `epoch`, then the keys of the first epoch, sorted.

    Args:
        filename: the file.
        separator: between columns.
        append: go on with an existing file; its header is kept.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._file: IO[str] | None = None
        self._writer: csv.DictWriter[str] | None = None
        self._header = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self.on_train_end()
        path = Path(self.filename)
        self._header = not (self.append and path.exists() and path.stat().st_size > 0)
        self._file = path.open("a" if self.append else "w", newline="", encoding="utf-8")
        self._writer = None
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row."""
        logs = logs or {}
        if self._file is None:
            return
        if self.keys is None:
            self.keys = sorted(logs)
            if self.keys and not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]  # validation may come in a later epoch
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, ["epoch", *self.keys], delimiter=self.sep)
            if self._header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **{key: _cell(logs.get(key, "NA")) for key in self.keys}})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._writer = None


def _cell(value: Any) -> Any:
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
        return f'"[{", ".join(map(str, value))}]"'
    return value
