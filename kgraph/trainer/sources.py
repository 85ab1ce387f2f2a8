"""What `fit`, `evaluate` and `predict` read: from their arguments to a `Feed` or a `Stream`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph.errors import DataError, InvalidArgumentError
from kgraph.trainer.data import check_batch_size, split_validation, unpack
from kgraph.trainer.feed import Feed, Stream, cycled_rows, is_stream, permutation
from kgraph.trainer.lazy import Batches, on_disk

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = [
    "batches_of",
    "cycle",
    "from_disk",
    "order_of",
    "prepare",
    "source_of",
    "training_data",
    "validation_data_of",
]

Array = np.ndarray[Any, np.dtype[Any]]


def training_data(
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


def source_of(trainer: Trainer, x: Any, y: Any, sample_weight: Any, mode: str, steps: int | None) -> Feed | Stream:
    """What to evaluate or predict on."""
    if is_stream(x):
        _no_targets(y, sample_weight)

        def convert(x: Any, y: Any, weight: Any) -> Feed:
            return trainer.feed(x, y, weight, mode=mode)

        return Stream(x, steps, convert)
    return trainer.feed(x, y, sample_weight, mode=mode)


def from_disk(
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


def cycle(feed: Feed, batch: int, steps: int, seed: int, shuffle: bool) -> Stream:
    """`steps_per_epoch` on arrays: batches go on from epoch to epoch."""
    batches = ((part,) for part in cycled_rows(feed, batch, seed, shuffle))
    return Stream(batches, steps, lambda part, y, weight: part)


def prepare(trainer: Trainer, mode: str, feed: Feed) -> None:
    """Compile, and check row numbers once for all epochs."""
    trainer.check(trainer.step_for(mode, feed.signature), feed)


def batches_of(feed: Feed, batch: int) -> Iterator[Feed]:
    """The rows of a feed, some at a time."""
    for begin in range(0, feed.rows, batch):
        yield feed.part(slice(begin, begin + batch))


def order_of(rows: int, shuffle: Any, seed: int, epoch: int, batch: int) -> Array | None:
    """The order in which an epoch reads the rows; None as they lie."""
    if not shuffle:
        return None
    return permutation(rows, seed, epoch, batch if shuffle == "batch" else None)


def validation_data_of(
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
            given = from_disk(trainer, *given, validation_batch_size or batch_size)
        held = source_of(trainer, *given, "eval", validation_steps)
    if validation_batch_size is None:
        validation_batch_size = batch_size
    elif isinstance(validation_batch_size, int) and validation_batch_size < 1:
        raise InvalidArgumentError(f"validation_batch_size={validation_batch_size}", needed="a whole number, 1 or more")
    validation_batch = check_batch_size(validation_batch_size, trainer.fixed_batch)
    if isinstance(held, Feed):
        if validation_steps is not None:
            held = held.part(slice(0, validation_steps * validation_batch))
        prepare(trainer, "eval", held)
    return held, validation_batch
