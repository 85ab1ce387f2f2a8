"""What the data sets share: arrays from `.npz` files and pickles, without running code; order, split and words.

The `.npz` files of IMDB and Reuters hold lists as pickles, and CIFAR's batches are pickles: only arrays, lists and
numbers are taken from them, see `_ArraysOnly`.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.errors import DataError, FileError, InvalidArgumentError
from kgraph.utils.files import get_file

__all__ = ["Array", "limited_words", "load_batch", "load_npz", "order_of", "shuffled_split", "word_table"]

Array = np.ndarray[Any, np.dtype[Any]]
ADDRESS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_ALLOWED = frozenset(
    (module, name)
    for module, name in (
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
    )
)


class _ArraysOnly(pickle.Unpickler):
    """Makes arrays of NumPy, and refuses to look up anything else, so that no file can run code."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function that rebuilds an array."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core") if _NEW else module, name)


_NEW = int(np.__version__.split(".")[0]) >= 2


def load_npz(path: str, names: Sequence[str]) -> list[Array]:
    """Arrays of an `.npz` file.

    Raises:
        FileError: it cannot be read.
        DataError: it has no such array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            for name in names:
                if f"{name}.npy" not in members:
                    raise DataError(f"{path!r} has no array {name!r}", got=", ".join(sorted(members)))
            return [_array(archive.read(f"{name}.npy")) for name in names]
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise FileError(
            f"{path!r} cannot be read", got=str(error), fix="delete it, so that it is fetched again"
        ) from None


def _array(data: bytes) -> Array:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
    if not header(stream)[2].hasobject:
        return np.load(io.BytesIO(data), allow_pickle=False)  # type: ignore[no-any-return]
    found = _ArraysOnly(stream).load()
    if not isinstance(found, np.ndarray):
        raise pickle.UnpicklingError("it holds no array")
    return found


def fetched(path: str, name: str, digest: str) -> str:
    """The path of a file of the cache, which is fetched when it is not there or has another digest."""
    return get_file(path, ADDRESS + name, file_hash=digest)


def load_batch(path: str, label_key: str) -> tuple[Array, list[int]]:
    """Images u8[n, 3, 32, 32] and labels of one of CIFAR's pickles.

    Raises:
        FileError: the file is damaged, or would run code.
    """
    try:
        with open(path, "rb") as file:
            table = {_text(key): value for key, value in _ArraysOnly(file, encoding="bytes").load().items()}
        return np.asarray(table["data"]).reshape(-1, 3, 32, 32), list(table[label_key])
    except (OSError, pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise FileError(
            f"{path!r} cannot be read", got=str(error), fix="delete it, so that it is fetched again"
        ) from None


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def order_of(rows: int, random: np.random.RandomState) -> Array:
    """A permutation, drawn as Keras draws it: equal seeds give equal orders."""
    order = np.arange(rows)
    random.shuffle(order)
    return order


def check_split(test_split: float) -> None:
    """Refuse a share that is none.

    Raises:
        InvalidArgumentError: it is not in [0, 1).
    """
    if not 0 <= test_split < 1:
        raise InvalidArgumentError(f"load_data: test_split={test_split!r}", needed="0 <= test_split < 1")


def shuffled_split(x: Array, y: Array, test_split: float, seed: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Rows in an order by the seed, the last ones for testing: (x_train, y_train), (x_test, y_test)."""
    order = order_of(len(x), np.random.RandomState(seed))
    x, y = x[order], y[order]
    middle = int(len(x) * (1 - test_split))
    return (x[:middle], y[:middle]), (x[middle:], y[middle:])


# -- texts ----------------------------------------------------------------------------------------------------------
def shifted(texts: Any, start_char: int | None, index_from: int | None) -> list[list[int]]:
    """Each list of words with `start_char` before it, and the numbers moved up by `index_from`."""
    if start_char is not None:
        return [[start_char, *(word + (index_from or 0) for word in text)] for text in texts]
    return [[word + (index_from or 0) for word in text] for text in texts]


def short_ones(maxlen: int, texts: list[list[int]], labels: Array) -> tuple[list[list[int]], Array]:
    """Those below `maxlen` words, with their labels."""
    kept = [row for row, text in enumerate(texts) if len(text) < maxlen]
    return [texts[row] for row in kept], labels[kept]


def limited_words(
    texts: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None
) -> list[list[int]]:
    """Words with numbers in skip_top ... num_words - 1; the others become `oov_char`, or are left out."""
    most = num_words or max((max(text) for text in texts if text), default=0)
    if oov_char is None:
        return [[word for word in text if skip_top <= word < most] for text in texts]
    return [[word if skip_top <= word < most else oov_char for word in text] for text in texts]


def as_rows(texts: list[list[int]]) -> Array:
    """object[n] of lists, also where all have one length."""
    rows = np.empty(len(texts), dtype=object)
    rows[:] = texts
    return rows


def word_table(path: str, name: str, digest: str) -> dict[str, int]:
    """Word -> number, from a JSON file."""
    with open(fetched(path, name, digest), encoding="utf-8") as file:
        table: dict[str, int] = json.load(file)
    return table
