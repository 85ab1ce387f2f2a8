"""California housing: 20,640 districts of 1990, 8 numbers each, and the median price of a house."""

from __future__ import annotations

from kgraph.datasets.reading import Array, check_split, fetched, load_npz, shuffled_split
from kgraph.errors import InvalidArgumentError

__all__ = ["load_data"]


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): floats[n, 8] and floats[n].

    Args:
        version: `"large"`, or `"small"`: the first 600 districts.
        path: name of the file in the cache.
        test_split: share of the rows for testing.
        seed: of the order in which the rows come before the split.

    Raises:
        InvalidArgumentError: an argument has a value that means nothing.
        FileError: it cannot be fetched or read; says where to put it.
    """
    check_split(test_split)
    if version not in ("small", "large"):
        raise InvalidArgumentError(f"california_housing.load_data: version={version!r}", needed="'small' or 'large'")
    digest = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
    x, y = load_npz(fetched(path, "california_housing.npz", digest), ("x", "y"))
    if version == "small":
        x, y = x[:600], y[:600]
    return shuffled_split(x, y, test_split, seed)
