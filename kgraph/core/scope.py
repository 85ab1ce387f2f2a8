"""What surrounds a call: the names of the layers that are being built or called, and the `training` flag they hand
down.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kgraph.errors import InvalidArgumentError

__all__ = ["call_training", "current_path", "layer_scope", "name_scope"]


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.names: list[tuple[int, str]] = []
        self.training: list[bool | None] = []


_SCOPES = _Scopes()


def current_path(name: str) -> str:
    """Path for the weights of the layer called `name`: the names of the layers around it, then its own."""
    names = [part for _, part in _SCOPES.names]
    if not names or names[-1] != name:
        names.append(name)
    return "/".join(names)


@contextmanager
def layer_scope(layer: Any) -> Iterator[None]:
    """Within the block weights get paths below this layer."""
    own = (id(layer), layer.name)
    if _SCOPES.names and _SCOPES.names[-1] == own:
        yield
        return
    _SCOPES.names.append(own)
    try:
        yield
    finally:
        _SCOPES.names.pop()


@contextmanager
def name_scope(name: str, caller: Any = None) -> Iterator[None]:
    """Within the block weights get paths below `name`, as in Keras.

    Args:
        name: one part of a path.
        caller: accepted as in Keras; a scope of the same caller and name is not entered twice.

    Raises:
        InvalidArgumentError: the name is empty, no text, or has a slash.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise InvalidArgumentError(f"name_scope({name!r})", needed="a name without a slash")
    own = (id(caller), name)
    if caller is not None and _SCOPES.names and _SCOPES.names[-1] == own:
        yield
        return
    _SCOPES.names.append(own)
    try:
        yield
    finally:
        _SCOPES.names.pop()


def call_training() -> bool | None:
    """The `training` flag of the call around this one, or None."""
    return _SCOPES.training[-1] if _SCOPES.training else None


@contextmanager
def training_scope(training: bool | None) -> Iterator[None]:
    """Within the block nested layers take this `training` flag."""
    _SCOPES.training.append(training)
    try:
        yield
    finally:
        _SCOPES.training.pop()
