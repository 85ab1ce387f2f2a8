"""How a layer's `call` and `build` take their arguments, read once per class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kgraph.core import tree
from kgraph.core.tensors import SymbolicTensor, TracedTensor

__all__ = ["CallSignature", "build_arguments", "signature_of"]


class CallSignature:
    """Parameter names of a `call` method (without `self`)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self.names = [
            p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        self.positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.has_varkw = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.takes_training = "training" in self.names
        self.first = self.positional[0] if self.positional else ""

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Given arguments by name; positional ones beyond the named keep the name `*args`."""
        bound = dict(zip(self.positional, args))
        if len(args) > len(self.positional):
            bound["*args"] = args[len(self.positional) :]
        bound.update(kwargs)
        return bound


@lru_cache(maxsize=4096)
def signature_of(function: Callable[..., Any]) -> CallSignature:
    """The (cached) signature of an unbound `call`."""
    return CallSignature(function)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, (TracedTensor, SymbolicTensor))


def tensor_arguments(bound: dict[str, Any]) -> dict[str, Any]:
    """The arguments that hold at least one tensor."""
    return {name: value for name, value in bound.items() if any(_is_tensor(leaf) for leaf in tree.flatten(value))}


def _shape_structure(value: Any) -> Any:
    return tree.map_structure(lambda leaf: leaf.shape if _is_tensor(leaf) else None, value)


def build_arguments(build: Callable[..., Any], bound: dict[str, Any]) -> dict[str, Any] | tuple[Any, ...]:
    """What `build` is called with: `<argument>_shape` by name where it asks for several, else the first argument's
    shape.
    """
    parameters = [p for p in inspect.signature(build).parameters.values() if p.kind is not p.VAR_KEYWORD]
    shapes = {f"{name}_shape": _shape_structure(value) for name, value in tensor_arguments(bound).items()}
    named = [p.name for p in parameters if p.name in shapes]
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    if named and (len(named) > 1 or len(required) <= 1) and all(p.name in shapes for p in required):
        return {name: shapes[name] for name in named}
    return (next(iter(shapes.values()), None),)
