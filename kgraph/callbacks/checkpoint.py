"""`ModelCheckpoint`: the model, or its weights, saved while training goes on."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from kgraph.callbacks.base import Logs, Phase
from kgraph.callbacks.monitor import Monitor, not_available
from kgraph.errors import FileError, InvalidArgumentError, MissingKeyError

__all__ = ["ModelCheckpoint"]


class DirectoryGivenError(FileError, IsADirectoryError):
    """A file was to be written where a directory is."""


class ModelCheckpoint(Monitor):
    """Save the model, or its weights, after each epoch, or after every `save_freq` batches.

    Args:
        filepath: may contain `{epoch}` (from 1), `{batch}` (from 1) and keys of the logs, e.g. `{val_loss:.2f}`.
        monitor: key of the logs that `save_best_only` compares.
        verbose: 1 prints what it does.
        save_best_only: save only when `monitor` improved.
        save_weights_only: weights alone, with a path that ends in `.weights.h5` (or `.h5`, as in Keras 2); else the
            whole model with the state of training, with a path that ends in `.keras` (or `.h5`).
        mode: `"min"`, `"max"`, or `"auto"` from the name.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: value to beat at first.
        period: Keras 2: epochs between two saves.

    Raises:
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
        if save_weights_only and not self.filepath.endswith(".h5"):
            raise InvalidArgumentError(
                "ModelCheckpoint: weights are saved in the .weights.h5 format",
                got=f"filepath={self.filepath!r}",
                needed="a path that ends in .weights.h5",
            )
        whole = self.filepath.endswith((".keras", ".h5", ".hdf5")) and not self.filepath.endswith(".weights.h5")
        if not save_weights_only and not whole:
            raise InvalidArgumentError(
                "ModelCheckpoint: whole models are saved as .keras",
                got=f"save_weights_only=False, filepath={self.filepath!r}",
                needed="a path that ends in .keras (or .h5)",
                fix="pass save_weights_only=True for a path that ends in .weights.h5",
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
            raise DirectoryGivenError(f"ModelCheckpoint: {path} is a directory", needed="the name of a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(str(path), overwrite=True)
        else:
            self.model.save(str(path), overwrite=True)
        self._say(epoch, f"finished saving model to {path}")

    def _wanted(self, epoch: int, logs: Logs, path: Path) -> bool:
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(not_available("ModelCheckpoint", self.monitor, logs), stacklevel=2)
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
            raise MissingKeyError(
                f"ModelCheckpoint: {self.filepath!r} asks for {error}, which the logs lack; they have: {have}"
            ) from None

    def _say(self, epoch: int, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: {text}")
