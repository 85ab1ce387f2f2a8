"""The loops: `fit`, `evaluate`, `predict`.

Rows in memory run in native code, as many steps at a time as take a fifth of a second, so that Ctrl-C, the progress bar
and a stop asked for by a callback work; only a callback with a hook on batches brings the loop back to Python after
each batch. Streams (generators, datasets) run batch by batch.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph.callbacks import CallbackList, History
from kgraph.config import settings
from kgraph.errors import DataError, InvalidArgumentError
from kgraph.ir.dims import evaluate_shape
from kgraph.ir.types import numpy_dtype
from kgraph.trainer.data import check_batch_size, split_validation, unpack
from kgraph.trainer.diagnose import run_watched
from kgraph.trainer.feed import Feed, Stream, cycled_rows, is_stream, permutation
from kgraph.trainer.lazy import Batches, on_disk
from kgraph.trainer.steps import Step
from kgraph.utils.progress import ProgressBar

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["evaluate", "fit", "predict"]

Array = np.ndarray[Any, np.dtype[Any]]
# (batches done, last batch's outputs or None) -> whether to go on
Tick = Callable[[int], bool]

_SECONDS_PER_CALL = 0.2  # of native code between two looks at Python
_GROWTH = 16  # at most so many times the steps of the last call: the first ones run with cold caches


def fit(
    trainer: Trainer,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: Any = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
    **kwargs: Any,
) -> History:
    """Train for some epochs.

    Args:
        trainer: of the model.
        x: arrays (one, a list, or a dict by input name), or a generator or dataset of batches.  HDF5 datasets are
            read batch by batch, and shuffled by whole batches (`validation_split` reads them whole).
        y: targets, likewise; None when `x` gives batches.
        batch_size: rows a step, 32 by default; the last step of an epoch takes what is left.
        epochs: number of the last epoch.
        verbose: 0 nothing, 1 or `"auto"` a progress bar, 2 a line an epoch.
        callbacks: see `kgraph.callbacks`.
        validation_split: fraction of the rows, taken from the end before any shuffle.
        validation_data: `(x, y)` or `(x, y, sample_weight)`, or a generator or dataset.
        shuffle: read the rows in a new order each epoch; `"batch"`: whole batches.
        class_weight: class -> weight.
        sample_weight: weight of each row.
        initial_epoch: epoch to begin with.
        steps_per_epoch: batches an epoch; needed for generators without end.
        validation_steps: batches of a validation.
        validation_batch_size: as `batch_size`.
        validation_freq: validate every so many epochs, or after the epochs (from 1) in a list.
        kwargs: `nb_epoch` of Keras 1; worker arguments of Keras 2, which change nothing.

    Returns:
        The history.

    Raises:
        NotCompiledError: the model was not compiled.
        DataError, ShapeError: the data do not fit the model or each other.
        InvalidArgumentError: an argument has a value that means nothing.
    """
    epochs = kwargs.pop("nb_epoch", epochs)
    _drop_workers(kwargs, "fit", fit)
    epochs, initial_epoch = _count("epochs", epochs, 0), _count("initial_epoch", initial_epoch, 0)
    if validation_steps is not None:
        _count("validation_steps", validation_steps)
    trainer.require_compiled()
    from kgraph.random import make_default_seed

    show = _verbosity(verbose)
    trainer.says = bool(show)
    seed = make_default_seed()
    batch = batch_size
    if on_disk(x, trainer.ports) and not validation_split:
        x, y, sample_weight = _from_disk(trainer, x, y, sample_weight, batch_size)
    train, held = _training_data(
        trainer, x, y, sample_weight, class_weight, validation_split, validation_data, steps_per_epoch, shuffle, seed
    )
    if isinstance(train, Feed):
        batch = check_batch_size(batch_size, trainer.fixed_batch)
        _prepare(trainer, "train", train)
        if steps_per_epoch is not None:
            train = _cycle(train, batch, steps_per_epoch, seed, bool(shuffle))
    held, validation_batch = _validation_data(
        trainer, held, validation_data, validation_steps, validation_batch_size, batch_size
    )
    steps = -(-train.rows // int(batch or 32)) if isinstance(train, Feed) else train.steps
    hooks = _callbacks(callbacks, trainer.model, verbose=show, epochs=epochs, steps=steps)

    def validate(epoch: int) -> dict[str, float]:
        if held is None or not _due(validation_freq, epoch):
            return {}
        found = _evaluate(trainer, held, validation_batch, hooks, None)
        return {f"val_{key}": value for key, value in found.items()}

    def run_epoch(epoch: int, bar: ProgressBar) -> int:
        if isinstance(train, Stream):
            return _run_stream(trainer, "train", train, epoch, hooks, bar)
        order = _order(train.rows, shuffle, seed, epoch, int(batch or 32))
        return _run_rows(trainer, "train", train, int(batch or 32), order, hooks, bar)

    trainer.model.stop_training = False
    logs: dict[str, Any] = {}
    trainer.model._initial_epoch = None
    hooks.on_train_begin()
    if trainer.model._initial_epoch is not None:  # a callback took up an interrupted training
        initial_epoch = trainer.model._initial_epoch
    for epoch in range(initial_epoch, epochs):
        trainer.reset_metrics()
        hooks.on_epoch_begin(epoch)
        bar = ProgressBar(steps, epoch=epoch + 1, epochs=epochs, verbose=show)
        try:
            done = run_epoch(epoch, bar)
            logs = trainer.logs()
            logs = dict(sorted({**logs, **validate(epoch)}.items()))
            bar.finish(logs, steps=done)
        finally:
            bar.close()
        hooks.on_epoch_end(epoch, logs)
        if isinstance(train, Stream) and train.exhausted and epoch + 1 < epochs:
            print(f"the generator ended in epoch {epoch + 1}; training stops (pass steps_per_epoch)")
            break
        if trainer.model.stop_training:
            break
    trainer.optimizer.finalize_variable_values(trainer.model.trainable_variables)
    hooks.on_train_end(logs)
    history = hooks.history
    assert history is not None
    return history


def _validation_data(
    trainer: Trainer,
    held: Any,
    validation_data: Any,
    validation_steps: int | None,
    validation_batch_size: int | None,
    batch_size: int | None,
) -> tuple[Any, int]:
    """The rows or the stream to validate on (None when there are none), and the rows a batch."""
    if held is None and validation_data is not None:
        given = unpack(validation_data, "validation_data")
        if on_disk(given[0], trainer.ports):
            given = _from_disk(trainer, *given, validation_batch_size or batch_size)
        held = _source(trainer, *given, "eval", validation_steps)
    if validation_batch_size is None:
        validation_batch_size = batch_size
    elif isinstance(validation_batch_size, int) and validation_batch_size < 1:
        raise InvalidArgumentError(f"validation_batch_size={validation_batch_size}", needed="a whole number, 1 or more")
    validation_batch = check_batch_size(validation_batch_size, trainer.fixed_batch)
    if isinstance(held, Feed):
        if validation_steps is not None:
            held = held.part(slice(0, validation_steps * validation_batch))
        _prepare(trainer, "eval", held)
    return held, validation_batch


def evaluate(
    trainer: Trainer,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
    **kwargs: Any,
) -> Any:
    """Loss and metrics over data, in inference mode.

    Args:
        trainer: of the model.
        x: as in `fit`.
        y: as in `fit`.
        batch_size: rows a step; each row counts once in the result.
        verbose: 0, 1 or `"auto"`, 2.
        sample_weight: weight of each row.
        steps: number of batches to read; all by default.
        callbacks: see `kgraph.callbacks`.
        return_dict: return a dict.
        kwargs: worker arguments of Keras 2, which change nothing.

    Returns:
        The loss, or a list in the order of `metrics_names`, or a dict.

    Raises:
        NotCompiledError: the model was not compiled.
        DataError, ShapeError: the data do not fit the model or each other.
    """
    _drop_workers(kwargs, "evaluate", evaluate)
    if steps is not None:
        _count("steps", steps)
    trainer.require_compiled()
    show = _verbosity(verbose)
    trainer.says = bool(show)
    if on_disk(x, trainer.ports):
        x, y, sample_weight = _from_disk(trainer, x, y, sample_weight, batch_size)
    source = _source(trainer, x, y, sample_weight, "eval", steps)
    batch = check_batch_size(batch_size, trainer.fixed_batch)
    if isinstance(source, Feed):
        if steps is not None:
            source = source.part(slice(0, steps * batch))
        _prepare(trainer, "eval", source)
    count = -(-source.rows // batch) if isinstance(source, Feed) else source.steps
    hooks = _callbacks(callbacks, trainer.model, add_history=False, verbose=show, epochs=1, steps=count)
    bar = ProgressBar(count, epoch=None, verbose=show)
    try:
        logs = _evaluate(trainer, source, batch, hooks, bar)
        bar.finish(logs)
    finally:
        bar.close()
    return logs if return_dict else trainer.listed(logs)


def predict(
    trainer: Trainer,
    x: Any,
    batch_size: int | None = None,
    verbose: Any = "auto",
    steps: int | None = None,
    callbacks: Any = None,
    **kwargs: Any,
) -> Any:
    """Outputs for data.

    Args:
        trainer: of the model.
        x: as in `fit`; NaN passes.
        batch_size: rows a step.
        verbose: 0, 1 or `"auto"`, 2.
        steps: number of batches to read; all by default.
        callbacks: see `kgraph.callbacks`.
        kwargs: worker arguments of Keras 2, which change nothing.

    Returns:
        An array `(n, ...)`, or a list of them for several outputs.

    Raises:
        DataError, ShapeError: the data do not fit the model.
    """
    _drop_workers(kwargs, "predict", predict)
    if steps is not None:
        _count("steps", steps)
    show = _verbosity(verbose)
    trainer.says = bool(show)
    if on_disk(x, trainer.ports):
        x, _, _ = _from_disk(trainer, x, None, None, batch_size)
    source = _source(trainer, x, None, None, "predict", steps)
    batch = check_batch_size(batch_size, trainer.fixed_batch)
    if isinstance(source, Feed):
        if steps is not None:
            source = source.part(slice(0, steps * batch))
        _prepare(trainer, "predict", source)
    count = -(-source.rows // batch) if isinstance(source, Feed) else source.steps
    hooks = _callbacks(callbacks, trainer.model, add_history=False, verbose=show, epochs=1, steps=count)
    bar = ProgressBar(count, epoch=None, verbose=show)
    hooks.on_predict_begin()
    try:
        if isinstance(source, Feed) and _by_rows(trainer.step_for("predict", source.signature)):
            outputs = _sinks(trainer.step_for("predict", source.signature), source)
            _run_rows(trainer, "predict", source, batch, None, hooks, bar, outputs)
        else:
            batches = source.epoch(0) if isinstance(source, Stream) else _batches(source, batch)
            outputs = _predict_batches(trainer, batches, hooks, bar)
        bar.finish()
    finally:
        bar.close()
    hooks.on_predict_end()
    return trainer.packed(outputs)


# -- data -------------------------------------------------------------------------------------------------------------
def _training_data(
    trainer: Trainer,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    validation_split: float,
    validation_data: Any,
    steps: int | None,
    shuffle: Any,
    seed: int,
) -> tuple[Feed | Stream, Feed | Stream | None]:
    """What to train on, and what was split off for validation."""
    if x is None:
        raise DataError("x is None", fix="pass the training data: fit(x, y, ...)")
    if is_stream(x):
        if validation_split:
            raise InvalidArgumentError("validation_split needs arrays", fix="pass validation_data")
        _no_targets(y, sample_weight)

        def convert(x: Any, y: Any, weight: Any) -> Feed:
            return trainer.feed(x, y, weight, class_weight)

        return Stream(x, steps, convert, bool(shuffle), seed), None
    feed = trainer.feed(x, y, sample_weight)
    held: Feed | None = None
    if validation_split and validation_data is None:
        first, last = split_validation(feed.arrays, feed.rows, validation_split)
        held = Feed(last, len(next(iter(last.values()))), feed.signature)
        feed = Feed(first, feed.rows - held.rows, feed.signature)
    return trainer.with_class_weight(feed, class_weight), held


def _source(trainer: Trainer, x: Any, y: Any, sample_weight: Any, mode: str, steps: int | None) -> Feed | Stream:
    if is_stream(x):
        _no_targets(y, sample_weight)

        def convert(x: Any, y: Any, weight: Any) -> Feed:
            return trainer.feed(x, y, weight, mode=mode)

        return Stream(x, steps, convert)
    return trainer.feed(x, y, sample_weight, mode=mode)


def _from_disk(
    trainer: Trainer, x: Any, y: Any, sample_weight: Any, batch_size: int | None
) -> tuple[Batches, None, None]:
    """Arrays that are not to be copied whole, as a dataset of batches; `shuffle` then permutes batches."""
    trainer.ensure_built(x)
    return Batches(x, y, sample_weight, check_batch_size(batch_size, trainer.fixed_batch)), None, None


def _no_targets(y: Any, sample_weight: Any) -> None:
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise InvalidArgumentError(
                f"{name} must be None when x gives batches", fix="let the generator yield (x, y, sample_weight)"
            )


def _cycle(feed: Feed, batch: int, steps: int, seed: int, shuffle: bool) -> Stream:
    """`steps_per_epoch` on arrays: batches go on from epoch to epoch."""
    batches = ((part,) for part in cycled_rows(feed, batch, seed, shuffle))
    return Stream(batches, steps, lambda part, y, weight: part)


def _prepare(trainer: Trainer, mode: str, feed: Feed) -> None:
    """Compile, and check row numbers once for all epochs."""
    trainer.check(trainer.step_for(mode, feed.signature), feed)


def _batches(feed: Feed, batch: int) -> Iterator[Feed]:
    for begin in range(0, feed.rows, batch):
        yield feed.part(slice(begin, begin + batch))


def _order(rows: int, shuffle: Any, seed: int, epoch: int, batch: int) -> Array | None:
    if not shuffle:
        return None
    return permutation(rows, seed, epoch, batch if shuffle == "batch" else None)


# -- running ----------------------------------------------------------------------------------------------------------
def _run_rows(
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
    step = trainer.step_for(mode, feed.signature)
    full, tail = divmod(feed.rows, batch)
    if tail and trainer.fixed_batch:
        raise DataError(
            f"the model takes batches of {batch} rows, and {tail} rows are left over",
            got=f"{feed.rows} rows",
            fix=f"pass a multiple of {batch} rows, or build the model without batch_shape",
        )
    phase = {"train": "train", "eval": "test", "predict": "predict"}[mode]
    per_batch = hooks.wants_batches(phase)  # type: ignore[arg-type]
    begin_hook = getattr(hooks, f"on_{phase}_batch_begin")
    end_hook = getattr(hooks, f"on_{phase}_batch_end")
    watch = mode != "predict" and settings().check_nan
    done = 0
    for rows, count in ((batch, full), (tail, 1 if tail else 0)):
        if not count:
            continue
        executable = step.bind(step.sizes(feed.arrays, rows))
        chunk = trainer.steps_per_execution if per_batch else _steps_at_once(step.pace.get(rows))
        left = count
        while left:
            now = min(chunk, left)
            if per_batch:
                begin_hook(done)
            start = time.perf_counter()
            with trainer.lock:
                if watch:
                    first, now = done * batch, 1
                    taken = slice(first, first + rows) if order is None else order[first : first + rows]
                    run_watched(
                        step,
                        executable,
                        partial(_rows, feed, taken),
                        partial(executable.run_steps, feed.arrays, order, first, 1, sinks),
                    )
                else:
                    executable.run_steps(feed.arrays, order, done * batch, now, sinks)
            seconds = time.perf_counter() - start
            done += now
            left -= now
            if per_batch:
                end_hook(done - 1, _batch_logs(trainer, mode, sinks, done - now, done, batch))
            else:
                step.pace[rows] = seconds / now
                chunk = min(now * _GROWTH, _steps_at_once(seconds / now))
            if bar is not None:
                bar.update(done, trainer.logs() if bar.wants_update and mode != "predict" else None)
            if mode == "train" and trainer.model.stop_training:
                return done
    return done


def _rows(feed: Feed, taken: Any) -> dict[str, Array]:
    return {name: array[taken] for name, array in feed.arrays.items()}


def _steps_at_once(seconds: float | None) -> int:
    """How many steps take a fifth of a second; one when their time is not known yet."""
    return 1 if seconds is None else max(1, int(_SECONDS_PER_CALL / max(seconds, 1e-7)))


def _batch_logs(
    trainer: Trainer, mode: str, sinks: Sequence[Array] | None, first: int, last: int, batch: int
) -> dict[str, Any]:
    if mode == "predict" and sinks is not None:
        return {"outputs": trainer.packed([sink[first * batch : last * batch] for sink in sinks])}
    return trainer.logs()


def _run_stream(
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


def _evaluate(
    trainer: Trainer, source: Feed | Stream, batch: int, hooks: CallbackList, bar: ProgressBar | None
) -> dict[str, float]:
    trainer.reset_metrics()
    hooks.on_test_begin()
    if isinstance(source, Feed):
        _run_rows(trainer, "eval", source, batch, None, hooks, bar)
    else:
        _run_stream(trainer, "eval", source, 0, hooks, bar)
    logs = trainer.logs()
    hooks.on_test_end(logs)
    return logs


def _by_rows(step: Step) -> bool:
    """Whether every output has one row for each row of the inputs."""
    batch = step.graph.inputs[0].shape[0]
    return all(value.shape and value.shape[0] == batch for value in step.graph.outputs)


def _sinks(step: Step, feed: Feed) -> list[Array]:
    sizes = step.sizes(feed.arrays, feed.rows)
    shapes = [(feed.rows, *evaluate_shape(value.shape[1:], sizes)) for value in step.graph.outputs]
    return [np.empty(shape, numpy_dtype(value.dtype)) for shape, value in zip(shapes, step.graph.outputs)]


def _predict_batches(
    trainer: Trainer, batches: Iterator[Feed], hooks: CallbackList, bar: ProgressBar | None
) -> list[Array]:
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


# -- arguments --------------------------------------------------------------------------------------------------------
def _callbacks(callbacks: Any, model: Any, add_history: bool = True, **params: Any) -> CallbackList:
    if isinstance(callbacks, CallbackList):
        if add_history and callbacks.history is None:
            callbacks.history = History()
            callbacks.append(callbacks.history)
        callbacks.set_model(model)
        callbacks.set_params(params)
        return callbacks
    return CallbackList(callbacks, add_history=add_history, model=model, **params)


def _verbosity(verbose: Any) -> int:
    if verbose == "auto" or verbose is True:
        return 1
    if verbose not in (0, 1, 2):
        raise InvalidArgumentError(f"verbose={verbose!r}", needed="'auto', 0, 1 or 2")
    return int(verbose)


def _due(frequency: Any, epoch: int) -> bool:
    if isinstance(frequency, int) and frequency >= 1:
        return (epoch + 1) % frequency == 0
    if isinstance(frequency, (list, tuple, set)):
        return epoch + 1 in frequency
    raise InvalidArgumentError(f"validation_freq={frequency!r}", needed="a whole number above 0, or a list of epochs")


def _count(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        InvalidArgumentError: it is none.
    """
    whole = isinstance(value, (int, np.integer)) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise InvalidArgumentError(f"{name}={value!r}", needed=f"a whole number, {least} or more")
    return int(value)


def _drop_workers(kwargs: Mapping[str, Any], method: str, function: Callable[..., Any]) -> None:
    for name in kwargs:
        if name not in ("workers", "use_multiprocessing", "max_queue_size"):
            near = get_close_matches(name, inspect.signature(function).parameters, 1)
            raise InvalidArgumentError(f"{method}() has no argument {name!r}", fix=f"write {near[0]}=" if near else "")
