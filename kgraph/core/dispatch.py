"""One body, three ways to run it: on traced tensors it emits, on symbolic tensors it is recorded, on arrays it
computes.

`@operation` makes a function of `kgraph.ops` out of a body written for traced tensors.  Layers use the same pieces.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from kgraph.core import tree
from kgraph.core.dtypes import canonical_array
from kgraph.core.node import Node
from kgraph.core.operation import Operation
from kgraph.core.session import unique_name
from kgraph.core.tensors import SymbolicTensor, TracedTensor, merge_symbols
from kgraph.core.trace import Trace, current_trace, located, run_graph_of
from kgraph.core.variable import Variable
from kgraph.errors import KGraphError
from kgraph.ir.graph import Graph

__all__ = ["OpOperation", "SameSize", "has_symbolic", "operation", "run_eagerly", "trace_symbolically"]

P = ParamSpec("P")
R = TypeVar("R")
Body = Callable[..., Any]

# Arguments that are settings, not tensors, even when they are given as NumPy arrays.
_SETTINGS = frozenset(
    "axis axes shape newshape target_shape dtype perm repeats shift sections num_classes indices_or_sections pad_width "
    "strides pool_size padding dilation_rate dilations size depth subscripts name data_format keepdims".split()
)


class SameSize(Exception):
    """Two unknown sizes must be one; whoever traces on symbolic tensors merges them and traces again."""

    def __init__(self, first: str, second: str) -> None:
        self.first, self.second = first, second
        super().__init__(first, second)


class OpOperation(Operation):
    """The recorded call of a function of `kgraph.ops`."""

    def __init__(self, function: Body, title: str) -> None:
        super().__init__(unique_name(title))
        self.function = function
        self.title = title

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function; on symbolic tensors the call is recorded as a new operation."""
        if current_trace() is not None:
            return self.function(*args, **kwargs)
        if has_symbolic(args) or has_symbolic(kwargs):
            return record(self.function, self.title, args, kwargs)
        return run_eagerly(self.function, self.title, args, kwargs)


def has_symbolic(structure: Any) -> bool:
    """Whether a symbolic tensor is among the leaves."""
    if isinstance(structure, SymbolicTensor):
        return True
    if isinstance(structure, dict):
        return any(has_symbolic(item) for item in structure.values())
    if isinstance(structure, (list, tuple)):
        return any(has_symbolic(item) for item in structure)
    return False


def operation(body: Callable[P, R]) -> Callable[P, R]:
    """Make a public op of a body written on traced tensors.  The body turns its arguments into tensors itself."""
    title = body.__name__
    names = list(inspect.signature(body).parameters)
    static = frozenset(i for i, name in enumerate(names) if name in _SETTINGS)

    @wraps(body)
    def op(*args: P.args, **kwargs: P.kwargs) -> R:
        if current_trace() is not None:
            return body(*args, **kwargs)
        if has_symbolic(args) or has_symbolic(kwargs):
            outputs: R = record(body, title, args, kwargs)
        else:
            outputs = run_eagerly(body, title, args, kwargs, static)
        return outputs

    return op


def record(body: Body, title: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Infer the outputs of `body` on symbolic tensors and record the call as a node."""
    outputs = trace_symbolically(body, args, kwargs)
    if not has_symbolic(outputs):
        return outputs
    Node(OpOperation(body, title), args, kwargs, outputs)
    return outputs


def trace_symbolically(body: Body, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None = None) -> Any:
    """What `body` would return: its outputs as new symbolic tensors, found by tracing it into a graph that is thrown
    away.
    """
    while True:
        trace = Trace(Graph("shapes"), training)
        trace.scratch = True
        entered: dict[int, TracedTensor] = {}

        def enter(leaf: Any, trace: Trace = trace, entered: dict[int, TracedTensor] = entered) -> Any:
            if not isinstance(leaf, SymbolicTensor):
                return leaf
            if id(leaf) not in entered:
                entered[id(leaf)] = trace.input(leaf.name, leaf.dims, leaf.dtype)
                if leaf._keras_mask is not None:
                    entered[id(leaf)]._keras_mask = enter(leaf._keras_mask)
            return entered[id(leaf)]

        try:
            with trace:
                outputs = body(*tree.map_structure(enter, args), **tree.map_structure(enter, kwargs))
                outputs = tree.map_structure(_as_traced, outputs)
            return tree.map_structure(_as_symbolic, outputs)
        except SameSize as same:
            merge_symbols(same.first, same.second)
        except KGraphError as error:
            # Not the inner location alone: the call that the user wrote.
            raise located(error, None) from None


def _as_traced(leaf: Any) -> Any:
    if isinstance(leaf, (np.ndarray, np.generic, Variable)):
        from kgraph.ops.convert import as_tensor

        return as_tensor(leaf)
    return leaf


def _as_symbolic(leaf: Any) -> Any:
    if not isinstance(leaf, TracedTensor):
        return leaf
    tensor = SymbolicTensor(leaf.dims, leaf.dtype)
    if leaf._keras_mask is not None:
        tensor._keras_mask = SymbolicTensor(leaf._keras_mask.dims, "bool")
        tensor._keras_mask._mask_of = tensor
    return tensor


def run_eagerly(
    body: Body,
    title: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    static: frozenset[int] = frozenset(),
    training: bool | None = None,
    convert: Callable[[Any], Any] = canonical_array,
) -> Any:
    """Trace `body` with every array as an input, run the graph in the interpreter, return NumPy arrays."""
    trace = Trace(Graph(title), training)
    feeds: dict[str, Any] = {}

    def enter(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray) and not (hasattr(leaf, "__array__") and _is_foreign_array(leaf)):
            return leaf
        array = convert(leaf)
        name = f"x{len(feeds)}"
        feeds[name] = array
        return trace.input(name, array.shape, array.dtype.name)

    def enter_argument(position: int, argument: Any) -> Any:
        return argument if position in static else tree.map_structure(enter, argument)

    with trace:
        outputs = body(
            *(enter_argument(i, argument) for i, argument in enumerate(args)),
            **{k: v if k in _SETTINGS else tree.map_structure(enter, v) for k, v in kwargs.items()},
        )
        outputs = tree.map_structure(_as_traced, outputs)
    tensors = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, TracedTensor)]
    arrays = iter(run_graph_of(trace, feeds, tensors))
    return tree.map_structure(lambda leaf: next(arrays) if isinstance(leaf, TracedTensor) else leaf, outputs)


def _is_foreign_array(leaf: Any) -> bool:
    """Arrays of other libraries and data frames; our own tensors and plain NumPy scalars are none."""
    return not isinstance(leaf, (np.generic, Variable, SymbolicTensor, TracedTensor, type))
