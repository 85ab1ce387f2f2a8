"""`keras.datasets`: small data sets for examples, fetched once to the cache of `kgraph.utils.get_file`.

Where there is no net, the error names the file and where to put it; files that Keras has fetched are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kgraph.keras_paths import missing

if TYPE_CHECKING:
    from kgraph.datasets import (
        boston_housing,
        california_housing,
        cifar10,
        cifar100,
        fashion_mnist,
        imdb,
        mnist,
        reuters,
    )

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"kgraph.datasets.{name}")
    raise missing(__name__, name, __all__)
