"""`split_dataset`: two datasets that share the rows of one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from kgraph.core import tree
from kgraph.errors import DataError, DtypeError, InvalidArgumentError
from kgraph.utils.batched_data import BatchedData, fixed_seed
from kgraph.utils.dataset import PyDataset

__all__ = ["split_dataset"]


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[BatchedData, BatchedData]:
    """Two datasets that share the rows of one.

    Args:
        dataset: an array; a tuple, list or dict of arrays with as many rows; or a `PyDataset`, whose batches are all
            read.
        left_size: rows of the first one, or their share as a float.
        right_size: of the second one; what is left by default.
        shuffle: mix the rows before they are split.
        seed: of the mixing.
        preferred_backend: accepted as in Keras.

    Returns:
        Datasets with the batches of the `PyDataset`, or of 32 rows; `.batch(n)` makes batches of another size.

    Raises:
        InvalidArgumentError: a size is out of range, or both are missing.
        DtypeError: `dataset` is none of these.
    """
    batch = 32
    if isinstance(dataset, PyDataset):
        batches = [dataset[index] for index in range(dataset.num_batches or 0)]
        if not batches:
            raise DataError("split_dataset: the dataset has no batches")
        batch = len(tree.flatten(batches[0])[0])
        columns = [np.concatenate(parts) for parts in zip(*(map(np.asarray, tree.flatten(b)) for b in batches))]
        structure = batches[0]
    else:
        structure = dataset
        columns = [np.asarray(part) for part in (tree.flatten(dataset) if tree.is_nested(dataset) else [dataset])]
    if not columns or any(column.ndim == 0 for column in columns):
        raise DtypeError(
            f"split_dataset cannot split a {type(dataset).__name__}",
            needed="an array, a tuple, list or dict of arrays, or a PyDataset",
        )
    if len({len(column) for column in columns}) > 1:
        raise DataError(
            "split_dataset: the arrays differ in their number of rows", got=", ".join(str(len(c)) for c in columns)
        )
    structure = tuple(structure) if isinstance(structure, list) else structure
    total = len(columns[0])
    left, right = _sizes(left_size, right_size, total)
    order = list(range(total))
    if shuffle:
        random.Random(fixed_seed(seed)).shuffle(order)

    def read(rows: Any) -> Any:
        parts = [column[rows] for column in columns]
        return tree.pack_like(structure, parts) if tree.is_nested(structure) else parts[0]

    rows = np.asarray(order)
    return BatchedData(rows[:left], read, batch), BatchedData(rows[total - right :], read, batch)


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    """Rows of both parts."""
    if left is None and right is None:
        raise InvalidArgumentError(
            "split_dataset needs a size", got="left_size=None, right_size=None", fix="pass left_size=0.8"
        )
    found: list[int | None] = []
    for name, size in (("left_size", left), ("right_size", right)):
        whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
        if size is not None and not (0 < size < total if whole else isinstance(size, float) and 0 < size < 1):
            raise InvalidArgumentError(
                f"split_dataset: {name}={size!r}",
                needed=f"a whole number from 1 to {total - 1}, or a float between 0 and 1",
            )
        found.append(None if size is None else int(size) if whole else round(size * total))
    first, second = found
    first = total - int(second or 0) if first is None else first
    second = total - first if second is None else second
    if first + second > total or not first or not second:
        raise InvalidArgumentError(
            f"split_dataset: {total} rows cannot be split like this",
            got=f"left_size={left}, right_size={right}: {first} and {second} rows",
            needed=f"two parts, of {total} rows together at most",
        )
    return first, second
