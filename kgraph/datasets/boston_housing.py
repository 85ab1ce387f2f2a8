"""Boston housing: 506 districts of 1978, 13 numbers each, and the median price of a house."""

from __future__ import annotations

from kgraph.datasets.reading import Array, check_split, fetched, load_npz, shuffled_split

__all__ = ["load_data"]


def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): floats[n, 13] and floats[n].

    Args:
        path: name of the file in the cache.
        test_split: share of the rows for testing.
        seed: of the order in which the rows come before the split.

    Raises:
        InvalidArgumentError: an argument has a value that means nothing.
        FileError: it cannot be fetched or read; says where to put it.
    """
    check_split(test_split)
    digest = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"
    x, y = load_npz(fetched(path, "boston_housing.npz", digest), ("x", "y"))
    return shuffled_split(x, y, test_split, seed)
