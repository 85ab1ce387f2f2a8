"""The IR itself: `Value`, `Node`, `Graph`, and where they came from.

A graph is an ordered list of nodes in single static assignment form.  It is pure: what a program keeps between runs
(weights, optimizer slots, metric sums) enters as `params` and leaves as `updates`, pairs (param, new value) that the
runtime writes back after every read of the old value.  Uses are kept exact by `Node` and `Graph` methods; nothing
else writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph.errors import InternalError
from kgraph.ir.dims import DimLike, Shape
from kgraph.ir.types import TensorType

if TYPE_CHECKING:
    from kgraph.ir.opdef import OpDef

__all__ = ["Graph", "Literal", "Location", "Node", "Value", "literal"]

Scalar = float | int | bool


@dataclass(frozen=True)
class Location:
    """Where an op comes from: the user's file and line, and the path of the layer."""

    file: str = ""
    line: int = 0
    layer: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else ""
        return ", ".join(part for part in (place, self.layer) if part)


NOWHERE = Location()


class Value:
    """One tensor: a graph input or param, a result of a node, or a region argument."""

    __slots__ = ("index", "name", "producer", "type", "uses")

    def __init__(self, type: TensorType, name: str = "", producer: Node | None = None, index: int = 0) -> None:
        self.type = type
        self.name = name
        self.producer = producer
        self.index = index
        self.uses: dict[Node, int] = {}  # reader -> how many of its operands; ordered, O(1) to change

    @property
    def dtype(self) -> str:
        """Element type, e.g. `f32`."""
        return self.type.dtype

    @property
    def shape(self) -> Shape:
        """Shape with symbolic sizes."""
        return self.type.shape

    @property
    def literal(self) -> Scalar | None:
        """The Python number of a literal operand; None for every other value."""
        return None

    def add_use(self, node: Node) -> None:
        """Note that an operand of `node` is this value."""
        self.uses[node] = self.uses.get(node, 0) + 1

    def drop_use(self, node: Node) -> None:
        """Undo one `add_use`."""
        if self.uses[node] == 1:
            del self.uses[node]
        else:
            self.uses[node] -= 1

    def __repr__(self) -> str:
        return f"<%{self.name or '?'}: {self.type}>"


class Literal(Value):
    """A scalar constant written as an operand, e.g. the `0.5` in `mul(%1, 0.5)`.  Belongs to no graph."""

    __slots__ = ("number",)

    def __init__(self, number: Scalar, dtype: str) -> None:
        super().__init__(TensorType(dtype, ()))
        self.number = number

    @property
    def literal(self) -> Scalar | None:
        """The Python number."""
        return self.number

    def __repr__(self) -> str:
        return f"<{self.number}: {self.dtype}>"


def literal(number: Scalar, dtype: str) -> Literal:
    """A literal operand of the given element type; the number is rounded to that type."""
    if dtype == "bool":
        return Literal(bool(number), dtype)
    if dtype == "f32":
        return Literal(_round_f32(float(number)), dtype)
    if dtype == "f64":
        return Literal(float(number), dtype)
    if dtype == "f16":
        return Literal(float(np.float16(number)), dtype)
    return Literal(int(number), dtype)


def _round_f32(number: float) -> float:
    """The nearest f32, spelled with the fewest digits that give it back, as it prints."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(number)))


class Node:
    """One op application.  `results` are the values it defines; `regions` are nested graphs (loops, kernels)."""

    __slots__ = ("attrs", "loc", "op", "operands", "regions", "results")

    def __init__(
        self,
        op: OpDef,
        operands: Sequence[Value],
        attrs: Mapping[str, Any],
        result_types: Sequence[TensorType],
        loc: Location = NOWHERE,
        regions: Sequence[Graph] = (),
    ) -> None:
        self.op = op
        self.operands: tuple[Value, ...] = tuple(operands)
        self.attrs: dict[str, Any] = dict(attrs)
        self.regions: tuple[Graph, ...] = tuple(regions)
        self.loc = loc
        self.results: tuple[Value, ...] = tuple(Value(t, "", self, i) for i, t in enumerate(result_types))
        for value in self.operands:
            value.add_use(self)

    @property
    def result(self) -> Value:
        """The only result.

        Raises:
            InternalError: the node has several results.
        """
        if len(self.results) != 1:
            raise InternalError(f"{self.op.name} has {len(self.results)} results where one was expected")
        return self.results[0]

    def set_operand(self, position: int, value: Value) -> None:
        """Replace one operand, keeping uses exact."""
        self.operands[position].drop_use(self)
        self.operands = (*self.operands[:position], value, *self.operands[position + 1 :])
        value.add_use(self)

    def drop_uses(self) -> None:
        """Forget the operands' uses by this node (before the node is discarded)."""
        for value in self.operands:
            value.drop_use(self)
        self.operands = ()

    def __repr__(self) -> str:
        return f"<{self.op.name} {', '.join(repr(v) for v in self.results)}>"


class Graph:
    """An ordered SSA program.

    Attributes:
        name: identifier after `@`.
        symbols: size symbols with their least value, e.g. `{"B": 1}`.
        inputs: values fed on every run.
        params: values kept between runs.
        nodes: program order; an operand is defined before its use.
        outputs: values returned.
        updates: pairs (param, new value).
        attrs: header facts of later stages (target, arena size).
    """

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.symbols: dict[str, int] = {}
        self.inputs: list[Value] = []
        self.params: list[Value] = []
        self.nodes: list[Node] = []
        self.outputs: list[Value] = []
        self.updates: list[tuple[Value, Value]] = []
        self.attrs: dict[str, Any] = {}

    # -- building -------------------------------------------------------------------------------------------------
    def add_input(self, name: str, type: TensorType) -> Value:
        """Append an input."""
        value = Value(type, name)
        self.inputs.append(value)
        self.declare_symbols(type.shape)
        return value

    def add_param(self, name: str, type: TensorType) -> Value:
        """Append a param."""
        value = Value(type, name)
        self.params.append(value)
        self.declare_symbols(type.shape)
        return value

    def declare_symbols(self, shape: Iterable[DimLike]) -> None:
        """Make every symbol of `shape` known, with least value 1."""
        for dim in shape:
            if not isinstance(dim, int):
                for name in dim.symbols:
                    self.symbols.setdefault(name, 1)

    # -- reading --------------------------------------------------------------------------------------------------
    def results(self) -> Iterator[Value]:
        """All values defined by nodes, in program order."""
        for node in self.nodes:
            yield from node.results

    def required(self) -> list[Value]:
        """The values that must be computed: outputs, then updates."""
        return [*self.outputs, *(value for _, value in self.updates)]

    def param(self, name: str) -> Value:
        """The param called `name`.

        Raises:
            KeyError: there is none.
        """
        for value in self.params:
            if value.name == name:
                return value
        raise KeyError(name)

    # -- rewriting ------------------------------------------------------------------------------------------------
    def replace(self, old: Value, new: Value) -> None:
        """Use `new` wherever `old` was used, also as output or update."""
        if old is new:
            return
        for node in list(old.uses):
            for position, operand in enumerate(node.operands):
                if operand is old:
                    node.set_operand(position, new)
        self.outputs = [new if value is old else value for value in self.outputs]
        self.updates = [(param, new if value is old else value) for param, value in self.updates]

    def remove_dead(self) -> int:
        """Drop nodes whose results nobody reads; returns how many.  Linear in the number of nodes."""
        needed = {id(value) for value in self.required()}
        kept: list[Node] = []
        dropped = 0
        for node in reversed(self.nodes):
            if any(id(value) in needed for value in node.results):
                needed.update(id(value) for value in node.operands)
                kept.append(node)
            else:
                node.drop_uses()
                dropped += 1
        kept.reverse()
        self.nodes[:] = kept  # in place: builders hold this list
        return dropped

    def __str__(self) -> str:
        from kgraph.ir.printer import print_graph

        return print_graph(self)

    def __repr__(self) -> str:
        return f"<Graph @{self.name}: {len(self.nodes)} nodes>"

    def copy(self, name: str | None = None) -> Graph:
        """A deep copy; inputs, params and values are new objects with the same names and locations."""
        return clone_graph(self, {}, name or self.name)


def clone_graph(graph: Graph, mapping: dict[Value, Value], name: str) -> Graph:
    """Copy `graph`; `mapping` receives old value -> new value."""
    new = Graph(name)
    new.symbols = dict(graph.symbols)
    new.attrs = dict(graph.attrs)
    for value in graph.inputs:
        mapping[value] = new.add_input(value.name, value.type)
    for value in graph.params:
        mapping[value] = new.add_param(value.name, value.type)
    for node in graph.nodes:
        new.nodes.append(clone_node(node, mapping))
    new.outputs = [mapping.get(value, value) for value in graph.outputs]
    new.updates = [(mapping[param], mapping.get(value, value)) for param, value in graph.updates]
    return new


def clone_node(node: Node, mapping: dict[Value, Value]) -> Node:
    """Copy one node with operands taken from `mapping` (literals are shared); extends `mapping` by its results."""
    regions = [clone_graph(region, {}, region.name) for region in node.regions]
    operands = [mapping.get(value, value) for value in node.operands]
    copy = Node(node.op, operands, node.attrs, [value.type for value in node.results], node.loc, regions)
    for old, new in zip(node.results, copy.results, strict=True):
        new.name = old.name
        mapping[old] = new
    return copy
