"""`keras.tree`: nested lists, tuples and dicts, flattened, mapped and packed.

Dicts are walked in sorted key order, `OrderedDict` in its own.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kgraph.errors import CallError, InvalidArgumentError

__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]


class MAP_TO_NONE:
    """What the function of `traverse` returns to put None in the place of a part."""


def is_nested(structure: Any) -> bool:
    """Whether this is a list, tuple, deque or dict rather than a leaf."""
    return isinstance(structure, (list, tuple, dict, deque))


def _children(structure: Any) -> list[tuple[Any, Any]]:
    """(key or position, part) of a structure, in order."""
    if not isinstance(structure, dict):
        return list(enumerate(structure))
    if isinstance(structure, OrderedDict):
        return list(structure.items())
    try:
        return [(key, structure[key]) for key in sorted(structure)]
    except TypeError:
        raise CallError("the keys of a dict cannot be sorted", got=repr(list(structure)[:4])) from None


def _rebuilt(structure: Any, parts: Sequence[Any]) -> Any:
    """A structure like this one with other parts, which come in the order of `_children`."""
    if isinstance(structure, dict):
        by_key = dict(zip((key for key, _ in _children(structure)), parts))
        pairs = [(key, by_key[key]) for key in structure]
        if isinstance(structure, defaultdict):
            return defaultdict(structure.default_factory, pairs)
        return type(structure)(pairs)
    if hasattr(structure, "_fields"):  # a named tuple
        return type(structure)(*parts)
    return type(structure)(parts)


def _check_callable(func: Any) -> None:
    if not callable(func):
        raise CallError("the function of a tree cannot be called", got=type(func).__name__)


def flatten(structure: Any) -> list[Any]:
    """The leaves in order; a leaf gives a list of one.

    Example:
        >>> flatten({"b": 1, "a": [2, 3]})
        [2, 3, 1]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) of each leaf in order; a path has the keys and positions that lead there."""

    def walk(part: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        if not is_nested(part):
            yield path, part
            return
        for key, below in _children(part):
            yield from walk(below, (*path, key))

    return list(walk(structure, ()))


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Call `func` on every part, depth first; what it returns, unless None, stands for the part.

    Args:
        func: gets each part; `MAP_TO_NONE` as a result stands for None.
        structure: any nesting.
        top_down: a part comes before those in it, and a result of its own leaves these out.
    """
    _check_callable(func)
    if top_down:
        found = func(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
    walked = structure
    if is_nested(structure):
        walked = _rebuilt(structure, [traverse(func, part, top_down) for _, part in _children(structure)])
    if top_down:
        return walked
    found = func(walked)
    return walked if found is None else None if found is MAP_TO_NONE else found


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """The first structure with every leaf replaced by `func` of the leaves at its place in all of them.

    Raises:
        InvalidArgumentError: the structures differ.
        CallError: there is no structure, or `func` cannot be called.
    """
    _check_callable(func)
    if not structures:
        raise CallError("map_structure needs a structure")
    first = structures[0]
    for other in structures[1:]:
        assert_same_structure(first, other)
    if is_nested(first):
        rows = zip(*([part for _, part in _children(one)] for one in structures))
        return _rebuilt(first, [map_structure(func, *row, none_is_leaf=none_is_leaf) for row in rows])
    if not none_is_leaf and all(one is None for one in structures):
        return None
    return func(*structures)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """As `map_structure`, with the leaves of `shallow_structure`; what is nested deeper goes to `func` whole.

    Raises:
        InvalidArgumentError: a structure is not nested as deep as `shallow_structure`.
        CallError: there is no structure, or `func` cannot be called.
    """
    _check_callable(func)
    if not structures:
        raise CallError("map_structure_up_to needs a structure")
    if not is_nested(shallow_structure):
        return func(*structures)
    keys = [key for key, _ in _children(shallow_structure)]
    for one in structures:
        if not is_nested(one) or [key for key, _ in _children(one)] != keys:
            raise _differ(shallow_structure, one)
    rows = zip(*([part for _, part in _children(one)] for one in structures))
    parts = [map_structure_up_to(part, func, *row) for (_, part), row in zip(_children(shallow_structure), rows)]
    return _rebuilt(shallow_structure, parts)


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Check that two structures are nested alike, in collections of the same types; kinds of dict count as one.

    Raises:
        InvalidArgumentError: they are not.
    """
    if is_nested(a) != is_nested(b):
        raise _differ(a, b)
    if not is_nested(a):
        return
    same = isinstance(b, dict) if isinstance(a, dict) else type(a) is type(b)
    pairs, others = _children(a), dict(_children(b)) if same else {}
    if not same or len(pairs) != len(others) or any(key not in others for key, _ in pairs):
        raise _differ(a, b)
    for key, part in pairs:
        assert_same_structure(part, others[key])


def assert_same_paths(a: Any, b: Any) -> None:
    """Check that two structures have leaves at the same places; the types of the collections do not count.

    Raises:
        InvalidArgumentError: they do not.
    """
    if {path for path, _ in flatten_with_path(a)} != {path for path, _ in flatten_with_path(b)}:
        raise _differ(a, b)


def _differ(a: Any, b: Any) -> InvalidArgumentError:
    return InvalidArgumentError("two structures are not nested alike", got=_short(b), needed=f"as {_short(a)}")


def _short(structure: Any) -> str:
    text = repr(structure)
    return text if len(text) <= 100 else text[:99] + "…"


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """Put leaves (in the order of `flatten`) into the form of `structure`.

    Raises:
        InvalidArgumentError: there are too few or too many.
        CallError: they are no sequence.
    """
    if not hasattr(flat_sequence, "__iter__"):
        raise CallError("pack_sequence_as takes a sequence of leaves", got=type(flat_sequence).__name__)
    leaves, needed = list(flat_sequence), len(flatten(structure))
    if len(leaves) != needed:
        raise InvalidArgumentError(f"{len(leaves)} leaves for a structure with {needed}", got=_short(structure))
    source = iter(leaves)
    return map_structure(lambda _: next(source), structure)


def lists_to_tuples(structure: Any) -> Any:
    """The same structure with tuples for lists."""

    def tuples(part: Any) -> Any:
        return tuple(part) if isinstance(part, list) else None

    return traverse(tuples, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """As `map_structure`, with lists and tuples of sizes (whole numbers or None) as leaves."""
    _check_callable(func)
    if isinstance(structure, (list, tuple)) and all(size is None or isinstance(size, int) for size in structure):
        return func(tuple(structure))
    if isinstance(structure, (list, tuple, Mapping)):
        parts = [map_shape_structure(func, part) for _, part in _children(structure)]
        return _rebuilt(structure, parts)
    raise InvalidArgumentError("no structure of shapes", got=_short(structure))
