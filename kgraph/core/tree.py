"""Nested structures of lists, tuples and dicts: flatten, map, pack.

Dicts are walked in sorted key order, as Keras does, so that one structure has one order of leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["flatten", "is_nested", "map_structure", "pack_like"]


def is_nested(structure: Any) -> bool:
    """Whether this is a list, tuple or dict rather than a leaf."""
    return isinstance(structure, (list, tuple, dict))


def _keys(structure: Mapping[Any, Any]) -> list[Any]:
    try:
        return sorted(structure)
    except TypeError:  # keys of several types
        return list(structure)


def _rebuild(structure: Sequence[Any], items: list[Any]) -> Any:
    if hasattr(structure, "_fields"):  # a named tuple
        return type(structure)(*items)
    return tuple(items) if isinstance(structure, tuple) else items


def flatten(structure: Any) -> list[Any]:
    """The leaves in order; a leaf gives a list of one."""
    if isinstance(structure, dict):
        return [leaf for key in _keys(structure) for leaf in flatten(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    return [structure]


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with every leaf replaced by `function(leaf)`."""
    if isinstance(structure, dict):
        mapped = {key: map_structure(function, structure[key]) for key in _keys(structure)}
        return {key: mapped[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        return _rebuild(structure, [map_structure(function, item) for item in structure])
    return function(structure)


def pack_like(structure: Any, leaves: Sequence[Any]) -> Any:
    """Put `leaves` (in the order of `flatten`) into the form of `structure`."""
    source: Iterator[Any] = iter(leaves)
    return map_structure(lambda _: next(source), structure)
