"""`keras.preprocessing.sequence` of Keras 2: padding, word pairs, windows over time series."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DataError, IndexRangeError, InvalidArgumentError
from kgraph.utils.dataset import PyDataset
from kgraph.utils.sequence import pad_sequences

__all__ = [
    "TimeseriesGenerator",
    "make_sampling_table",
    "pad_sequences",
    "skipgrams",
    "timeseries_generator_from_json",
]

Array = np.ndarray[Any, np.dtype[Any]]
_EULER = 0.577  # as many digits as Keras takes


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> npt.NDArray[np.float64]:
    """The share of the i-th most frequent word that `skipgrams` keeps.

    min(1, sqrt(t / f)) for a factor t and the frequency f that Zipf's law gives the rank r:
    1 / f = r (log r + 0.577) + 1/2 - 1/(12 r).  From word2vec (Mikolov et al., "Distributed Representations of Words
    and Phrases", 2013, section 2.3), in the form of Keras.

    Args:
        size: number of words.
        sampling_factor: t.

    Returns:
        f64[size].
    """
    rank = np.arange(size)
    rank[:1] = 1
    inverse = rank * (np.log(rank) + _EULER) + 0.5 - 1.0 / (12.0 * rank)
    ratio = sampling_factor * inverse
    return np.minimum(1.0, ratio / np.sqrt(ratio))


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: npt.ArrayLike | None = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pairs of words that stand near each other, and pairs by chance.

    Args:
        sequence: numbers of words; 0 is no word.
        vocabulary_size: the largest number, and one.
        window_size: how far apart two words of a pair may be.
        negative_samples: pairs by chance for each real one.
        shuffle: in random order.
        categorical: labels [0, 1] and [1, 0] instead of 1 and 0.
        sampling_table: share of each word that is kept, see `make_sampling_table`.
        seed: of the order, which then differs from call to call no more; the pairs by chance come from `random`.

    Returns:
        Pairs `[word, other word]`, and their labels.
    """
    yes, no = ([0, 1], [1, 0]) if categorical else (1, 0)
    table = None if sampling_table is None else np.asarray(sampling_table)
    couples: list[list[int]] = []
    for place, word in enumerate(sequence):
        if not word or (table is not None and table[word] < random.random()):
            continue
        near = range(max(0, place - window_size), min(len(sequence), place + window_size + 1))
        couples += [[word, sequence[other]] for other in near if other != place and sequence[other]]
    labels: list[Any] = [yes] * len(couples)
    if negative_samples > 0 and couples:
        count = int(len(labels) * negative_samples)
        words = [word for word, _ in couples]
        random.shuffle(words)
        couples += [[words[i % len(words)], random.randint(1, vocabulary_size - 1)] for i in range(count)]
        labels += [no] * count
    if shuffle:
        seed = random.randint(0, 10**7) if seed is None else seed
        for both in (couples, labels):  # with one seed both lists take one order
            random.seed(seed)
            random.shuffle(both)
    return couples, labels


class TimeseriesGenerator(PyDataset):
    """Windows over a time series, as batches for `fit`.

    Batch i has for each of its rows `row` the samples `data[row - length:row:sampling_rate]` and the target
    `targets[row]`.

    Args:
        data: `(time, ...)`.
        targets: `(time, ...)`, as long as `data`.
        length: of a window, in steps of time.
        sampling_rate: take every so many-th step of a window.
        stride: steps between two windows.
        start_index: data before it are not used.
        end_index: data after it are not used; default: the end.
        shuffle: windows at random places.
        reverse: the latest step first.
        batch_size: windows in a batch.

    Raises:
        DataError: `data` and `targets` differ in length.
        InvalidArgumentError: no window fits between the two ends, or a number is below 1.
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
    ) -> None:
        super().__init__()
        if len(data) != len(targets):
            raise DataError(
                "TimeseriesGenerator: data and targets differ in length", got=f"{len(data)} and {len(targets)} steps"
            )
        numbers = {"length": length, "sampling_rate": sampling_rate, "stride": stride, "batch_size": batch_size}
        for name, value in numbers.items():
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise InvalidArgumentError(f"TimeseriesGenerator: {name}={value!r}", needed="a whole number, 1 or more")
        self.data, self.targets = data, targets
        self.length, self.sampling_rate, self.stride = length, sampling_rate, stride
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle, self.reverse, self.batch_size = shuffle, reverse, batch_size
        if self.start_index > self.end_index:
            raise InvalidArgumentError(
                f"TimeseriesGenerator: no window of {length} steps fits",
                got=f"the first target would be {self.start_index}, the last one is {self.end_index}",
                fix="give more data, or a smaller length",
            )

    def __len__(self) -> int:
        each = self.batch_size * self.stride
        return (self.end_index - self.start_index + each) // each

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        """Batch number `index`: `(windows, length / sampling_rate, ...)` and their targets."""
        if not -len(self) <= index < len(self):
            raise IndexRangeError(f"TimeseriesGenerator has {len(self)} batches", got=f"index {index}")
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            begin = self.start_index + self.batch_size * self.stride * (index % len(self))
            end = min(begin + self.batch_size * self.stride, self.end_index + 1)
            rows = np.arange(begin, end, self.stride)
        samples = np.array([self.data[row - self.length : row : self.sampling_rate] for row in rows])
        targets = np.array([self.targets[row] for row in rows])
        return samples[:, ::-1] if self.reverse else samples, targets

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the data as JSON texts; `start_index` is that of the first target, as in Keras."""
        names = ("length", "sampling_rate", "stride", "start_index", "end_index", "shuffle", "reverse", "batch_size")
        arrays = {name: json.dumps(np.asarray(getattr(self, name)).tolist()) for name in ("data", "targets")}
        return arrays | {name: getattr(self, name) for name in names}

    def to_json(self, **kwargs: Any) -> str:
        """The generator and its data as JSON; `kwargs` go to `json.dumps`."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def timeseries_generator_from_json(json_string: str) -> TimeseriesGenerator:
    """The generator that `TimeseriesGenerator.to_json` described."""
    config = dict(json.loads(json_string)["config"])
    config["data"], config["targets"] = json.loads(config["data"]), json.loads(config["targets"])
    config["start_index"] -= config["length"]  # that of the data, not of the first target
    return TimeseriesGenerator(**config)
