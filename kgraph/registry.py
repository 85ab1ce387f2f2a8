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

__all__ = ["Registry", "custom_objects", "fitting", "public_module", "registered_name", "serialize"]

_CUSTOM_OBJECTS: dict[str, Any] = {}


def custom_objects() -> dict[str, Any]:
    """The user's objects by name, in the one dictionary that every registry looks into first."""
    return _CUSTOM_OBJECTS


def registered_name(thing: Any) -> str:
    """The name under which a class or function of the user is kept in files: `package>name`, else its own name."""
    for name, known in _CUSTOM_OBJECTS.items():
        if known is thing and ">" in name:
            return name
    return str(thing.__name__)


# Where Keras has the classes of these modules, if not in the module of the same name.
_HOMES = {
    "core.input_layer": "keras.layers",
    "core.layer": "keras.layers",
    "core.policy": "keras",
    "models.model": "keras",
    "models.sequential": "keras",
    "optimizers.schedules": "keras.optimizers.schedules",
}


def public_module(thing: Any) -> str:
    """The module of Keras in which a class or function of kgraph stands; the user's own module for others."""
    package, _, rest = str(thing.__module__).partition(".")
    if package != "kgraph":
        return str(thing.__module__)
    return _HOMES.get(rest) or "keras." + rest.split(".")[0]


def serialize(thing: Any) -> Any:
    """A description made of plain dicts, lists, strings and numbers; the reverse of `Registry.deserialize`.

    Built-in functions and classes become their names, functions of the user
    `{module, class_name: "function", config: name, registered_name}`, objects
    `{module, class_name, config, registered_name}` as in Keras 3; built layers have a `build_config` too.

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
        if str(thing.__module__).partition(".")[0] == "kgraph" or not inspect.isfunction(thing):
            return thing.__name__
        if thing.__name__ == "<lambda>":
            return thing
        return {
            "module": thing.__module__,
            "class_name": "function",
            "config": thing.__name__,
            "registered_name": registered_name(thing),
        }
    if not hasattr(thing, "get_config"):
        raise InvalidArgumentError(
            f"cannot describe {thing!r}", needed="an object with get_config(), or a named function"
        )
    cls = type(thing)
    description: dict[str, Any] = {
        "module": public_module(cls),
        "class_name": cls.__name__,
        "config": thing.get_config(),
        "registered_name": None if cls.__module__.split(".")[0] == "kgraph" else registered_name(cls),
    }
    if description["module"] == "keras" and cls.__name__ == "Functional":
        description.update(module="keras.src.models.functional", registered_name="Functional")
    built_with = thing.get_build_config() if hasattr(thing, "get_build_config") else None
    if built_with:
        description["build_config"] = built_with
    return description


# Settings of Keras that kgraph need not know, with the values that change nothing.
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "use_cudnn": ("auto", True, False),
    "implementation": (0, 1, 2),
    "use_ema": (False,),
    "fused": (True, False, None),
    "autocast": (True,),
    "ragged": (False, None),
    "aggregation": (None, "none"),
}


def fitting(cls: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` without settings that a class of kgraph does not have and that are off (None, False) in it."""
    values = dict(config)
    if str(cls.__module__).partition(".")[0] != "kgraph":
        return values
    classes = [*cls.__mro__, *getattr(getattr(cls, "cell_type", None), "__mro__", ())]
    known = {name for one in classes if "__init__" in vars(one) for name in _parameters(vars(one)["__init__"])}
    for name in [name for name in values if name not in known and name not in _KEYWORDS]:
        if name in _IDLE or values[name] in _HARMLESS.get(name, ()) or values[name] is None or values[name] is False:
            del values[name]
    return values


# Of settings that are off (batch renormalisation), so of no effect.
_IDLE = frozenset(("renorm_momentum", "renorm_clipping"))
# Taken by name from **kwargs, so that no signature shows them.
_KEYWORDS = frozenset(
    "batch_input_shape batch_shape input_shape input_dim input_length weights unit_forget_bias reset_after "
    "has_input_vocabulary".split()
)


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


class Registry:
    """The built-in objects of one kind, by name.

    Args:
        kind: what they are called in messages, e.g. "loss".
        fold: names are compared in lower case (optimizers).
        makes: a name stands for an object, made without arguments, and not for its class.
    """

    def __init__(self, kind: str, fold: bool = False, makes: bool = False) -> None:
        self.kind, self._fold, self._makes = kind, fold, makes
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

    def has(self, name: Any) -> bool:
        """Whether a built-in has this name."""
        return isinstance(name, str) and self._key(name) in self._table

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

    def get(self, identifier: Any, needed: str, fits: Callable[[Any], bool] = callable) -> Any:
        """The object that a user gave, described or named; a class is called without arguments.

        Args:
            identifier: what the user gave.
            needed: what may be given, for the message.
            fits: whether an object is one of the kind.

        Raises:
            UnknownNameError: no such name.
            InvalidArgumentError: it is nothing of the kind.
        """
        found = self.deserialize(identifier) if isinstance(identifier, (str, Mapping)) else identifier
        if inspect.isclass(found):
            found = found()
        if not fits(found):
            article = "an" if self.kind[0] in "aeiou" else "a"
            raise InvalidArgumentError(f"cannot use {identifier!r} as {article} {self.kind}", needed=needed)
        return found

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object that `serialize` described, or that a name stands for.

        Args:
            config: a name, or a dict with `class_name` and `config`.
            custom_objects: more objects by name.

        Raises:
            UnknownNameError: no such name.
            InvalidArgumentError: the description has another form.
        """
        found = self._read(config, custom_objects)
        built_in = self._makes and any(found is known for known in self._table.values())
        return found() if built_in or (self._makes and inspect.isclass(found)) else found

    def _read(self, config: Any, custom: Mapping[str, Any] | None) -> Any:
        if isinstance(config, str):
            return custom[config] if custom and config in custom else self.lookup(config)
        if not isinstance(config, Mapping) or "class_name" not in config:
            raise InvalidArgumentError(
                f"cannot read a {self.kind} from {config!r}", needed="a name, or a dict with 'class_name' and 'config'"
            )
        name, inner = config["class_name"], config.get("config") or {}
        registered = config.get("registered_name")
        if name == "function":
            given = inner if isinstance(inner, str) else inner["name"]
            found = _CUSTOM_OBJECTS.get(registered) if isinstance(registered, str) else None
            return found if found is not None else self._read(given, custom)
        if not isinstance(name, str) or not isinstance(inner, Mapping):
            raise InvalidArgumentError(f"cannot read a {self.kind} from {config!r}", needed="a name and its settings")
        if isinstance(registered, str) and registered in _CUSTOM_OBJECTS:
            cls = _CUSTOM_OBJECTS[registered]
        else:
            cls = custom[name] if custom and name in custom else self.lookup(name)
        if not inspect.isclass(cls):
            return cls
        build: Callable[..., Any] = getattr(cls, "from_config", None) or (lambda values: cls(**values))
        return build(fitting(cls, inner))

    def _key(self, name: str) -> str:
        return name.lower() if self._fold else name
