"""Small functions of `keras.utils.generic_utils` and `layer_utils` of Keras 2, and of the graph of a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from kgraph.errors import InvalidArgumentError

__all__ = [
    "ask_to_proceed_with_overwrite",
    "count_params",
    "get_source_inputs",
    "has_arg",
    "is_all_none",
    "print_summary",
    "slice_arrays",
    "to_list",
    "unpack_singleton",
]


def to_list(x: Any, allow_tuple: bool = False) -> list[Any]:
    """A list as it is, anything else in a list; a tuple becomes a list with `allow_tuple`."""
    if isinstance(x, list):
        return x
    return list(x) if allow_tuple and isinstance(x, tuple) else [x]


def unpack_singleton(x: Any) -> Any:
    """The one entry of a list or tuple of length 1, else `x`."""
    return x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x


def is_all_none(x: Any) -> bool:
    """Whether `x` is None, or a list or tuple of Nones."""
    return all(one is None for one in (x if isinstance(x, (list, tuple)) else [x]))


def has_arg(fn: Callable[..., Any], name: str, accept_all: bool = False) -> bool:
    """Whether a function can be called with an argument of this name; `accept_all` counts `**kwargs` too."""
    parameters = inspect.signature(fn).parameters
    found = parameters.get(name)
    if found is not None:
        return found.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return accept_all and any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def slice_arrays(arrays: Any, start: Any = None, stop: int | None = None) -> Any:
    """Rows of an array, or of each in a list (Nones stay): `start` to `stop`, or the rows that `start` lists."""
    if arrays is None:
        return [None]
    if isinstance(start, list) and stop is not None:
        raise InvalidArgumentError("slice_arrays: stop must be None when start is a list")
    rows = start if hasattr(start, "__len__") else slice(start, stop)
    if isinstance(arrays, list):
        return [None if array is None else array[rows] for array in arrays]
    return arrays[rows]


def count_params(weights: Sequence[Any]) -> int:
    """The number of elements of some weights, each counted once."""
    distinct = {id(weight): weight for weight in weights}
    total = 0
    for weight in distinct.values():
        size = 1
        for length in weight.shape:
            size *= int(length)
        total += size
    return total


def print_summary(model: Any, line_length: int | None = None, positions: Any = None, print_fn: Any = None) -> None:
    """`model.summary()` (Keras 2)."""
    model.summary(line_length=line_length, positions=positions, print_fn=print_fn)


def ask_to_proceed_with_overwrite(filepath: Any) -> bool:
    """Ask at the terminal whether a file may be replaced."""
    answer = input(f"{filepath} exists; replace it? [y/n] ").strip().lower()
    while answer not in ("y", "n"):
        answer = input('Please type "y" (replace) or "n" (stop): ').strip().lower()
    return answer == "y"


def get_source_inputs(tensor: Any, layer: Any = None, node_index: int | None = None) -> list[Any]:
    """The input tensors that a symbolic tensor is computed from, each once, in order.

    Args:
        tensor: of a functional model.
        layer: accepted as in Keras 2; the tensor knows it.
        node_index: likewise.
    """
    history = getattr(tensor, "_keras_history", None)
    if history is None or not history.operation._inbound_nodes:
        return [tensor]
    found: dict[int, Any] = {}
    waiting, seen = [tensor], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        history = current._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if node.is_input:
            found[id(current)] = current
            continue
        waiting.extend(reversed(node.input_tensors))
    return list(found.values())
