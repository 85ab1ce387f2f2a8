"""CIFAR-100: 50,000 and 10,000 colour pictures in 100 classes of 20 kinds, 32 x 32."""

from __future__ import annotations

import os

from kgraph.datasets.cifar10 import ORIGIN, arranged
from kgraph.datasets.reading import Array, load_batch
from kgraph.errors import InvalidArgumentError
from kgraph.utils.files import get_file

__all__ = ["load_data"]


def load_data(label_mode: str = "fine") -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): u8[n, 32, 32, 3] (or channels first, as set) and u8[n, 1].

    Args:
        label_mode: `"fine"`: 100 classes, `"coarse"`: 20.

    Raises:
        InvalidArgumentError: another `label_mode`.
        FileError: it cannot be fetched or read; says where to put it.
    """
    if label_mode not in ("fine", "coarse"):
        raise InvalidArgumentError(f"cifar100.load_data: label_mode={label_mode!r}", needed="'fine' or 'coarse'")
    digest = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
    origin = ORIGIN + "cifar-100-python.tar.gz"
    path = get_file("cifar-100-python-target", origin, extract=True, file_hash=digest)
    folder = os.path.join(path, "cifar-100-python")
    train, test = (load_batch(os.path.join(folder, name), f"{label_mode}_labels") for name in ("train", "test"))
    return arranged(*train), arranged(*test)
