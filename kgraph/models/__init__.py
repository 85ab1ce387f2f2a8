"""Models: `Input`, `Model` (functional or subclassed), `Sequential`."""

from __future__ import annotations

from typing import Any

from kgraph.core.input_layer import Input
from kgraph.errors import UnsupportedError
from kgraph.models.model import Functional, Model, clone_model
from kgraph.models.sequential import Sequential

__all__ = ["Functional", "Input", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def load_model(filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Model:
    """Read a whole model; not there yet.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        "whole models cannot be loaded yet", fix="make the model by its script, then load_weights(...)"
    )


def save_model(model: Model, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
    """Save a whole model; not there yet.

    Raises:
        UnsupportedError: always.
    """
    model.save(filepath, overwrite, **kwargs)


def model_from_json(json_string: str, custom_objects: Any = None) -> Model:
    """A model from its configuration; not there yet.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError("models cannot be read from JSON yet", fix="make the model by its script")
