"""`keras.legacy.interfaces`: decorators that took arguments of Keras 1.  Here they leave functions as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kgraph.keras_paths import missing

__all__ = ["generate_legacy_interface", "generate_legacy_method_interface"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _unchanged(function: _Function) -> _Function:
    return function


def generate_legacy_interface(*args: Any, **kwargs: Any) -> Callable[[_Function], _Function]:
    """A decorator that changes nothing."""
    return _unchanged


generate_legacy_method_interface = generate_legacy_interface


def __getattr__(name: str) -> Any:
    if name.startswith("legacy_") and name.endswith("_support"):
        return _unchanged
    raise missing(__name__, name, __all__)
