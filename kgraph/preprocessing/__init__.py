"""`keras.preprocessing` of Keras 2 and 3: texts, sequences and images before they reach a model, in plain NumPy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kgraph.keras_paths import missing

if TYPE_CHECKING:
    from kgraph.preprocessing import image, sequence, text

__all__ = ["image", "sequence", "text"]

# At the top level since TensorFlow 2.3, as other names of functions in `kgraph.utils`.
_IN_UTILS = ("image_dataset_from_directory", "text_dataset_from_directory", "timeseries_dataset_from_array")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"kgraph.preprocessing.{name}")
    if name in _IN_UTILS:
        return getattr(import_module("kgraph.utils"), name)
    raise missing(__name__, name, __all__)
