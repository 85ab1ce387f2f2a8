"""Arrays on disk: HDF5 datasets, and memory maps of another type than the model's, read batch by batch.

A memory map of the input's own type needs none of this: native code reads its rows where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgraph.core.tree import flatten
from kgraph.errors import DataError
from kgraph.trainer.data import Port

__all__ = ["Batches", "on_disk"]


def on_disk(data: Any, ports: Sequence[Port]) -> bool:
    """Whether one of the arrays would be copied whole to be used.

    Args:
        data: what the user gave as `x`: an array, or a list or dict of them.
        ports: the inputs; an empty list when the model is not built yet.
    """
    kinds = {port.dtype for port in ports} or {"float32"}
    leaves = flatten(data) if isinstance(data, (list, tuple, Mapping)) else [data]
    for leaf in leaves:
        if isinstance(leaf, np.memmap):
            if leaf.dtype.name not in kinds:
                return True
        elif type(leaf).__module__.split(".")[0] in ("h5py", "zarr", "tables") and hasattr(leaf, "shape"):
            return True
    return False


class Batches:
    """A dataset of batches of arrays that support slices of rows.

    Args:
        x: an array, or a list or dict of them.
        y: targets likewise, or None.
        sample_weight: likewise, or None.
        batch: rows each.

    Raises:
        DataError: the arrays differ in their number of rows, or have none.
    """

    def __init__(self, x: Any, y: Any, sample_weight: Any, batch: int) -> None:
        self.parts = (x, y, sample_weight)
        self.batch = batch
        lengths = {len(leaf) for leaf in flatten([part for part in self.parts if part is not None])}
        if len(lengths) != 1 or 0 in lengths:
            raise DataError(
                "the arrays differ in their number of rows" if 0 not in lengths else "the data have no rows",
                got=", ".join(map(str, sorted(lengths))) + " rows",
                needed="as many rows in each",
            )
        self.rows = lengths.pop()

    def __len__(self) -> int:
        return -(-self.rows // self.batch)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = slice(index * self.batch, min((index + 1) * self.batch, self.rows))
        return tuple(_cut(part, rows) for part in self.parts)


def _cut(part: Any, rows: slice) -> Any:
    if part is None:
        return None
    if isinstance(part, Mapping):
        return {name: _cut(array, rows) for name, array in part.items()}
    if isinstance(part, (list, tuple)):
        return [_cut(array, rows) for array in part]
    return np.asarray(part[rows])
