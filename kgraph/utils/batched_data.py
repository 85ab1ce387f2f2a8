"""`BatchedData`: a `PyDataset` that makes each batch from a list of row numbers; what the data makers give back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core import tree
from kgraph.errors import IndexRangeError, InvalidArgumentError
from kgraph.utils.dataset import PyDataset

__all__ = ["BatchedData", "check_batch", "fixed_seed"]

Array = npt.NDArray[Any]


def check_batch(name: str, batch_size: Any) -> int | None:
    """The argument `batch_size`: a positive number, or None for single samples.

    Raises:
        InvalidArgumentError: something else.
    """
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise InvalidArgumentError(f"{name}: batch_size={batch_size!r}", needed="a whole number, 1 or more, or None")
    return batch_size


def fixed_seed(seed: int | None) -> int:
    """The seed given, or one that follows from `set_random_seed`, below 10^6 as NumPy's old generator takes it."""
    from kgraph.random import make_default_seed

    return make_default_seed() % 1_000_000 if seed is None else seed


class BatchedData(PyDataset):
    """Batches of rows, by number.  `fit` reads them in their own order: shuffling is the dataset's affair.

    Args:
        order: i64[n]: row numbers in the order of the first epoch.
        read: from row numbers to a batch: `x`, `(x, y)` or `(x, y, sample_weight)`, each with these rows.
        batch_size: rows a batch; None: each item is one sample without a batch axis.
        shuffle: read in a new order from the second epoch on.
        seed: of these orders.
    """

    # Says to `fit` that its argument `shuffle` is not for this dataset.
    ordered = True

    def __init__(
        self,
        order: Array,
        read: Callable[[Array], Any],
        batch_size: int | None = 32,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.order, self.read, self.batch_size = np.asarray(order), read, batch_size
        self.shuffle, self.seed = shuffle, seed
        self._epoch = 0
        self._maps: list[Callable[..., Any]] = []

    def __len__(self) -> int:
        return -(-len(self.order) // (self.batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`.

        Raises:
            IndexRangeError: there is none.
        """
        size = self.batch_size or 1
        if not 0 <= index < len(self):
            raise IndexRangeError(f"there is no batch {index}", needed=f"0 to {len(self) - 1}")
        batch = self.read(self.order[index * size : (index + 1) * size])
        if self.batch_size is None:
            batch = tree.map_structure(lambda part: part[0], batch)
        for function in self._maps:
            batch = function(*batch) if isinstance(batch, tuple) else function(batch)
        return batch

    def on_epoch_end(self) -> None:
        """Choose the order of the next epoch."""
        self._epoch += 1
        if self.shuffle:
            generator = np.random.Generator(np.random.Philox(key=[self.seed, self._epoch]))
            self.order = generator.permutation(self.order)

    def _with(self, **changes: Any) -> BatchedData:
        made = BatchedData.__new__(BatchedData)
        made.__dict__.update(self.__dict__, _maps=list(self._maps), **changes)
        return made

    def map(self, function: Callable[..., Any], **ignored: Any) -> BatchedData:
        """The same batches, each after `function(x)` or `function(x, y)`."""
        made = self._with()
        made._maps.append(function)
        return made

    def take(self, count: int) -> BatchedData:
        """The first `count` batches."""
        return self._with(order=self.order[: count * (self.batch_size or 1)])

    def skip(self, count: int) -> BatchedData:
        """All but the first `count` batches."""
        return self._with(order=self.order[count * (self.batch_size or 1) :])

    def batch(self, batch_size: int) -> BatchedData:
        """The same rows in batches of another size."""
        return self._with(batch_size=check_batch("batch", batch_size))

    def cache(self, *ignored: Any) -> BatchedData:
        """The dataset itself: for scripts that were written for tf.data."""
        return self

    def prefetch(self, *ignored: Any) -> BatchedData:
        """The dataset itself: for scripts that were written for tf.data."""
        return self
