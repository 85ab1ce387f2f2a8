"""MNIST: 60,000 and 10,000 pictures of handwritten digits, 28 x 28."""

from __future__ import annotations

from kgraph.datasets.reading import Array, fetched, load_npz

__all__ = ["load_data"]


def load_data(path: str = "mnist.npz") -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): u8[n, 28, 28] and u8[n].

    Args:
        path: name of the file in the cache.

    Raises:
        FileError: it cannot be fetched or read; says where to put it.
    """
    digest = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
    names = ("x_train", "y_train", "x_test", "y_test")
    x_train, y_train, x_test, y_test = load_npz(fetched(path, "mnist.npz", digest), names)
    return (x_train, y_train), (x_test, y_test)
