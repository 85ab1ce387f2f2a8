"""Objects to plain descriptions and back, in the form of Keras 3; the user's classes by registration only.

No module is ever imported because a file names it: a class is a built-in of kgraph, or among the custom objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import numpy as np

from kgraph.core import DTypePolicy, Layer, SymbolicTensor, Variable
from kgraph.core.input_layer import InputLayer
from kgraph.errors import InvalidArgumentError, KGraphError, UnknownNameError
from kgraph.registry import Registry, custom_objects, fitting, serialize
from kgraph.saving.functions import dump_lambda, function_from, safe_mode_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "deserialize_layer",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "register_keras_serializable",
    "serialize_keras_object",
]

T = TypeVar("T")


class ConfigError(InvalidArgumentError):
    """A description cannot be turned into an object."""


# -- the user's classes -----------------------------------------------------------------------------------------------
def get_custom_objects() -> dict[str, Any]:
    """The user's classes and functions by name; may be changed."""
    return custom_objects()


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Make a class or function known to files, as `package>name`.

    Raises:
        InvalidArgumentError: a class without `get_config`.
    """

    def register(thing: T) -> T:
        label = name or str(getattr(thing, "__name__", ""))
        if inspect.isclass(thing) and not hasattr(thing, "get_config"):
            raise InvalidArgumentError(
                f"class {thing.__name__} cannot be registered: it has no get_config()",
                fix="define get_config(self) that returns the arguments of __init__",
            )
        custom_objects()[f"{package}>{label}"] = thing
        return thing

    return register


def get_registered_name(obj: Any) -> str:
    """`package>name` of a registered class or function, else its own name."""
    from kgraph.registry import registered_name

    return registered_name(obj)


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The class or function of that name, or None."""
    return (custom_objects or {}).get(name, get_custom_objects().get(name))


@contextmanager
def _scope(*given: Mapping[str, Any] | None) -> Iterator[None]:
    table = custom_objects()
    before = dict(table)
    for mapping in given:
        for key, value in (mapping or {}).items():
            table[str(key)] = value
    try:
        yield
    finally:
        table.clear()
        table.update(before)


def custom_object_scope(*args: Mapping[str, Any] | None) -> AbstractContextManager[None]:
    """Within it, these classes and functions are known by their names."""
    return _scope(*args)


class CustomObjectScope:
    """`custom_object_scope` as a class (Keras 2 spelling)."""

    def __init__(self, *args: Mapping[str, Any] | None) -> None:
        self._given, self._inner = args, None  # type: tuple[Any, ...], Any

    def __enter__(self) -> CustomObjectScope:
        self._inner = _scope(*self._given)
        self._inner.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._inner.__exit__(*error)


# -- to descriptions --------------------------------------------------------------------------------------------------
def serialize_keras_object(obj: Any) -> Any:
    """A description of an object, made of what JSON can hold.

    Raises:
        InvalidArgumentError: it cannot be described.
    """
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, (list, tuple)):
        return [serialize_keras_object(item) for item in obj]
    if isinstance(obj, Mapping):
        return {str(key): serialize_keras_object(value) for key, value in obj.items()}
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        ends = {key: serialize_keras_object(getattr(obj, key)) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": ends}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, np.ndarray) and obj.ndim > 0:
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, (np.generic, np.ndarray)):
        return obj.item()
    if isinstance(obj, np.dtype):
        return obj.name
    if isinstance(obj, DTypePolicy):
        return _policy(obj.name)
    if isinstance(obj, SymbolicTensor):
        history = obj._keras_history
        place = None if history is None else [history.operation.name, history.node_index, history.tensor_index]
        return _tensor_config(obj, place)
    if isinstance(obj, Variable):
        raise InvalidArgumentError(
            f"variable {obj.path!r} cannot be written to a configuration", fix="keep it as a weight of a layer"
        )
    if inspect.isfunction(obj) and obj.__name__ == "<lambda>":
        return dump_lambda(obj)
    if (inspect.isfunction(obj) or inspect.isclass(obj)) and obj.__module__.partition(".")[0] == "kgraph":
        from kgraph.registry import public_module

        kind = "function" if inspect.isfunction(obj) else "type"
        return {
            "module": public_module(obj),
            "class_name": kind,
            "config": obj.__name__,
            "registered_name": obj.__name__,
        }
    description = serialize(obj)
    if isinstance(description, dict):
        if isinstance(obj, Layer) and not isinstance(obj, InputLayer):
            config = description["config"]
            if isinstance(config.get("dtype"), str):
                description["config"] = {**config, "dtype": _policy(config["dtype"])}
        description = {key: serialize_keras_object(value) for key, value in description.items()}
        if hasattr(obj, "get_compile_config"):
            description["compile_config"] = serialize_keras_object(obj.get_compile_config())
    return description


def _policy(name: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}


def _tensor_config(tensor: SymbolicTensor, history: Any) -> dict[str, Any]:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": list(tensor.shape), "dtype": tensor.dtype, "keras_history": history},
    }


# -- from descriptions ------------------------------------------------------------------------------------------------
def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool | None = None, **kwargs: Any
) -> Any:
    """The object that `serialize_keras_object` described.

    Args:
        config: the description; names of custom objects stand for themselves.
        custom_objects: the user's classes and functions by name.
        safe_mode: False lets lambdas be read; as around the call when None.
        kwargs: accepted for Keras.

    Raises:
        UnknownNameError: a class or function is not known; the message names `custom_objects`.
        InvalidArgumentError: the description cannot be read, or holds code.
    """
    from kgraph.saving.functions import in_safe_mode

    with custom_object_scope(custom_objects), safe_mode_scope(in_safe_mode() if safe_mode is None else safe_mode):
        return _object(config)


def deserialize_layer(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A layer or model from its description or name."""
    if isinstance(config, str):
        from kgraph.layers import _REGISTRY

        return _REGISTRY.deserialize(config, custom_objects)
    return deserialize_keras_object(config, custom_objects)


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "__bytes__": lambda inner: inner["value"].encode("utf-8"),
    "__ellipsis__": lambda inner: Ellipsis,
    "__numpy__": lambda inner: np.array(inner["value"], dtype=inner["dtype"]),
    "__tensor__": lambda inner: np.array(inner["value"], dtype=inner["dtype"]),
    "__slice__": lambda inner: slice(*(_object(inner.get(key)) for key in ("start", "stop", "step"))),
    "DTypePolicy": lambda inner: DTypePolicy(inner.get("name")),
}


def _object(config: Any) -> Any:
    if isinstance(config, str) and config in custom_objects():
        return custom_objects()[config]
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    if isinstance(config, (list, tuple)):
        return [_object(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    if "class_name" not in config or "config" not in config:
        return {key: _object(value) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if not isinstance(name, str):
        raise ConfigError("a description has no class", got=repr(name)[:200])
    if name == "__keras_tensor__":
        return config  # a model's graph resolves it
    if name in _SPECIAL and name not in custom_objects():
        return _SPECIAL[name](inner or {})
    if name == "__lambda__":
        return function_from(config, "?")
    if name in ("function", "type"):
        return _function(config)
    return _instance(config, name, inner)


def _function(config: Mapping[str, Any]) -> Any:
    inner = config["config"]
    name = inner.get("name") if isinstance(inner, Mapping) else inner
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and key in custom_objects():
            return custom_objects()[key]
    for registry in _registries(config.get("module")):
        if registry.has(name):
            return registry.lookup(str(name))
    raise UnknownNameError(
        f"the function {name!r} is not known here",
        where=f"module {config.get('module')!r} of the file",
        fix=f"pass custom_objects={{{name!r}: ...}}, or decorate it with register_keras_serializable()",
    )


def _registries(module: Any) -> list[Registry]:
    from kgraph import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers
    from kgraph.optimizers import schedules

    known = {
        "layers": layers,
        "losses": losses,
        "metrics": metrics,
        "activations": activations,
        "optimizers": optimizers,
        "schedules": schedules,
        "regularizers": regularizers,
        "initializers": initializers,
        "constraints": constraints,
    }
    parts = str(module).split(".") if module else []
    named = [known[part] for part in reversed(parts) if part in known]
    every: list[Any] = named or list(known.values())
    return [one._REGISTRY for one in every]


def class_of(config: Mapping[str, Any]) -> Any:
    """The class of a description.

    Raises:
        UnknownNameError: it is not known.
    """
    from kgraph import models

    name, module = config["class_name"], config.get("module")
    for key in (config.get("registered_name"), name):
        if isinstance(key, str) and key in custom_objects():
            return custom_objects()[key]
    if module is None or str(module).split(".")[0] in ("keras", "kgraph", "tensorflow", "tf_keras", "builtins"):
        if name in ("Sequential", "Functional", "Model"):
            return {"Sequential": models.Sequential, "Functional": models.Functional, "Model": models.Model}[name]
        for registry in _registries(module):
            if registry.has(name):
                return registry.lookup(name)
        if str(module) == "keras.random" and name == "SeedGenerator":
            from kgraph.random import SeedGenerator

            return SeedGenerator
    where = (config.get("config") or {}).get("name") if isinstance(config.get("config"), Mapping) else None
    raise UnknownNameError(
        f"the class {name!r} is not known here",
        where=f"object {where!r}, module {module!r} of the file" if where else f"module {module!r} of the file",
        needed="classes of files are built-in, or given; nothing is imported because a file names it",
        fix=f"pass custom_objects={{{name!r}: {name}}}, or decorate the class with register_keras_serializable()",
    )


def _instance(config: Mapping[str, Any], name: str, inner: Any) -> Any:
    cls = class_of(config)
    if not inspect.isclass(cls):
        return cls
    if not isinstance(inner, Mapping) and not (name == "Sequential" and isinstance(inner, list)):
        raise ConfigError(f"the configuration of {name} cannot be read", got=repr(inner)[:200], needed="a dict")
    make: Callable[..., Any] | None = getattr(cls, "from_config", None)
    if make is None:
        raise ConfigError(f"class {name} has no from_config()")
    values: Any = fitting(cls, inner) if isinstance(inner, Mapping) else inner
    try:
        made = make(values)
    except KGraphError:
        raise
    except TypeError as error:
        raise ConfigError(
            f"class {name} cannot be made from its configuration",
            got=str(error),
            fix="get_config() must return what __init__ takes, and from_config() turn it back",
        ) from error
    build = config.get("build_config")
    if isinstance(made, Layer) and not made.built and isinstance(build, Mapping) and _wants_build(made, build):
        made.build_from_config(dict(build))
    compiled = config.get("compile_config")
    if compiled and hasattr(made, "compile_from_config"):
        made.compile_from_config(compiled)
    return made


def _wants_build(layer: Layer, build: Mapping[str, Any]) -> bool:
    """Whether building now tells more than the call that follows would: for models that are made of code."""
    from kgraph.models import Model

    return isinstance(layer, Model) and build.get("input_shape") is not None
