"""The rules of the IR, checked: structure, types, attributes, regions, and the forms legal at a stage.

`verify_graph` changes nothing and costs one walk over the graph. It is independent of the code that builds graphs:
types are inferred again and uses counted again. Inputs and literals are the only values that need no node; a literal
belongs to no graph, so its uses are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from kgraph.errors import InvalidArgumentError, KGraphError, VerifyError
from kgraph.ir.builder import normalise_attrs
from kgraph.ir.dims import Dim
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import COMPOSITE, OPS
from kgraph.ir.printer import Printer
from kgraph.ir.types import TensorType

__all__ = ["STAGES", "verify_graph"]

_CONTEXT = 2  # lines shown before and after the one at fault


# -- stages ----------------------------------------------------------------------------------------------------
# A rule returns what is wrong with a node, or "".
Rule = Callable[[Node], str]


def _no_kernels(node: Node) -> str:
    return "a fused kernel is legal in a schedule only" if node.op.name == "kernel" else ""


def _no_composites(node: Node) -> str:
    return f"the composite {node.op.name} should have been decomposed" if COMPOSITE in node.op.traits else ""


STAGES: dict[str, tuple[Rule, ...]] = {
    "graph": (_no_kernels,),  # as traced, and until gradients are there
    "decomposed": (_no_kernels, _no_composites),  # what the scheduler gets
    "schedule": (),  # see SCHEDULED
}

SCHEDULED = frozenset({"kernel", "scan", "reshape", "constant"})
"""What a schedule, and the body of a loop in it, consists of: kernels, loops, other shapes of memory, and tables."""


class _FaultError(Exception):
    """A broken rule: `anchor` tells the printed line, `focus` the part of it."""

    def __init__(self, anchor: Any, message: str, focus: Any = None, got: str = "", needed: str = "") -> None:
        super().__init__(message)
        self.anchor, self.message, self.focus, self.got, self.needed = anchor, message, focus, got, needed


def verify_graph(graph: Graph, stage: str = "graph") -> None:
    """Check every rule of the IR.

    Args:
        graph: what to check.
        stage: which forms are legal, a key of `STAGES`.

    Raises:
        VerifyError: shows the line of the printed graph that breaks a rule, with two lines around it.
        InvalidArgumentError: no such stage.
    """
    if stage not in STAGES:
        raise InvalidArgumentError(f"unknown stage {stage!r}", needed="one of " + ", ".join(STAGES))
    try:
        _Verifier(graph, STAGES[stage]).graph(graph)
        if stage == "schedule":
            _check_scheduled(graph)
    except _FaultError as fault:
        where = _excerpt(graph, fault)
        raise VerifyError(fault.message, where=where, got=fault.got, needed=fault.needed) from fault.__cause__


def _check_scheduled(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op.name not in SCHEDULED:
            raise _FaultError(node, f"{node.op.name} stands in a schedule by itself", needed="a kernel around it")
        for region in node.regions if node.op.name == "scan" else ():
            _check_scheduled(region)


class _Verifier:
    def __init__(self, root: Graph, rules: tuple[Rule, ...]) -> None:
        self.symbols = root.symbols
        self.rules = rules
        self.everywhere: set[Value] = set()  # values of all graphs and regions: one definition each

    def graph(self, graph: Graph) -> None:
        defined: set[Value] = set()
        uses: dict[Value, dict[Node, int]] = {}
        self.declarations(graph, defined)
        for node in graph.nodes:
            self.node(node, defined)
            for value in node.operands:
                counts = uses.setdefault(value, {})
                counts[node] = counts.get(node, 0) + 1
        self.ends(graph, defined)
        for value in _values(graph):
            if value.uses != uses.get(value, {}):
                raise self.wrong_uses(graph, value, uses.get(value, {}))

    def declarations(self, graph: Graph, defined: set[Value]) -> None:
        names: set[str] = set()
        for value in (*graph.inputs, *graph.params):
            if value.producer is not None:
                raise _FaultError(value, "an input is the result of a node", value)
            if value.name and value.name in names:
                raise _FaultError(value, f"two inputs or params are called {value.name!r}", value)
            names.add(value.name)
            self.define(value, value, defined)

    def define(self, anchor: Any, value: Value, defined: set[Value]) -> None:
        if value in self.everywhere:
            raise _FaultError(anchor, "a value is defined twice", value)
        self.everywhere.add(value)
        defined.add(value)
        self.sizes(anchor, value.type, value)

    def sizes(self, anchor: Any, type: TensorType, value: Value) -> None:
        for dim in type.shape:
            if isinstance(dim, Dim):
                for name in dim.symbols:
                    if name not in self.symbols:
                        raise _FaultError(anchor, f"the size {name} is not declared in the header", value)

    # -- nodes ----------------------------------------------------------------------------------------------------
    def node(self, node: Node, defined: set[Value]) -> None:
        if OPS.get(node.op.name) is not node.op:
            raise _FaultError(node, f"the op {node.op.name!r} is not in the op table")
        for value in node.operands:
            self.visible(node, value, defined)
        self.attributes(node)
        self.regions(node)
        self.types(node)
        for index, value in enumerate(node.results):
            if value.producer is not node or value.index != index:
                raise _FaultError(node, "a result does not point back to its node", value)
            self.define(node, value, defined)
        for rule in self.rules:
            message = rule(node)
            if message:
                raise _FaultError(node, message)

    def visible(self, anchor: Any, value: Value, defined: set[Value]) -> None:
        if value in defined or value.literal is not None:
            return
        if value in self.everywhere:
            message = "a value of another region is used; a region sees its own arguments only"
        else:
            message = "a value is used before it is defined, or never defined"
        raise _FaultError(anchor, message, value)

    def attributes(self, node: Node) -> None:
        try:
            full = normalise_attrs(node.op, node.attrs)
        except KGraphError as error:
            raise _FaultError(node, error.message, needed=error.needed) from error
        missing = [name for name in full if name not in node.attrs]
        if missing:
            raise _FaultError(node, f"the attribute {missing[0]!r} is missing (nodes hold their defaults too)")

    def regions(self, node: Node) -> None:
        if len(node.regions) != node.op.regions:
            raise _FaultError(node, f"{node.op.name} has {node.op.regions} regions", got=str(len(node.regions)))
        for region in node.regions:
            if region.params or region.updates:
                raise _FaultError(region, "a region has neither params nor updates")
            self.graph(region)

    def types(self, node: Node) -> None:
        types = [value.type for value in node.operands]
        try:
            if node.op.infer_regions is not None:
                inferred = node.op.infer_regions(types, node.attrs, node.regions)
            else:
                inferred = node.op.infer(types, node.attrs)
        except KGraphError as error:
            raise _FaultError(node, error.message, got=error.got, needed=error.needed) from error
        have = [value.type for value in node.results]
        if have != inferred:
            got, needed = (", ".join(map(str, each)) for each in (have, inferred))
            raise _FaultError(node, f"{node.op.name} has results of the wrong type", got=got, needed=needed)

    # -- ends -----------------------------------------------------------------------------------------------------
    def ends(self, graph: Graph, defined: set[Value]) -> None:
        for value in graph.outputs:
            self.visible((graph, "return"), value, defined)
        params, updated = set(graph.params), set[Value]()
        for k, (param, value) in enumerate(graph.updates):
            anchor = (graph, "update", k)
            self.visible(anchor, value, defined)
            if param not in params:
                raise _FaultError(anchor, "an update needs a param of this graph", param)
            if param in updated:
                raise _FaultError(anchor, "a param is updated twice", param)
            updated.add(param)
            if param.type != value.type:
                raise _FaultError(
                    anchor, "the new value of a param has another type", value, str(value.type), str(param.type)
                )

    def wrong_uses(self, graph: Graph, value: Value, counted: dict[Node, int]) -> _FaultError:
        anchor = value if value.producer is None else value.producer
        for node in value.uses:
            if node not in counted:
                text = f"{node.op.name} that is not in the graph, or does not read it"
                return _FaultError(anchor, f"a value notes a use by a {text}", value)
        return _FaultError(
            anchor,
            "a value does not know all its uses",
            value,
            got=str(sum(value.uses.values())),
            needed=str(sum(counted.values())),
        )


def _values(graph: Graph) -> Iterator[Value]:
    yield from graph.inputs
    yield from graph.params
    yield from graph.results()


def _excerpt(graph: Graph, fault: _FaultError) -> str:
    """The printed lines around the fault, with a caret under it."""
    printer = Printer(graph, locs=False)
    try:
        printer.text()
    except KGraphError:
        return f"graph @{graph.name} (has no text: an attribute cannot be printed)"
    at = printer.line_of.get(fault.anchor, 0)
    line = printer.lines[at]
    column, width = len(line) - len(line.lstrip()), len(line.strip())
    if isinstance(fault.focus, Value):
        text = printer.use(fault.focus)
        # %1 is also the beginning of %10.
        match = re.search(re.escape(text) + r"(?![A-Za-z0-9_.\-/])", line)
        if match:
            column, width = match.start(), len(text)
    shown = [f"graph @{graph.name}, line {at + 1}"]
    for number in range(max(0, at - _CONTEXT), min(len(printer.lines), at + 1 + _CONTEXT)):
        shown.append(f"    {number + 1:>5} | {printer.lines[number]}".rstrip())
        if number == at:
            shown.append(f"          | {' ' * column}{'^' * width}")
    return "\n".join(shown)
