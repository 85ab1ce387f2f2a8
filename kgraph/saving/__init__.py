"""Models in files: `.keras`, `.h5`, JSON; and the user's classes that they name."""

from __future__ import annotations

from kgraph.saving.files import load_model, load_weights, model_from_json, save_model
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

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "model_from_json",
    "register_keras_serializable",
    "save_model",
    "serialize_keras_object",
]
