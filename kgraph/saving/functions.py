"""Functions in files: names for named ones, code only for lambdas, and code is read only with `safe_mode=False`."""

from __future__ import annotations

import base64
import binascii
import marshal
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kgraph.errors import FileError, InvalidArgumentError, UnknownNameError
from kgraph.registry import custom_objects

__all__ = ["dump_lambda", "function_from", "in_safe_mode", "safe_mode_scope"]

_SAFE: ContextVar[bool] = ContextVar("kgraph_safe_mode", default=True)


class UnsafeError(InvalidArgumentError):
    """A file holds code, and the caller did not allow it."""


def in_safe_mode() -> bool:
    """Whether code in files is refused."""
    return _SAFE.get()


@contextmanager
def safe_mode_scope(safe: bool) -> Iterator[None]:
    """Within it, code in files is refused (True) or read (False)."""
    token = _SAFE.set(bool(safe))
    try:
        yield
    finally:
        _SAFE.reset(token)


def dump_lambda(function: Any) -> dict[str, Any]:
    """The description of a lambda: its byte code, as Keras 3 keeps it."""
    code = base64.encodebytes(marshal.dumps(function.__code__)).decode("ascii")
    closure = None
    if function.__closure__:
        closure = [cell.cell_contents for cell in function.__closure__]
        if not all(isinstance(value, (bool, int, float, str, type(None))) for value in closure):
            raise InvalidArgumentError(
                "a lambda that uses objects around it cannot be saved",
                fix="use a named function, and pass it in custom_objects= when the file is read",
            )
    defaults = None if function.__defaults__ is None else list(function.__defaults__)
    return {"class_name": "__lambda__", "config": {"code": code, "defaults": defaults, "closure": closure}}


def function_from(config: Any, layer: str, argument: str = "function") -> Any:
    """The function (or plain value) that a configuration describes.

    Args:
        config: a function, a name, a description of Keras 3, or the list of Keras 2.
        layer: name of the layer, for messages.
        argument: which setting of it this is.

    Raises:
        UnsafeError: it is code, and `safe_mode` is on.
        UnknownNameError: the name is not among the custom objects.
    """
    if config is None or callable(config):
        return config
    if _is_code(config, argument):
        return _from_code(config, layer, argument)
    if isinstance(config, Mapping) and config.get("class_name") == "function":
        registered = config.get("registered_name")
        if isinstance(registered, str) and registered in custom_objects():
            return custom_objects()[registered]
        inner = config.get("config")
        name = inner.get("name") if isinstance(inner, Mapping) else inner
    elif isinstance(config, str):
        name = config
    else:
        return config  # a shape
    if argument == "output_shape" and not isinstance(name, str):
        return config
    if isinstance(name, str) and name in custom_objects():
        return custom_objects()[name]
    from kgraph import activations

    known = activations._REGISTRY
    if isinstance(name, str) and name in known.names():
        return known.lookup(name)
    raise UnknownNameError(
        f"the file names a function {name!r} that is not known here",
        where=f"{argument} of layer {layer!r}",
        fix=f"pass custom_objects={{{name!r}: {name}}}",
    )


def _is_code(config: Any, argument: str) -> bool:
    if isinstance(config, Mapping):
        return config.get("class_name") == "__lambda__"
    if argument == "output_shape":
        return False
    return isinstance(config, (list, tuple)) and len(config) == 3 and isinstance(config[0], str)


def _from_code(config: Any, layer: str, argument: str) -> Any:
    if in_safe_mode():
        raise UnsafeError(
            f"the file holds Python code: {argument} of layer {layer!r} is a lambda",
            needed="reading a file never runs code from it",
            fix="if you trust where the file comes from, pass safe_mode=False; or make the model by its script and "
            "load its weights",
        )
    if isinstance(config, Mapping):
        inner: Any = config.get("config") or {}
        inner = inner.get("value", inner)  # within functions, Keras wraps it once more
        if isinstance(inner, Mapping):
            inner = [inner.get(key) for key in ("code", "defaults", "closure")]
    else:
        inner = list(config)
    text, defaults, closure = (list(inner) + [None, None])[:3]
    try:
        code = marshal.loads(base64.b64decode(text.encode("ascii")))
    except (ValueError, TypeError, EOFError, AttributeError, binascii.Error) as error:
        raise FileError(
            f"the code of layer {layer!r} cannot be read", got=str(error), needed="code saved by this version of Python"
        ) from None
    if not isinstance(code, types.CodeType):
        raise FileError(f"the code of layer {layer!r} is no function")
    cells = None if not closure else tuple(types.CellType(value) for value in closure)
    return types.FunctionType(code, _names_for_code(), "<lambda>", tuple(defaults) if defaults else None, cells)


def _names_for_code() -> dict[str, Any]:
    """What code in files may name: the usual names of scripts."""
    import numpy as np

    import kgraph
    from kgraph import backend, layers, ops

    return {"np": np, "numpy": np, "keras": kgraph, "kgraph": kgraph, "K": backend, "ops": ops, "layers": layers}
