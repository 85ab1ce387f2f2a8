"""`Builder`: the only way nodes are made.  Infers types, checks attributes, stamps locations.

b = Builder(graph)
y = b.op("add", x, 1.0)          # numbers become literals of the other operand's element type
y = b.add(x, 1.0)                # the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from kgraph.errors import DtypeError, InvalidArgumentError, KGraphError
from kgraph.ir.dims import Dim
from kgraph.ir.graph import NOWHERE, Graph, Location, Node, Value, literal
from kgraph.ir.opdef import OpDef, get_op
from kgraph.ir.types import TensorType

__all__ = ["Builder", "make_node", "normalise_attrs"]

Operand = Value | float | int | bool


class Builder:
    """Appends nodes to `graph` (or to a list given by `into`, for rewrites)."""

    def __init__(self, graph: Graph, into: list[Node] | None = None) -> None:
        self.graph = graph
        self.nodes = graph.nodes if into is None else into
        self.loc: Location = NOWHERE

    @contextmanager
    def location(self, loc: Location) -> Iterator[None]:
        """Give the nodes made inside the `with` block this location."""
        saved, self.loc = self.loc, loc
        try:
            yield
        finally:
            self.loc = saved

    def input(self, name: str, type: TensorType) -> Value:
        """Add a graph input."""
        return self.graph.add_input(name, type)

    def param(self, name: str, type: TensorType) -> Value:
        """Add a graph param."""
        return self.graph.add_param(name, type)

    def node(
        self, name: str, operands: Sequence[Operand], attrs: Mapping[str, Any], regions: Sequence[Graph] = ()
    ) -> Node:
        """Append one node and return it.

        Raises:
            ShapeError, DtypeError: the operands do not fit the op; `where` names the location.
        """
        op = get_op(name)
        try:
            node = make_node(op, _as_values(op, operands), attrs, self.loc, regions)
        except KGraphError as error:
            raise error.located(str(self.loc)) from None
        self.nodes.append(node)
        return node

    def op(self, name: str, *operands: Operand, **attrs: Any) -> Any:
        """Append one node; its value, or the tuple of its values when the op has several results."""
        node = self.node(name, operands, attrs)
        return node.results[0] if len(node.results) == 1 else node.results

    def __getattr__(self, name: str) -> Callable[..., Any]:
        get_op(name)
        return lambda *operands, **attrs: self.op(name, *operands, **attrs)


def make_node(
    op: OpDef,
    operands: Sequence[Value],
    attrs: Mapping[str, Any],
    loc: Location = NOWHERE,
    regions: Sequence[Graph] = (),
) -> Node:
    """A checked node that belongs to no graph yet."""
    full = normalise_attrs(op, attrs)
    types = [value.type for value in operands]
    if op.infer_regions is not None:
        results = op.infer_regions(types, full, regions)
    else:
        results = op.infer(types, full)
    return Node(op, operands, full, results, loc, regions)


def normalise_attrs(op: OpDef, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in defaults, freeze lists to tuples.

    Raises:
        InvalidArgumentError: an attribute is unknown or missing.
    """
    for name in attrs:
        if name not in op.attrs:
            raise InvalidArgumentError(
                f"op {op.name} has no attribute {name!r}", needed="one of " + (", ".join(sorted(op.attrs)) or "none")
            )
    full: dict[str, Any] = {}
    for name in sorted(op.attrs):
        value = attrs.get(name, op.attrs[name])
        if value is ...:
            raise InvalidArgumentError(f"op {op.name} needs the attribute {name!r}")
        full[name] = _freeze(value)
    return full


def _freeze(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item) for item in value)
    if isinstance(value, np.ndarray):
        frozen = np.array(value)  # a copy: the caller may go on writing to his
        frozen.flags.writeable = False
        return frozen
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    return value


def _as_values(op: OpDef, operands: Sequence[Operand]) -> list[Value]:
    """Turn Python numbers into literals of the element type that the tensor operands have."""
    if all(isinstance(operand, Value) for operand in operands):
        return cast("list[Value]", list(operands))
    dtype = ""
    for operand in operands:
        # `select(cond, x, 0.0)`: the condition does not fix the type of the numbers.
        if isinstance(operand, Value) and not (op.name == "select" and operand is operands[0]):
            dtype = operand.dtype
            break
    values: list[Value] = []
    for operand in operands:
        if isinstance(operand, Value):
            values.append(operand)
        elif isinstance(operand, Dim):
            raise DtypeError(f"{op.name}: a size cannot be an operand", fix="use dim_size")
        else:
            values.append(literal(operand, dtype or _dtype_of_number(operand)))
    return values


def _dtype_of_number(number: float | int | bool) -> str:
    if isinstance(number, (bool, np.bool_)):
        return "bool"
    return "i32" if isinstance(number, (int, np.integer)) else "f32"
