"""`HDF5Matrix` of Keras 2: rows of a dataset in an HDF5 file, read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from kgraph.errors import CallError, FileError, FileMissingError, IndexRangeError, MissingKeyError

__all__ = ["HDF5Matrix"]

Array = np.ndarray[Any, np.dtype[Any]]


class HDF5Matrix:
    """Rows `start` to `end` of a dataset, for `fit`, `evaluate` and `predict`.

    Args:
        datapath: the file.
        dataset: name of the dataset in it.
        start: first row.
        end: row after the last; default: all.
        normalizer: function of the rows that are read.

    Raises:
        FileMissingError, FileError: there is no such file, or it is no HDF5 file.
        MissingKeyError: it has no such dataset.
        IndexRangeError: `start` and `end` are not rows of it.
    """

    def __init__(
        self,
        datapath: Any,
        dataset: str,
        start: int = 0,
        end: int | None = None,
        normalizer: Callable[[Array], Array] | None = None,
    ) -> None:
        import h5py

        path = os.fspath(datapath)
        if not os.path.exists(path):
            raise FileMissingError(f"there is no file {path!r}")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise FileError(f"{path!r} cannot be read as HDF5", got=str(error).split("(")[-1].rstrip(")")) from None
        if dataset not in self._file:
            raise MissingKeyError(f"{path!r} has no dataset {dataset!r}", needed="one of " + ", ".join(self._file))
        self.data = self._file[dataset]
        rows = int(self.data.shape[0])
        self.start, self.end = start, rows if end is None else end
        if not 0 <= self.start <= self.end <= rows:
            raise IndexRangeError(f"HDF5Matrix: rows {self.start} to {self.end} of {rows}")
        self.normalizer = normalizer
        self.refs: dict[str, Any] = {}

    def __len__(self) -> int:
        return self.end - self.start

    def __getitem__(self, key: Any) -> Array:
        """Some of the rows: a number, a slice, or an array or list of numbers in any order."""
        if isinstance(key, slice):
            begin, stop, step = key.indices(len(self))
            rows = self.data[begin + self.start : max(begin, stop) + self.start : step] if step > 0 else None
            if rows is None:
                return self[np.arange(begin, stop, step)]
        elif isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise IndexRangeError(f"HDF5Matrix has {len(self)} rows", got=f"row {key}")
            rows = self.data[int(key) % len(self) + self.start]
        elif isinstance(key, (list, np.ndarray)):
            rows = self._picked(np.asarray(key))
        else:
            raise CallError("HDF5Matrix takes a number, a slice or a list of numbers", got=type(key).__name__)
        return np.asarray(rows if self.normalizer is None else self.normalizer(rows))

    def _picked(self, numbers: Array) -> Array:
        # HDF5 wants rising numbers, each once.
        if numbers.dtype == bool:
            numbers = np.flatnonzero(numbers)
        if numbers.size and not (-len(self) <= numbers.min() and numbers.max() < len(self)):
            raise IndexRangeError(f"HDF5Matrix has {len(self)} rows", got=f"rows {numbers.min()} to {numbers.max()}")
        rising, places = np.unique(numbers.astype(np.int64) % max(len(self), 1) + self.start, return_inverse=True)
        return np.asarray(self.data[rising])[places]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:], dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all rows, after the normaliser."""
        return (len(self), *(self.data.shape[1:] if self.normalizer is None else self[:1].shape[1:]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the rows, after the normaliser."""
        return np.dtype(self.data.dtype if self.normalizer is None else self[:1].dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))
