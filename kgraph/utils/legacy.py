"""`keras.utils.legacy`: objects and their descriptions, in the form of Keras 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgraph.errors import InvalidArgumentError, UnknownNameError
from kgraph.registry import custom_objects as registered
from kgraph.registry import fitting

__all__ = ["deserialize_keras_object", "serialize_keras_object"]


def serialize_keras_object(instance: Any) -> Any:
    """`{"class_name", "config"}` of an object, the name of a function or class; None stays None.

    Raises:
        InvalidArgumentError: it has neither `get_config` nor a name.
    """
    if instance is None:
        return None
    if hasattr(instance, "get_config") and not isinstance(instance, type):
        return {"class_name": type(instance).__name__, "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return instance.__name__
    raise InvalidArgumentError(f"cannot describe {instance!r}", needed="an object with get_config(), or a function")


def deserialize_keras_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """What `serialize_keras_object` described.

    Args:
        identifier: a name, or a dict with `class_name` and `config`.
        module_objects: the objects of a module by name.
        custom_objects: further ones, which go before.
        printable_module_name: what they are called in messages.

    Raises:
        UnknownNameError: no object has this name.
        InvalidArgumentError: the description has another form.
    """
    if identifier is None:
        return None
    known = {**(module_objects or {}), **registered(), **(custom_objects or {})}
    description = isinstance(identifier, Mapping)
    name = identifier.get("class_name") if description else identifier
    if not isinstance(name, str):
        raise InvalidArgumentError(
            f"cannot read an object from {identifier!r}", needed="a name, or a dict with class_name"
        )
    if name not in known:
        raise UnknownNameError(f"unknown {printable_module_name} {name!r}", fix="pass it among custom_objects")
    found = known[name]
    if not isinstance(found, type):
        return found
    config = dict(identifier.get("config") or {}) if description else {}
    build = getattr(found, "from_config", None)
    return found(**config) if build is None else build(fitting(found, config))
