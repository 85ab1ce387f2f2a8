"""One pass over data: rows in memory in native code, many steps at a time; streams batch by batch.

Native code runs about a fifth of a second between two looks at Python, so that Ctrl-C, the progress bar and a stop
asked for by a callback work; only a callback with a hook on batches brings the loop back after each batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph.callbacks import CallbackList
from kgraph.codegen import Executable
from kgraph.config import settings
from kgraph.errors import DataError
from kgraph.ir.dims import evaluate_shape
from kgraph.ir.types import numpy_dtype
from kgraph.trainer.diagnose import run_watched
from kgraph.trainer.feed import Feed, Stream
from kgraph.trainer.steps import Step
from kgraph.utils.progress import ProgressBar

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["by_rows", "predict_batches", "run_evaluation", "run_rows", "run_stream", "sinks_for"]

Array = np.ndarray[Any, np.dtype[Any]]

_SECONDS_PER_CALL = 0.2  # of native code between two looks at Python
_GROWTH = 16  # at most so many times the steps of the last call: the first ones run with cold caches


def run_rows(
    trainer: Trainer,
    mode: str,
    feed: Feed,
    batch: int,
    order: Array | None,
    hooks: CallbackList,
    bar: ProgressBar | None,
    sinks: Sequence[Array] | None = None,
) -> int:
    """One pass over the rows of a feed; returns the number of batches done."""
    full, tail = divmod(feed.rows, batch)
    if tail and trainer.fixed_batch:
        raise DataError(
            f"the model takes batches of {batch} rows, and {tail} rows are left over",
            got=f"{feed.rows} rows",
            fix=f"pass a multiple of {batch} rows, or build the model without batch_shape",
        )
    run = _Pass(trainer, mode, feed, batch, order, sinks, hooks, bar)
    for rows, count in ((batch, full), (tail, 1 if tail else 0)):
        if count and not run.steps(rows, count):
            break
    return run.done


class _Pass:
    """One pass over rows in memory: how far it is, and who is told."""

    def __init__(
        self,
        trainer: Trainer,
        mode: str,
        feed: Feed,
        batch: int,
        order: Array | None,
        sinks: Sequence[Array] | None,
        hooks: CallbackList,
        bar: ProgressBar | None,
    ) -> None:
        self.trainer, self.mode, self.feed, self.batch, self.order = trainer, mode, feed, batch, order
        self.sinks, self.hooks, self.bar = sinks, hooks, bar
        self.step = trainer.step_for(mode, feed.signature)
        self.phase = {"train": "train", "eval": "test", "predict": "predict"}[mode]
        self.per_batch = hooks.wants_batches(self.phase)  # type: ignore[arg-type]
        self.watch = mode != "predict" and settings().check_nan
        self.done = 0

    def steps(self, rows: int, count: int) -> bool:
        """Run `count` steps of `rows` rows; False when a callback asked to stop."""
        step, trainer = self.step, self.trainer
        executable = step.bind(step.sizes(self.feed.arrays, rows))
        chunk = trainer.steps_per_execution if self.per_batch else _steps_at_once(step.pace.get(rows))
        end = self.done + count
        while self.done < end:
            now = 1 if self.watch else min(chunk, end - self.done)
            if self.per_batch:
                getattr(self.hooks, f"on_{self.phase}_batch_begin")(self.done)
            start = time.perf_counter()
            self._run(executable, rows, now)
            seconds = (time.perf_counter() - start) / now
            self.done += now
            if self.per_batch:
                getattr(self.hooks, f"on_{self.phase}_batch_end")(self.done - 1, self._logs(self.done - now))
            else:
                step.pace[rows] = seconds
                chunk = min(now * _GROWTH, _steps_at_once(seconds))
            if self.bar is not None:
                shown = self.bar.wants_update and self.mode != "predict"
                self.bar.update(self.done, trainer.logs() if shown else None)
            if self.mode == "train" and trainer.model.stop_training:
                return False
        return True

    def _run(self, executable: Executable, rows: int, count: int) -> None:
        first = self.done * self.batch
        run = partial(executable.run_steps, self.feed.arrays, self.order, first, count, self.sinks)
        with self.trainer.lock:
            if self.watch:
                taken = slice(first, first + rows) if self.order is None else self.order[first : first + rows]
                run_watched(self.step, executable, partial(_rows, self.feed, taken), run)
            else:
                run()
            self.trainer.ran(self.step, executable)

    def _logs(self, first: int) -> dict[str, Any]:
        if self.mode == "predict" and self.sinks is not None:
            parts = [sink[first * self.batch : self.done * self.batch] for sink in self.sinks]
            return {"outputs": self.trainer.packed(parts)}
        return self.trainer.logs()


def _rows(feed: Feed, taken: Any) -> dict[str, Array]:
    return {name: array[taken] for name, array in feed.arrays.items()}


def _steps_at_once(seconds: float | None) -> int:
    """How many steps take a fifth of a second; one when their time is not known yet."""
    return 1 if seconds is None else max(1, int(_SECONDS_PER_CALL / max(seconds, 1e-7)))


def run_stream(
    trainer: Trainer, mode: str, stream: Stream, epoch: int, hooks: CallbackList, bar: ProgressBar | None
) -> int:
    """One epoch of a stream; returns the number of batches done."""
    phase = "train" if mode == "train" else "test"
    begin_hook = getattr(hooks, f"on_{phase}_batch_begin")
    end_hook = getattr(hooks, f"on_{phase}_batch_end")
    done = 0
    for feed in stream.epoch(epoch):
        begin_hook(done)
        trainer.run_once(mode, feed)
        done += 1
        end_hook(done - 1, trainer.logs() if hooks.callbacks else {})
        if bar is not None:
            bar.update(done, trainer.logs() if bar.wants_update else None)
        if mode == "train" and trainer.model.stop_training:
            break
    if not done:
        raise DataError("the generator gave no batch", fix="a generator can be read once: make a new one")
    return done


def run_evaluation(
    trainer: Trainer, source: Feed | Stream, batch: int, hooks: CallbackList, bar: ProgressBar | None
) -> dict[str, float]:
    """Loss and metrics over the data, by their names."""
    trainer.reset_metrics()
    hooks.on_test_begin()
    if isinstance(source, Feed):
        run_rows(trainer, "eval", source, batch, None, hooks, bar)
    else:
        run_stream(trainer, "eval", source, 0, hooks, bar)
    logs = trainer.logs()
    hooks.on_test_end(logs)
    return logs


def by_rows(step: Step) -> bool:
    """Whether every output has one row for each row of the inputs."""
    batch = step.graph.inputs[0].shape[0]
    return all(value.shape and value.shape[0] == batch for value in step.graph.outputs)


def sinks_for(step: Step, feed: Feed) -> list[Array]:
    """Arrays that take the outputs of all rows."""
    sizes = step.sizes(feed.arrays, feed.rows)
    shapes = [(feed.rows, *evaluate_shape(value.shape[1:], sizes)) for value in step.graph.outputs]
    return [np.empty(shape, numpy_dtype(value.dtype)) for shape, value in zip(shapes, step.graph.outputs)]


def predict_batches(
    trainer: Trainer, batches: Iterator[Feed], hooks: CallbackList, bar: ProgressBar | None
) -> list[Array]:
    """Outputs of batches, joined."""
    parts: list[list[Array]] = []
    for done, feed in enumerate(batches):
        hooks.on_predict_batch_begin(done)
        outputs = trainer.run_once("predict", feed)
        parts.append(outputs)
        hooks.on_predict_batch_end(done, {"outputs": trainer.packed(outputs)})
        if bar is not None:
            bar.update(done + 1)
    if not parts:
        raise DataError("the generator gave no batch", fix="a generator can be read once: make a new one")
    return [np.concatenate([np.atleast_1d(part[k]) for part in parts]) for k in range(len(parts[0]))]
