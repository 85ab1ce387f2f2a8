"""What a run reads: `Feed`, arrays in memory, and `Stream`, batches that come one by one (generators, datasets).

Streams are turned into feeds batch by batch, so that they pass the same checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kgraph.errors import DataError, InvalidArgumentError
from kgraph.trainer.data import unpack
from kgraph.trainer.signature import Signature
from kgraph.utils.dataset import PyDataset

__all__ = ["Feed", "Stream", "cycled_rows", "is_stream", "permutation"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Feed:
    """Checked arrays.

    Attributes:
        arrays: by name of the graph input, each with `rows` rows.
        rows: their number.
        signature: of targets and weights.
    """

    arrays: dict[str, Array]
    rows: int
    signature: Signature

    def part(self, rows: slice | Array) -> Feed:
        """Some of the rows."""
        arrays = {name: np.ascontiguousarray(array[rows]) for name, array in self.arrays.items()}
        return Feed(arrays, len(next(iter(arrays.values()))), self.signature)


def permutation(rows: int, seed: int, epoch: int, batch: int | None = None) -> Array:
    """i64[rows]: a permutation that depends on seed and epoch alone (Philox, so also on no platform).

    Args:
        rows: how many.
        seed: of the run.
        epoch: from 0.
        batch: permute whole batches only (`shuffle="batch"`).
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    if batch is None:
        return generator.permutation(rows)
    full = rows // batch
    order = np.arange(rows)
    order[: full * batch] = order[: full * batch].reshape(full, batch)[generator.permutation(full)].ravel()
    return order


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches: a generator, an iterator, or a dataset with `__getitem__` and `__len__`."""
    if isinstance(x, (np.ndarray, list, tuple, Mapping, str)) or x is None or hasattr(x, "shape"):
        return False
    return hasattr(x, "__next__") or inspect.isgeneratorfunction(x) or _is_dataset(x) or hasattr(x, "__iter__")


def _is_dataset(x: Any) -> bool:
    if hasattr(x, "__array__"):
        return False
    return hasattr(x, "__getitem__") and (hasattr(x, "__len__") or hasattr(x, "num_batches"))


class Stream:
    """Batches `(x,)`, `(x, y)` or `(x, y, sample_weight)` from anywhere, epoch by epoch.

    Args:
        source: generator, iterator, iterable, or a `PyDataset`.
        steps: batches an epoch; None: all there are.
        convert: from (x, y, sample_weight) to a checked feed.
        shuffle: whether a dataset is read in random order.
        seed: of the order.
    """

    def __init__(
        self,
        source: Any,
        steps: int | None,
        convert: Callable[[Any, Any, Any], Feed],
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        self.source = source() if inspect.isgeneratorfunction(source) else source
        self.convert = convert
        self.seed = seed
        # An ImageDataGenerator's batches can be asked for by number, and with next() too.
        numbered = isinstance(self.source, PyDataset) or not hasattr(self.source, "__next__")
        self.dataset = _is_dataset(self.source) and numbered
        self.shuffle = shuffle and self.dataset and not getattr(self.source, "ordered", False)
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1):
            raise InvalidArgumentError(f"{steps!r} steps an epoch", needed="a whole number, 1 or more")
        self.steps = steps if steps is not None else self._length()
        self.exhausted = False
        self._iterator: Iterator[Any] | None = None
        self._position = 0

    def _length(self) -> int | None:
        count = getattr(self.source, "num_batches", None)
        if count is None and hasattr(self.source, "__len__"):
            count = len(self.source)
        return None if count is None else int(count)

    def epoch(self, epoch: int) -> Iterator[Feed]:
        """The batches of one epoch; sets `exhausted` when an iterator ends before its time."""
        if self.dataset:
            yield from self._dataset_epoch(epoch)
            return
        again = not hasattr(self.source, "__next__")  # an iterable can be read again, an iterator cannot
        if self._iterator is None or (again and self.steps == self._length()):
            self._iterator = iter(self.source)
        done = 0
        since_start = 1
        while self.steps is None or done < self.steps:
            try:
                batch = next(self._iterator)
            except StopIteration:
                self._iterator = None
                if again and self.steps is not None and since_start:
                    self._iterator, since_start = iter(self.source), 0
                    continue
                self.exhausted = not again
                return
            done += 1
            since_start += 1
            yield self._feed(batch)

    def _dataset_epoch(self, epoch: int) -> Iterator[Feed]:
        count = self._length()
        if count is None or count == 0:
            raise DataError("the dataset has no batches", got=f"len(...) = {count}")
        if hasattr(self.source, "on_epoch_begin"):
            self.source.on_epoch_begin()
        order = permutation(count, self.seed, epoch) if self.shuffle else np.arange(count)
        for _ in range(self.steps or count):
            yield self._feed(self.source[int(order[self._position % count])])
            self._position += 1
        if self._position % count == 0 and hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    def _feed(self, batch: Any) -> Feed:
        return self.convert(*unpack(batch, "a batch of the generator"))


def cycled_rows(feed: Feed, batch: int, seed: int, shuffle: bool) -> Iterator[Feed]:
    """Batches of arrays without end, for `steps_per_epoch`: after the last row it begins anew, shuffled again."""
    round_number = 0
    while True:
        order = permutation(feed.rows, seed, round_number) if shuffle else np.arange(feed.rows)
        for begin in range(0, feed.rows, batch):
            yield feed.part(order[begin : begin + batch])
        round_number += 1
