"""Names to objects and back: what `get`, `serialize` and `deserialize` of losses, layers, optimizers share.

A `Registry` belongs to one kind of object and knows its built-ins under all their spellings.  Objects of the user come
first: those of `custom_objects`, which `kgraph.utils.custom_object_scope` and `register_keras_serializable` fill.
This module imports nothing of kgraph but the errors, so that every other module may use it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kgraph.errors import InvalidArgumentError, UnknownNameError

__all__ = ["Registry", "custom_objects", "serialize"]

_CUSTOM_OBJECTS: dict[str, Any] = {}


def custom_objects() -> dict[str, Any]:
    """The user's objects by name, in the one dictionary that every registry looks into first."""
    return _CUSTOM_OBJECTS


def serialize(thing: Any) -> Any:
    """A description made of plain dicts, lists, strings and numbers; the reverse of `Registry.deserialize`.

    Functions and classes become their names, objects `{module, class_name, config, registered_name}` as in Keras 3.

    Raises:
        InvalidArgumentError: the object has no `get_config`.
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, (list, tuple)):
        return type(thing)(serialize(item) for item in thing)
    if isinstance(thing, dict):
        return {key: serialize(value) for key, value in thing.items()}
    if inspect.isfunction(thing) or inspect.isbuiltin(thing) or inspect.isclass(thing):
        return thing.__name__
    if not hasattr(thing, "get_config"):
        raise InvalidArgumentError(
            f"cannot describe {thing!r}", needed="an object with get_config(), or a named function"
        )
    cls = type(thing)
    ours = cls.__module__.split(".")[0] == "kgraph"
    module = "keras." + cls.__module__.split(".")[1] if ours else cls.__module__
    return {
        "module": module,
        "class_name": cls.__name__,
        "config": thing.get_config(),
        "registered_name": None if ours else cls.__name__,
    }


class Registry:
    """The built-in objects of one kind, by name.

    Args:
        kind: what they are called in messages, e.g. "loss".
        fold: names are compared in lower case (optimizers).
    """

    def __init__(self, kind: str, fold: bool = False) -> None:
        self.kind, self._fold = kind, fold
        self._table: dict[str, Any] = {}

    def add(self, thing: Any, *aliases: str) -> Any:
        """Register a class or function under its own name and `aliases`; return it."""
        for name in (thing.__name__, *aliases):
            self._table[self._key(name)] = thing
        return thing

    def add_all(self, things: Iterable[Any], aliases: Mapping[str, Any]) -> None:
        """Register several at once."""
        for thing in things:
            self.add(thing)
        for name, thing in aliases.items():
            self._table[self._key(name)] = thing

    def names(self) -> list[str]:
        """All spellings, in order of registration."""
        return list(self._table)

    def lookup(self, name: str) -> Any:
        """The class or function called `name`.

        Raises:
            UnknownNameError: there is none; the message suggests names that look alike.
        """
        if name in _CUSTOM_OBJECTS:
            return _CUSTOM_OBJECTS[name]
        found = self._table.get(self._key(name))
        if found is None:
            close = difflib.get_close_matches(self._key(name), self._table, n=3, cutoff=0.5)
            raise UnknownNameError(
                f"unknown {self.kind} {name!r}",
                needed=("perhaps " + ", ".join(repr(c) for c in close))
                if close
                else "one of " + ", ".join(self._table),
                fix=f"pass the name of a built-in {self.kind}, or the object itself",
            )
        return found

    def deserialize(self, config: Any, custom: Mapping[str, Any] | None = None) -> Any:
        """The object that `serialize` described: a name, or a dict with `class_name` and `config`.

        Raises:
            UnknownNameError: no such name.
            InvalidArgumentError: the description has another form.
        """
        if isinstance(config, str):
            return custom[config] if custom and config in custom else self.lookup(config)
        if not isinstance(config, Mapping) or "class_name" not in config:
            raise InvalidArgumentError(
                f"cannot read a {self.kind} from {config!r}", needed="a name, or a dict with 'class_name' and 'config'"
            )
        name, inner = config["class_name"], config.get("config") or {}
        if name == "function" and isinstance(inner, str):
            return self.deserialize(inner, custom)
        if name == "function":
            return self.deserialize(inner["name"], custom)
        cls = custom[name] if custom and name in custom else self.lookup(name)
        if not inspect.isclass(cls):
            return cls
        build: Callable[..., Any] = getattr(cls, "from_config", None) or (lambda values: cls(**values))
        return build(dict(inner))

    def _key(self, name: str) -> str:
        return name.lower() if self._fold else name
