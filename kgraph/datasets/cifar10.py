"""CIFAR-10: 50,000 and 10,000 colour pictures in ten classes, 32 x 32."""

from __future__ import annotations

import os

import numpy as np

from kgraph.core.session import image_data_format
from kgraph.datasets.reading import Array, load_batch
from kgraph.utils.files import get_file

__all__ = ["load_data"]

ORIGIN = "https://www.cs.toronto.edu/~kriz/"


def load_data() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): u8[n, 32, 32, 3] (or channels first, as set) and u8[n, 1].

    Raises:
        FileError: it cannot be fetched or read; says where to put it.
    """
    digest = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    origin = ORIGIN + "cifar-10-python.tar.gz"
    path = get_file("cifar-10-batches-py-target", origin, extract=True, file_hash=digest)
    folder = os.path.join(path, "cifar-10-batches-py")
    batches = [load_batch(os.path.join(folder, f"data_batch_{i}"), "labels") for i in range(1, 6)]
    train = np.concatenate([x for x, _ in batches]), [label for _, labels in batches for label in labels]
    return arranged(*train), arranged(*load_batch(os.path.join(folder, "test_batch"), "labels"))


def arranged(x: Array, labels: list[int]) -> tuple[Array, Array]:
    """Images in the default layout, labels as a column."""
    images = x if image_data_format() == "channels_first" else x.transpose(0, 2, 3, 1)
    return images, np.array(labels, dtype=np.uint8).reshape(-1, 1)
