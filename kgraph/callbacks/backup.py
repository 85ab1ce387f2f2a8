"""`BackupAndRestore`: go on with a training that was interrupted."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kgraph.callbacks.base import Callback, Logs, Phase
from kgraph.errors import DataError, InvalidArgumentError

__all__ = ["BackupAndRestore"]


class BackupAndRestore(Callback):
    """Write weights, optimizer and step number to a directory while training; `fit` begins where the last one stopped.

    A file is complete or not there: it is written beside the old one, then takes its place.

    Args:
        backup_dir: directory of the backup, for this training alone.
        save_freq: `"epoch"`, or a number of batches; after a backup within an epoch that epoch is begun again.
        double_checkpoint: keep the backup before the last one too.
        delete_checkpoint: remove the backup when training ends well.

    Raises:
        InvalidArgumentError: an argument has a value that means nothing.
        DataError: the backup is that of another model.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise InvalidArgumentError("BackupAndRestore: backup_dir is empty", needed="a directory")
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq >= 1):
            raise InvalidArgumentError(
                f"BackupAndRestore: save_freq={save_freq!r}", needed="'epoch' or a number of batches"
            )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq, self.double_checkpoint, self.delete_checkpoint = save_freq, double_checkpoint, delete_checkpoint
        self._path = Path(self.backup_dir, "backup.npz")
        self._older = Path(self.backup_dir, "backup.previous.npz")
        self._epoch = 0
        self._batches = 0

    def wants_batches(self, phase: Phase) -> bool:
        """Only when it saves by batches."""
        return phase == "train" and self.save_freq != "epoch"

    def _arrays(self) -> dict[str, Any]:
        model = self.model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        found = {f"weight_{k}": variable.array for k, variable in enumerate(model.weights)}
        found.update({f"optimizer_{k}": variable.array for k, variable in enumerate(model.optimizer.variables)})
        found.update({f"random_{k}": variable.array for k, variable in enumerate(model.trainer.seed_step)})
        return found

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Take up the backup, if there is one."""
        path = next((p for p in (self._path, self._older) if p.exists() and zipfile.is_zipfile(p)), None)
        if path is None:
            return
        arrays = self._arrays()
        with np.load(path, allow_pickle=False) as stored:
            if set(stored.files) != {*arrays, "epoch"} or any(stored[k].shape != a.shape for k, a in arrays.items()):
                raise DataError(
                    "BackupAndRestore: the backup is that of another model or optimizer",
                    got=str(path),
                    fix="remove it, or give each training its own backup_dir",
                )
            for name, array in arrays.items():
                array[...] = stored[name]
            self.model._initial_epoch = int(stored["epoch"])

    def _save(self, next_epoch: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name("backup.new.npz")
        with new.open("wb") as file:
            np.savez(file, epoch=np.int64(next_epoch), **self._arrays())
            file.flush()
            os.fsync(file.fileno())
        if self.double_checkpoint and self._path.exists():
            os.replace(self._path, self._older)
        os.replace(new, self._path)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch, self._batches = epoch, 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save when `save_freq` batches have passed."""
        if self.save_freq != "epoch" and batch + 1 - self._batches >= int(self.save_freq):
            self._batches = batch + 1
            self._save(self._epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save."""
        if self.save_freq == "epoch":
            self._save(epoch + 1)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Remove the backup."""
        if self.delete_checkpoint:
            self._path.unlink(missing_ok=True)
            self._older.unlink(missing_ok=True)
            if self._path.parent.is_dir() and not any(self._path.parent.iterdir()):
                self._path.parent.rmdir()
