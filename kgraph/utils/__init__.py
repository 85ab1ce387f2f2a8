"""Helpers around models: labels and sequences, seeds, progress, drawing.  Each is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgraph.core.session import clear_session
    from kgraph.random import set_random_seed
    from kgraph.saving.objects import (
        CustomObjectScope,
        custom_object_scope,
        deserialize_keras_object,
        get_custom_objects,
        get_registered_name,
        get_registered_object,
        register_keras_serializable,
        serialize_keras_object,
    )
    from kgraph.utils.dataset import PyDataset
    from kgraph.utils.numeric import normalize, to_categorical
    from kgraph.utils.sequence import pad_sequences
    from kgraph.utils.vis import model_to_dot, plot_model

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "is_keras_tensor",
    "model_to_dot",
    "normalize",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
]

# name -> (module, name there); the later ones belong to modules that may not be there yet.
_NAMES = {
    "clear_session": ("kgraph.core.session", "clear_session"),
    "set_random_seed": ("kgraph.random", "set_random_seed"),
    "to_categorical": ("kgraph.utils.numeric", "to_categorical"),
    "PyDataset": ("kgraph.utils.dataset", "PyDataset"),
    "Sequence": ("kgraph.utils.dataset", "PyDataset"),
    "normalize": ("kgraph.utils.numeric", "normalize"),
    "pad_sequences": ("kgraph.utils.sequence", "pad_sequences"),
    "plot_model": ("kgraph.utils.vis", "plot_model"),
    "model_to_dot": ("kgraph.utils.vis", "model_to_dot"),
    "CustomObjectScope": ("kgraph.saving.objects", "CustomObjectScope"),
    "custom_object_scope": ("kgraph.saving.objects", "custom_object_scope"),
    "deserialize_keras_object": ("kgraph.saving.objects", "deserialize_keras_object"),
    "get_custom_objects": ("kgraph.saving.objects", "get_custom_objects"),
    "get_registered_name": ("kgraph.saving.objects", "get_registered_name"),
    "get_registered_object": ("kgraph.saving.objects", "get_registered_object"),
    "register_keras_serializable": ("kgraph.saving.objects", "register_keras_serializable"),
    "serialize_keras_object": ("kgraph.saving.objects", "serialize_keras_object"),
    "standardize_dtype": ("kgraph.core.dtypes", "standardize_dtype"),
}


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a tensor of a functional model."""
    from kgraph.core.tensors import is_symbolic

    return is_symbolic(x)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'kgraph.utils' has no attribute {name!r}")
    module, attribute = _NAMES[name]
    try:
        value = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise AttributeError(f"module 'kgraph.utils' has no attribute {name!r}") from None
    globals()[name] = value
    return value
