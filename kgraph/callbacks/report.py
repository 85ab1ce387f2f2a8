"""Callbacks that tell others how training goes: `TensorBoard`, `RemoteMonitor`; and names of Keras that do nothing."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kgraph.callbacks.base import Callback, Logs, Phase
from kgraph.callbacks.events import EventWriter
from kgraph.callbacks.schedule import learning_rate_of
from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = ["BaseLogger", "OrbaxCheckpoint", "ProgbarLogger", "RemoteMonitor", "TensorBoard"]


class TensorBoard(Callback):
    """Write logs for TensorBoard: `train/` and `validation/` in `log_dir`, tags `epoch_loss`, `batch_loss`, ...

    Args:
        log_dir: directory of the event files.
        histogram_freq: epochs between two histograms of every weight; 0: none.
        write_graph: accepted for Keras; the graph is not written (`model.trainer.ir()` shows it).
        write_images: not there.
        write_steps_per_second: also `epoch_steps_per_second`.
        update_freq: `"epoch"`, `"batch"`, or a number of batches between two writes.
        profile_batch: 0; profiling is not there.
        embeddings_freq: 0; embeddings are not there.
        embeddings_metadata: None.
        kwargs: arguments of Keras 2 that change nothing: `batch_size`, `write_grads`.

    Raises:
        UnsupportedError: images, profiling or embeddings are asked for.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        for name, value in (
            ("write_images", write_images),
            ("profile_batch", profile_batch),
            ("embeddings_freq", embeddings_freq),
            ("embeddings_metadata", embeddings_metadata),
        ):
            if value:
                raise UnsupportedError(
                    f"TensorBoard: {name}={value!r} is not supported",
                    fix="leave it out; scalars and histograms are there",
                )
        if update_freq not in ("epoch", "batch") and not (isinstance(update_freq, int) and update_freq >= 1):
            raise InvalidArgumentError(
                f"TensorBoard: update_freq={update_freq!r}", needed="'epoch', 'batch' or a number"
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq, self.write_graph = histogram_freq, write_graph
        self.write_steps_per_second = write_steps_per_second
        self.update_freq: Any = 1 if update_freq == "batch" else update_freq
        self._writers: dict[str, EventWriter] = {}
        self._steps = 0
        self._of_epoch = (0, 0.0)
        self._last = -1

    def wants_batches(self, phase: Phase) -> bool:
        """Only when it writes by batches."""
        return phase == "train" and self.update_freq != "epoch"

    def _writer(self, part: str) -> EventWriter:
        return self._writers.setdefault(part, EventWriter(Path(self.log_dir, part)))

    def _done(self) -> int:
        """Training steps so far."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        return int(np.asarray(optimizer._iterations))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note time and step."""
        self._of_epoch = (self._done(), time.perf_counter())
        self._last = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the running values."""
        if self.update_freq == "epoch" or (batch + 1) // self.update_freq <= (self._last + 1) // self.update_freq:
            return
        self._last = batch
        for key, value in (logs or {}).items():
            self._writer("train").scalar(f"batch_{key}", float(value), self._done())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the values of the epoch."""
        values = {key: value for key, value in (logs or {}).items() if np.ndim(value) == 0}
        if hasattr(self.model.optimizer, "learning_rate"):  # a MultiOptimizer has several
            values.setdefault("learning_rate", learning_rate_of(self.model.optimizer))
        for key, value in values.items():
            part = "validation" if key.startswith("val_") else "train"
            self._writer(part).scalar(f"epoch_{key.removeprefix('val_')}", float(value), epoch)
        if self.write_steps_per_second:
            steps, start = self._of_epoch
            rate = (self._done() - steps) / max(time.perf_counter() - start, 1e-9)
            self._writer("train").scalar("epoch_steps_per_second", rate, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for layer in self.model.layers:
                for weight in layer.weights:
                    self._writer("train").histogram(f"{weight.path}/histogram", weight.array, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the loss of an `evaluate` by the step number."""
        if self.model.optimizer is not None:
            for key, value in (logs or {}).items():
                if np.ndim(value) == 0:
                    self._writer("validation").scalar(f"evaluation_{key}_vs_iterations", float(value), self._done())

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


class RemoteMonitor(Callback):
    """Send the logs of each epoch to a server by HTTP POST; a server that is not there is a warning.

    Args:
        root: of the server.
        path: on it.
        field: form field that holds the JSON text.
        headers: of the request.
        send_as_json: send the JSON itself, not a form.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if not root.startswith(("http://", "https://")):
            raise InvalidArgumentError(f"RemoteMonitor: root={root!r}", needed="an address http://... or https://...")
        self.root, self.path, self.field, self.headers, self.send_as_json = root, path, field, headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send."""
        # Here: what speaks HTTP takes longer to load than the rest of this package.
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        values = {key: np.asarray(value).tolist() for key, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **values})
        headers = dict(self.headers or {})
        if self.send_as_json:
            body = text.encode()
            headers.setdefault("Content-Type", "application/json")
        else:
            body = urlencode({self.field: text}).encode()
        request = Request(self.root + self.path, data=body, headers=headers, method="POST")
        try:
            with urlopen(request, timeout=10):
                pass
        except OSError as error:
            warnings.warn(f"Could not reach RemoteMonitor root server at {self.root}: {error}", stacklevel=2)


class ProgbarLogger(Callback):
    """Accepted for Keras: `fit`, `evaluate` and `predict` draw the progress bar themselves, by `verbose`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()


class BaseLogger(Callback):
    """Accepted for Keras 2: the logs hold running means without it."""

    def __init__(self, stateful_metrics: Any = None) -> None:
        super().__init__()
        self.stateful_metrics = set(stateful_metrics or ())


class OrbaxCheckpoint(Callback):
    """Not there: Orbax stores arrays of JAX.

    Raises:
        UnsupportedError: always.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(
            "OrbaxCheckpoint is not supported: it needs Orbax and JAX",
            fix="use kgraph.callbacks.ModelCheckpoint, or BackupAndRestore to go on after a crash",
        )
