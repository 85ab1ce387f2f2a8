"""`timeseries_dataset_from_array`: batches of windows that slide over a series."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.errors import InvalidArgumentError
from kgraph.utils.batched_data import BatchedData, check_batch, fixed_seed

__all__ = ["timeseries_dataset_from_array"]


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> BatchedData:
    """A dataset of windows [batch, sequence_length, ...] over a series [time, ...].

    Window number i holds `data[s], data[s + sampling_rate], ...` with s = start_index + i * sequence_stride; its target
    is `targets[s]`.

    Args:
        data: the series.
        targets: a target for each start of a window, or None for windows alone.
        sequence_length: steps of a window.
        sequence_stride: between the starts of two windows.
        sampling_rate: between two steps of a window.
        batch_size: windows a batch; None: single windows, without a batch axis.
        shuffle: give the windows in random order, a new one each epoch.
        seed: of the order.
        start_index, end_index: use the data from here, up to (not including) there.
        format: accepted as in Keras; the result is a `PyDataset` in any case.

    Raises:
        InvalidArgumentError: an argument is out of range, or no window fits.
    """
    values = np.asarray(data)
    rows = len(values)
    _check(rows, sequence_length, sequence_stride, sampling_rate, start_index, end_index)
    if format not in ("tf", "grain"):
        raise InvalidArgumentError(f"timeseries_dataset_from_array: format={format!r}", needed="'tf' or 'grain'")
    first, last = start_index or 0, rows if end_index is None else end_index
    goals = None if targets is None else np.asarray(targets)
    count = last - first - (sequence_length - 1) * sampling_rate
    if goals is not None:
        count = min(count, len(goals))
    if count < 1:
        raise InvalidArgumentError(
            "timeseries_dataset_from_array: no window fits into the data",
            got=f"{last - first} steps" + ("" if goals is None else f", {len(goals)} targets"),
            needed=f"{(sequence_length - 1) * sampling_rate + 1} steps",
        )
    starts = np.arange(0, count, sequence_stride)
    chosen = fixed_seed(seed)
    if shuffle:
        np.random.RandomState(chosen).shuffle(starts)
    steps = np.arange(sequence_length) * sampling_rate

    def read(some: Any) -> Any:
        places = first + some
        window = values[places[:, None] + steps]
        return window if goals is None else (window, goals[places])

    return BatchedData(starts, read, check_batch("timeseries_dataset_from_array", batch_size), shuffle, chosen)


def _check(rows: int, length: Any, stride: Any, rate: Any, first: Any, last: Any) -> None:
    for name, value, high in (
        ("sequence_length", length, None),
        ("sequence_stride", stride, rows),
        ("sampling_rate", rate, rows),
    ):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1 or (high and value >= high):
            raise InvalidArgumentError(
                f"timeseries_dataset_from_array: {name}={value!r}",
                needed="a whole number, 1 or more" + (f", and below the length of the data, {high}" if high else ""),
            )
    if first is not None and not 0 <= first < rows:
        raise InvalidArgumentError(
            f"timeseries_dataset_from_array: start_index={first}", needed=f"0 or more, and below {rows}"
        )
    if last is not None and not (first or 0) < last < rows:
        raise InvalidArgumentError(
            f"timeseries_dataset_from_array: end_index={last}",
            needed=f"more than start_index={first or 0}, and below {rows}",
        )
