"""The loops: `fit`, `evaluate`, `predict`.

What they read is made by `kgraph.trainer.sources`; a pass over it is run by `kgraph.trainer.running`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kgraph.callbacks import CallbackList, History
from kgraph.random import make_default_seed
from kgraph.trainer.data import check_batch_size
from kgraph.trainer.feed import Feed, Stream
from kgraph.trainer.lazy import on_disk
from kgraph.trainer.loop_arguments import callback_list, drop_workers, is_due, verbosity, whole_number
from kgraph.trainer.running import by_rows, predict_batches, run_evaluation, run_rows, run_stream, sinks_for
from kgraph.trainer.sources import (
    batches_of,
    cycle,
    from_disk,
    order_of,
    prepare,
    source_of,
    training_data,
    validation_data_of,
)
from kgraph.utils.progress import ProgressBar

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["evaluate", "fit", "predict"]


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
    drop_workers(kwargs, "fit", fit)
    epochs, initial_epoch = whole_number("epochs", epochs, 0), whole_number("initial_epoch", initial_epoch, 0)
    if validation_steps is not None:
        whole_number("validation_steps", validation_steps)
    trainer.require_compiled()
    show = verbosity(verbose)
    trainer.says = bool(show)
    seed = make_default_seed()
    if on_disk(x, trainer.ports) and not validation_split:
        x, y, sample_weight = from_disk(trainer, x, y, sample_weight, batch_size)
    train, held = training_data(
        trainer, x, y, sample_weight, class_weight, validation_split, validation_data, steps_per_epoch, shuffle, seed
    )
    batch = batch_size or 32
    if isinstance(train, Feed):
        batch = check_batch_size(batch_size, trainer.fixed_batch)
        prepare(trainer, "train", train)
        if steps_per_epoch is not None:
            train = cycle(train, batch, steps_per_epoch, seed, bool(shuffle))
    held, held_batch = validation_data_of(
        trainer, held, validation_data, validation_steps, validation_batch_size, batch_size
    )
    steps = -(-train.rows // batch) if isinstance(train, Feed) else train.steps
    hooks = callback_list(callbacks, trainer.model, verbose=show, epochs=epochs, steps=steps)
    run = _Training(trainer, train, batch, shuffle, seed, held, held_batch, validation_freq, hooks)
    run.epochs(initial_epoch, epochs, steps, show)
    history = hooks.history
    assert history is not None
    return history


@dataclass
class _Training:
    """What an epoch of `fit` needs."""

    trainer: Trainer
    train: Feed | Stream
    batch: int
    shuffle: Any
    seed: int
    held: Feed | Stream | None
    held_batch: int
    validation_freq: Any
    hooks: CallbackList

    def epochs(self, first: int, last: int, steps: int | None, show: int) -> None:
        """Run the epochs, from the one that a callback names where it took up an interrupted training."""
        trainer, model, hooks = self.trainer, self.trainer.model, self.hooks
        model.stop_training, model._initial_epoch = False, None
        logs: dict[str, Any] = {}
        hooks.on_train_begin()
        for epoch in range(first if model._initial_epoch is None else model._initial_epoch, last):
            trainer.reset_metrics()
            hooks.on_epoch_begin(epoch)
            bar = ProgressBar(steps, epoch=epoch + 1, epochs=last, verbose=show)
            try:
                done = self.run(epoch, bar)
                logs = trainer.logs()
                logs = dict(sorted({**logs, **self.validate(epoch)}.items()))
                bar.finish(logs, steps=done)
            finally:
                bar.close()
            hooks.on_epoch_end(epoch, logs)
            if isinstance(self.train, Stream) and self.train.exhausted and epoch + 1 < last:
                print(f"the generator ended in epoch {epoch + 1}; training stops (pass steps_per_epoch)")
                break
            if model.stop_training:
                break
        trainer.optimizer.finalize_variable_values(model.trainable_variables)
        hooks.on_train_end(logs)

    def run(self, epoch: int, bar: ProgressBar) -> int:
        """One pass over the training data; returns the number of batches done."""
        if isinstance(self.train, Stream):
            return run_stream(self.trainer, "train", self.train, epoch, self.hooks, bar)
        order = order_of(self.train.rows, self.shuffle, self.seed, epoch, self.batch)
        return run_rows(self.trainer, "train", self.train, self.batch, order, self.hooks, bar)

    def validate(self, epoch: int) -> dict[str, float]:
        """Loss and metrics on the validation data, when it is their turn."""
        if self.held is None or not is_due(self.validation_freq, epoch):
            return {}
        found = run_evaluation(self.trainer, self.held, self.held_batch, self.hooks, None)
        return {f"val_{key}": value for key, value in found.items()}


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
    drop_workers(kwargs, "evaluate", evaluate)
    if steps is not None:
        whole_number("steps", steps)
    trainer.require_compiled()
    show = verbosity(verbose)
    trainer.says = bool(show)
    if on_disk(x, trainer.ports):
        x, y, sample_weight = from_disk(trainer, x, y, sample_weight, batch_size)
    source = source_of(trainer, x, y, sample_weight, "eval", steps)
    batch = check_batch_size(batch_size, trainer.fixed_batch)
    if isinstance(source, Feed):
        if steps is not None:
            source = source.part(slice(0, steps * batch))
        prepare(trainer, "eval", source)
    count = -(-source.rows // batch) if isinstance(source, Feed) else source.steps
    hooks = callback_list(callbacks, trainer.model, add_history=False, verbose=show, epochs=1, steps=count)
    bar = ProgressBar(count, epoch=None, verbose=show)
    try:
        logs = run_evaluation(trainer, source, batch, hooks, bar)
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
    drop_workers(kwargs, "predict", predict)
    if steps is not None:
        whole_number("steps", steps)
    show = verbosity(verbose)
    trainer.says = bool(show)
    if on_disk(x, trainer.ports):
        x, _, _ = from_disk(trainer, x, None, None, batch_size)
    source = source_of(trainer, x, None, None, "predict", steps)
    batch = check_batch_size(batch_size, trainer.fixed_batch)
    if isinstance(source, Feed):
        if steps is not None:
            source = source.part(slice(0, steps * batch))
        prepare(trainer, "predict", source)
    count = -(-source.rows // batch) if isinstance(source, Feed) else source.steps
    hooks = callback_list(callbacks, trainer.model, add_history=False, verbose=show, epochs=1, steps=count)
    bar = ProgressBar(count, epoch=None, verbose=show)
    hooks.on_predict_begin()
    try:
        if isinstance(source, Feed) and by_rows(trainer.step_for("predict", source.signature)):
            outputs = sinks_for(trainer.step_for("predict", source.signature), source)
            run_rows(trainer, "predict", source, batch, None, hooks, bar, outputs)
        else:
            batches = source.epoch(0) if isinstance(source, Stream) else batches_of(source, batch)
            outputs = predict_batches(trainer, batches, hooks, bar)
        bar.finish()
    finally:
        bar.close()
    hooks.on_predict_end()
    return trainer.packed(outputs)
