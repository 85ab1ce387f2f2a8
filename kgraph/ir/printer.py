"""Text out: the canonical text form of a graph, which `kgraph.ir.parser` reads back (`docs/ir.md` has the grammar).

Invariant: `str(parse(str(g))) == str(g)`. Names, numbering and order follow from program order alone, so two processes
print the same bytes. The cost is linear in the size of the text. Malformed graphs print too (an operand nobody defines
shows as `%?`), because the verifier shows the text of what it refuses.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import InternalError
from kgraph.ir.dims import Dim
from kgraph.ir.graph import Graph, Location, Node, Value
from kgraph.ir.types import dtype_of_numpy, numpy_dtype

__all__ = ["VERSION", "Printer", "attr_text", "literal_text", "name_values", "node_text", "print_graph"]

VERSION = 1
_WIDTH = 120  # columns: longer input and param lines are broken, one value per line
_INLINE = 16  # elements: larger arrays are printed as base64

# A slash only between two name characters: `%a//b` would open a comment.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_.\-]+)*")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_REGION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_A_WORD = frozenset({"true", "false", "inf", "nan", "none", "dense"})
_NOT_A_REGION = frozenset({"return", "update", "loc", "inputs", "params"})


def print_graph(graph: Graph, locs: bool = True) -> str:
    """The text of `graph`, without a last newline.

    Args:
        graph: what to print.
        locs: print the locations that are not empty.
    """
    return Printer(graph, locs=locs).text()


def name_values(graph: Graph) -> dict[Value, str]:
    """The printed name of every value, without `%`: user names made unique, then `0`, `1`, ... for the rest."""
    return Printer(graph).names


def node_text(node: Node, names: dict[Value, str]) -> str:
    """One node as one line, without location and regions; for messages and comments in emitted code."""
    printer = Printer(Graph())
    printer.names = names
    return printer.node_head(node)


class Printer:
    """Prints one graph; `names` and `line_of` tell where things are in the text.

    Attributes:
        names: value -> printed name without `%`.
        lines: the text.
        line_of: node, region, argument, `(graph, "return")` or `(graph, "update", k)` -> index into `lines`.
    """

    def __init__(self, graph: Graph, locs: bool = True) -> None:
        self.graph = graph
        self.locs = locs
        self.names: dict[Value, str] = {}
        self.lines: list[str] = []
        self.line_of: dict[Any, int] = {}
        self._taken: set[str] = set()
        self._next = 0
        self._name_all(graph)

    # -- names ----------------------------------------------------------------------------------------------------
    def _name_all(self, graph: Graph) -> None:
        for value in (*graph.inputs, *graph.params):
            self._name(value)
        for node in graph.nodes:
            for value in node.results:
                self._name(value)
            for region in node.regions:
                self._name_all(region)

    def _name(self, value: Value) -> None:
        if value in self.names:
            return  # a malformed graph that defines a value twice: the verifier says so
        if not value.name:
            self.names[value] = str(self._next)
            self._next += 1
            return
        name = _value_name(value.name)
        suffix = 0
        while name in self._taken:
            suffix += 1
            name = _value_name(f"{value.name}.{suffix}")
        self._taken.add(name)
        self.names[value] = name

    # -- text -----------------------------------------------------------------------------------------------------
    def text(self) -> str:
        """The whole text."""
        graph = self.graph
        self.lines = [f"kgraph {VERSION}"]
        header = [f"graph @{_graph_name(graph.name)}"]
        if graph.symbols:
            header.append("[" + ", ".join(f"{name} >= {least}" for name, least in graph.symbols.items()) + "]")
        header += [f"{key}({self.attr(value)})" for key, value in sorted(graph.attrs.items())]
        self.line_of[graph] = len(self.lines)
        self.lines.append(" ".join(header) + " {")
        self._declarations("inputs", graph.inputs)
        self._declarations("params", graph.params)
        self._body(graph, "  ")
        self.lines.append("}")
        return "\n".join(self.lines)

    def _declarations(self, keyword: str, values: Sequence[Value]) -> None:
        if not values:
            return
        items = [self._typed(value) for value in values]
        line = f"  {keyword}  " + ", ".join(items)
        lines = [line]
        if len(line) > _WIDTH:
            lines = [f"          {item}," for item in items]
            lines[0] = f"  {keyword}  {items[0]},"
            lines[-1] = lines[-1].removesuffix(",")
        for k, value in enumerate(values):
            self.line_of[value] = len(self.lines) + min(k, len(lines) - 1)
        self.lines += lines

    def _body(self, graph: Graph, indent: str) -> None:
        for node in graph.nodes:
            self._node(node, indent)
        self.line_of[graph, "return"] = len(self.lines)
        self.lines.append((indent + "return " + ", ".join(map(self.use, graph.outputs))).rstrip())
        for k, (param, value) in enumerate(graph.updates):
            self.line_of[graph, "update", k] = len(self.lines)
            self.lines.append(f"{indent}update {self.use(param)} = {self.use(value)}")

    def _node(self, node: Node, indent: str) -> None:
        self.line_of[node] = len(self.lines)
        line = indent + self.node_head(node)
        for region in node.regions:
            arguments = ", ".join(map(self._typed, region.inputs))
            self.line_of[region] = len(self.lines)
            self.line_of.update({value: len(self.lines) for value in region.inputs})
            self.lines.append(f"{line} {_region_name(region.name)}({arguments}) {{")
            self._body(region, indent + "  ")
            line = indent + "}"
        if self.locs:
            place = _location_text(node.loc)
            if place:
                line += f"   {place}"
        self.lines.append(line)

    def node_head(self, node: Node) -> str:
        """`%0: f32[B] = op(operands) {attributes}`."""
        results = ", ".join(map(self._typed, node.results))
        line = f"{results} = {node.op.name}({', '.join(map(self.use, node.operands))})"
        attrs = self._attrs(node)
        return f"{line} {{{attrs}}}" if attrs else line

    def _attrs(self, node: Node) -> str:
        defaults = node.op.attrs
        return ", ".join(
            f"{name} = {self.attr(value)}"
            for name, value in sorted(node.attrs.items())
            if not _same(value, defaults.get(name, ...))
        )

    def attr(self, value: Any) -> str:
        """One attribute value."""
        return attr_text(value, self.graph.symbols)

    def _typed(self, value: Value) -> str:
        return f"%{self.names.get(value, '?')}: {value.type}"

    def use(self, value: Value) -> str:
        """A value in operand position."""
        name = self.names.get(value)
        if name is not None:
            return "%" + name
        number = value.literal
        return "%?" + value.name if number is None else literal_text(number, value.dtype)


def attr_text(value: Any, symbols: Iterable[str] = ()) -> str:
    """The text of one attribute value; strings that look like one of the size `symbols` are quoted.

    Raises:
        InternalError: the value is of a kind that the text form cannot hold.
    """
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, Dim):
        return str(value)
    if isinstance(value, str):
        bare = _WORD.fullmatch(value) and value not in _NOT_A_WORD and value not in symbols
        return value if bare else _quoted(value)
    if isinstance(value, (float, np.floating)):
        return _float_text(float(value), "f64")
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join([attr_text(item, symbols) for item in value]) + "]"
    if isinstance(value, np.ndarray):
        return _array_text(value)
    if value is None:
        return "none"
    raise InternalError(f"an attribute of type {type(value).__name__} has no text form")


def literal_text(number: float | int | bool, dtype: str) -> str:
    """A literal operand: `0.5`, `3`, `true`, `-inf`; `1.0:f64` where the element type is not the usual one."""
    text = _number_text(number, dtype)
    return text if dtype in ("f32", "i32", "bool") else f"{text}:{dtype}"


def _number_text(number: Any, dtype: str) -> str:
    if dtype == "bool":
        return "true" if number else "false"
    return _float_text(float(number), dtype) if dtype.startswith("f") else str(int(number))


@lru_cache(maxsize=4096)
def _shortest(number: float, negative: bool, dtype: str) -> str:
    with np.errstate(over="ignore", under="ignore"):
        rounded = numpy_dtype(dtype).type(number)
    if np.isnan(rounded):
        return "nan"
    if np.isinf(rounded):
        return "-inf" if negative else "inf"
    # The fewest digits that give this number back in `dtype`; repr chooses the notation and always shows `.` or `e`.
    return repr(float(np.format_float_scientific(rounded, unique=True)))


def _float_text(number: float, dtype: str) -> str:
    # 0.0 == -0.0 would share a cache entry, hence the sign.
    return _shortest(number, bool(np.signbit(number)), dtype)


def _array_text(array: npt.NDArray[Any]) -> str:
    dtype = dtype_of_numpy(array.dtype)
    shape = ", ".join(map(str, array.shape))
    if array.size > _INLINE:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return f'dense<{dtype}[{shape}], "{base64.b64encode(little.tobytes()).decode()}">'
    return f"dense<{dtype}[{shape}], {_nested_text(array.tolist(), dtype)}>"


def _nested_text(items: Any, dtype: str) -> str:
    if isinstance(items, list):
        return "[" + ", ".join(_nested_text(item, dtype) for item in items) + "]"
    return _number_text(items, dtype)


def _same(value: Any, default: Any) -> bool:
    """Whether an attribute has its default value (1, 1.0 and True are different values)."""
    if isinstance(value, np.ndarray) or isinstance(default, np.ndarray):
        return value is default
    return type(value) is type(default) and bool(value == default)


def _value_name(name: str) -> str:
    return name if _NAME.fullmatch(name) else _quoted(name)


def _graph_name(name: str) -> str:
    return name if _NAME.fullmatch(name) else _quoted(name)


def _region_name(name: str) -> str:
    return name if _REGION.fullmatch(name) and name not in _NOT_A_REGION else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _location_text(loc: Location) -> str:
    parts = [f"{_quoted(loc.file)}:{loc.line}"] if loc.file or loc.line else []
    if loc.layer:
        parts.append(_quoted(loc.layer))
    return f"loc({', '.join(parts)})" if parts else ""
