"""Fashion-MNIST: 60,000 and 10,000 pictures of clothes in ten classes, 28 x 28."""

from __future__ import annotations

import gzip
import os
import zlib

import numpy as np

from kgraph.datasets.reading import ADDRESS, Array
from kgraph.errors import FileError
from kgraph.utils.files import get_file

__all__ = ["load_data"]

_MAGIC = {1: 2049, 3: 2051}  # of an IDX file of bytes, by its number of axes


def load_data() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): u8[n, 28, 28] and u8[n].

    Raises:
        FileError: a file cannot be fetched or read; says where to put it.
    """
    folder = os.path.join("datasets", "fashion-mnist")
    parts = []
    for kind in ("train", "t10k"):
        for name in (f"{kind}-images-idx3-ubyte.gz", f"{kind}-labels-idx1-ubyte.gz"):
            parts.append(_idx(get_file(name, ADDRESS + name, cache_subdir=folder)))
    return (parts[0], parts[1]), (parts[2], parts[3])


def _idx(path: str) -> Array:
    """The array of a packed IDX file: a magic number, the lengths of the axes, then bytes."""
    try:
        with gzip.open(path, "rb") as file:
            data = file.read()
        rank = data[3]
        if int.from_bytes(data[:4], "big") != _MAGIC.get(rank):
            raise ValueError("it is no IDX file of bytes")
        sizes = np.frombuffer(data, ">u4", rank, 4).astype(int)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(sizes)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise FileError(
            f"{path!r} cannot be read", got=str(error), fix="delete it, so that it is fetched again"
        ) from None
