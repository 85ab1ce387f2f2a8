"""Models: `Input`, `Model` (functional or subclassed), `Sequential`."""

from __future__ import annotations

from typing import Any

from kgraph.core.input_layer import Input
from kgraph.models.model import Functional, Model, clone_model
from kgraph.models.sequential import Sequential

__all__ = ["Functional", "Input", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def load_model(filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Model:
    """Read a whole model from a `.keras` or `.h5` file; see `kgraph.saving.load_model`."""
    from kgraph import saving

    return saving.load_model(filepath, custom_objects, compile, safe_mode)


def save_model(model: Model, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
    """Write a whole model to a `.keras` or `.h5` file; see `kgraph.saving.save_model`."""
    model.save(filepath, overwrite, **kwargs)


def model_from_json(json_string: str, custom_objects: Any = None) -> Model:
    """A new model from `model.to_json()`; see `kgraph.saving.model_from_json`."""
    from kgraph import saving

    return saving.model_from_json(json_string, custom_objects)
