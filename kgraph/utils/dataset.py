"""`PyDataset`: batches made on demand by an object of the user's."""

from __future__ import annotations

from typing import Any

from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = ["PyDataset"]


class PyDataset:
    """A data set that makes its batches when they are asked for.  `Sequence` of Keras 2 is the same class.

    A subclass gives `__len__` (batches an epoch) and `__getitem__(index)` -> `(x,)`, `(x, y)` or
    `(x, y, sample_weight)`, and may give `on_epoch_begin` and `on_epoch_end`.

    Args:
        workers, use_multiprocessing, max_queue_size: accepted as in Keras; batches are made by the calling thread.

    Raises:
        InvalidArgumentError: `workers` or `max_queue_size` is not a positive number.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        for name, value in (("workers", workers), ("max_queue_size", max_queue_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidArgumentError(
                    f"{type(self).__name__}: {name}={value!r}", needed="a whole number, 1 or more"
                )
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`."""
        raise UnsupportedError(
            f"{type(self).__name__} does not say what its batches are", fix="define __getitem__(self, index)"
        )

    @property
    def num_batches(self) -> int | None:
        """Batches an epoch, or None when the subclass has no `__len__`."""
        length = getattr(self, "__len__", None)
        return None if length is None else int(length())

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch, for instance to shuffle."""
