"""Text in: reads the text form that `kgraph.ir.printer` writes (`docs/ir.md` has the grammar).

A tokenizer and a recursive descent, both by hand, so that every mistake is reported with line, column and what was
expected there. The text is checked as it is read: names are defined before they are used and once, attributes are
known, and each declared result type equals the inferred one. Line ends mean nothing; `//` starts a comment.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from kgraph.errors import KGraphError, ParseError
from kgraph.ir.builder import make_node
from kgraph.ir.dims import Dim, DimLike
from kgraph.ir.graph import NOWHERE, Graph, Location, Node, Value, literal
from kgraph.ir.opdef import OPS, OpDef
from kgraph.ir.printer import VERSION
from kgraph.ir.types import DTYPES, TensorType, is_float, numpy_dtype

__all__ = ["Token", "parse_graph", "tokenize"]

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_PATH = r"[A-Za-z_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_.\-]+)*"
_TOKENS = re.compile(
    rf"""(?P<skip>[ \t\r]+|//[^\n]*)
    |(?P<newline>\n)
    |(?P<value>%(?:{_PATH}|[0-9]+|{_STRING}))
    |(?P<name>@(?:{_PATH}|{_STRING}))
    |(?P<float>[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<int>[0-9]+)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>{_STRING})
    |(?P<sign>>=|[{{}}()\[\]<>,:=*+\-])""",
    re.VERBOSE,
)
_LONGEST_LINE = 160  # columns of the offending line that a message shows


class Token(NamedTuple):
    """One word of the text; `line` and `column` are 1-based."""

    kind: str  # value name float int word string sign end
    text: str
    line: int
    column: int


def tokenize(text: str) -> list[Token]:
    """Cut `text` into tokens, without comments and blanks; the last one has the kind `end`.

    Raises:
        ParseError: a character begins no token.
    """
    tokens: list[Token] = []
    line, start, position = 1, 0, 0
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            column = position - start + 1
            what = "a string that does not end" if text[position] == '"' else f"the character {text[position]!r}"
            raise _error(text, f"{what} has no meaning here", line, column)
        kind, position = str(match.lastgroup), match.end()
        if kind == "newline":
            line, start = line + 1, position
        elif kind != "skip":
            tokens.append(Token(kind, match.group(), line, match.start() - start + 1))
    tokens.append(Token("end", "", line, position - start + 1))
    return tokens


def parse_graph(text: str) -> Graph:
    """Read one graph.

    Raises:
        ParseError: with line, column and what was expected.
    """
    return _Parser(text).file()


def _error(text: str, message: str, line: int, column: int, fix: str = "") -> ParseError:
    lines = text.split("\n")
    source = lines[line - 1].replace("\t", " ") if line <= len(lines) else ""
    shift = max(0, column - _LONGEST_LINE + 20)
    shown = source[shift : shift + _LONGEST_LINE]
    where = f"line {line}, column {column}\n    | {shown}\n    | {' ' * (column - 1 - shift)}^"
    return ParseError(message, line=line, column=column, where=where, fix=fix)


@dataclass
class _Scope:
    """The values that the text may use at one place: those of the graph, or of one region."""

    graph: Graph
    values: dict[str, Value]
    outer: _Scope | None = None


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0
        self.symbols: dict[str, int] = {}
        self.defined: dict[str, Token] = {}  # every name of the file, for the message about a second definition

    # -- tokens ---------------------------------------------------------------------------------------------------
    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def fail(self, message: str, token: Token | None = None, fix: str = "") -> NoReturn:
        at = token or self.token
        raise _error(self.text, message, at.line, at.column, fix)

    def unexpected(self, expected: str) -> NoReturn:
        found = repr(self.token.text) if self.token.kind != "end" else "the end of the text"
        self.fail(f"expected {expected}, found {found}")

    def at(self, text: str) -> bool:
        token = self.tokens[self.position]
        return token.text == text and token.kind in ("sign", "word")

    def accept(self, text: str) -> bool:
        if self.at(text):
            self.position += 1
            return True
        return False

    def expect(self, text: str, expected: str = "") -> Token:
        if not self.at(text):
            self.unexpected(expected or repr(text))
        return self.take()

    def expect_kind(self, kind: str, expected: str) -> Token:
        if self.token.kind != kind:
            self.unexpected(expected)
        return self.take()

    def listed(self, close: str, item: Callable[[], Any]) -> list[Any]:
        """Items with commas between them, up to and with `close`."""
        items: list[Any] = []
        if self.accept(close):
            return items
        while True:
            items.append(item())
            if self.accept(close):
                return items
            self.expect(",", f"',' or {close!r}")

    # -- file -----------------------------------------------------------------------------------------------------
    def file(self) -> Graph:
        self.expect("kgraph", f"the version line 'kgraph {VERSION}'")
        version = self.expect_kind("int", "a version number")
        if int(version.text) != VERSION:
            self.fail(f"this kgraph reads version {VERSION} of the text form, not {version.text}", version)
        self.expect("graph", "'graph @name'")
        name = self.expect_kind("name", "the name of the graph, as in '@main'")
        graph = Graph(_unquoted(name.text[1:]))
        self.header(graph)
        self.expect("{")
        scope = _Scope(graph, {})
        if self.accept("inputs"):
            self.declarations(scope, graph.add_input)
        if self.accept("params"):
            self.declarations(scope, graph.add_param)
        self.body(scope)
        while self.at("update"):
            self.update(scope)
        self.expect("}", "'update', or '}' at the end of the graph")
        if self.token.kind != "end":
            self.unexpected("the end of the text after the graph")
        return graph

    def header(self, graph: Graph) -> None:
        if self.accept("["):
            self.listed("]", self.bound)
            graph.symbols = self.symbols
        while self.token.kind == "word":
            key = self.take()
            if key.text in graph.attrs:
                self.fail(f"{key.text!r} is given twice", key)
            self.expect("(")
            graph.attrs[key.text] = self.attribute()
            self.expect(")")

    def bound(self) -> None:
        symbol = self.expect_kind("word", "a size symbol, as in 'B >= 1'")
        if symbol.text in self.symbols:
            self.fail(f"the size {symbol.text} is declared twice", symbol)
        self.expect(">=")
        self.symbols[symbol.text] = int(self.expect_kind("int", "the least size").text)

    def declarations(self, scope: _Scope, add: Callable[[str, TensorType], Value]) -> None:
        while True:
            name = self.expect_kind("value", "a value with its type, as in '%x: f32[B, 4]'")
            self.expect(":")
            self.define(scope, name, add(_value_name(name), self.type()))
            if not self.accept(","):
                return

    def body(self, scope: _Scope) -> None:
        """Nodes and the `return` line."""
        while self.token.kind == "value":
            self.statement(scope)
        self.expect("return", "a node ('%0: f32[B] = op(...)') or 'return'")
        if self.token.kind in ("value", "int", "float") or self.literal_ahead():
            scope.graph.outputs = [self.operand(scope)]
            while self.accept(","):
                scope.graph.outputs.append(self.operand(scope))

    def update(self, scope: _Scope) -> None:
        self.take()
        name = self.token
        param = self.used(scope, self.expect_kind("value", "the param to update"))
        if not any(param is value for value in scope.graph.params):
            self.fail(f"{name.text} is not a param, so it cannot be updated", name)
        if any(param is value for value, _ in scope.graph.updates):
            self.fail(f"{name.text} is updated twice", name)
        self.expect("=")
        at = self.token
        value = self.operand(scope)
        if value.type != param.type:
            self.fail(f"{name.text} has the type {param.type}, its new value {at.text} {value.type}", at)
        scope.graph.updates.append((param, value))

    # -- nodes ----------------------------------------------------------------------------------------------------
    def statement(self, scope: _Scope) -> None:
        results = [self.result()]
        while self.accept(","):
            results.append(self.result())
        self.expect("=")
        name = self.expect_kind("word", "the name of an op")
        op = OPS.get(name.text)
        if op is None:
            near = get_close_matches(name.text, OPS, 3)
            self.fail(f"unknown op {name.text!r}", name, f"did you mean {' or '.join(near)}?" if near else "")
        self.expect("(")
        operands = self.listed(")", lambda: self.operand(scope))
        attrs = self.attributes(op)
        regions = list(self.regions(scope))
        wrong: KGraphError | None = None
        try:
            node = make_node(op, operands, attrs, self.location(), regions)
        except ParseError:
            raise
        except KGraphError as error:
            wrong = error
        if wrong is not None:  # outside the handler, so that one error is shown and not two
            details = "".join(f"; {k} {v}" for k in ("got", "needed") if (v := getattr(wrong, k)))
            self.fail(f"{wrong.message}{details}", name, wrong.fix)
        self.check_results(node, results, name)
        scope.graph.nodes.append(node)
        for (token, _, _), value in zip(results, node.results):
            value.name = _value_name(token)
            self.define(scope, token, value)

    def result(self) -> tuple[Token, Token, TensorType]:
        name = self.expect_kind("value", "a result, as in '%0: f32[B]'")
        self.expect(":")
        return name, self.token, self.type()

    def check_results(self, node: Node, results: Sequence[tuple[Token, Token, TensorType]], name: Token) -> None:
        if len(results) != len(node.results):
            self.fail(f"{node.op.name} has {len(node.results)} results here, the text names {len(results)}", name)
        for (token, place, declared), value in zip(results, node.results):
            if declared != value.type:
                self.fail(f"{token.text} is declared as {declared}, but {node.op.name} gives {value.type}", place)

    def attributes(self, op: OpDef) -> dict[str, Any]:
        attrs: dict[str, Any] = {}
        if not self.accept("{"):
            return attrs

        def item() -> None:
            name = self.expect_kind("word", "the name of an attribute")
            if name.text not in op.attrs:
                known = ", ".join(sorted(op.attrs))
                self.fail(f"op {op.name} has no attribute {name.text!r}", name, f"it has {known}" if known else "")
            if name.text in attrs:
                self.fail(f"the attribute {name.text!r} is given twice", name)
            self.expect("=")
            attrs[name.text] = self.attribute()

        self.listed("}", item)
        return attrs

    def regions(self, scope: _Scope) -> Iterator[Graph]:
        while (
            self.token.kind in ("word", "string") and self.tokens[self.position + 1].text == "(" and not self.at("loc")
        ):
            inner = _Scope(Graph(_unquoted(self.take().text)), {}, scope)
            inner.graph.symbols = dict(self.symbols)
            self.expect("(")
            self.listed(")", partial(self.argument, inner))
            self.expect("{")
            self.body(inner)
            self.expect("}", "'}' at the end of the region")
            yield inner.graph

    def argument(self, scope: _Scope) -> None:
        name = self.expect_kind("value", "an argument of the region, as in '%h: f32[B, 4]'")
        self.expect(":")
        self.define(scope, name, scope.graph.add_input(_value_name(name), self.type()))

    def location(self) -> Location:
        if not self.accept("loc"):
            return NOWHERE
        self.expect("(")
        text = _unquoted(self.expect_kind("string", 'a place, as in loc("model.py":12, "dense")').text)
        file, line, layer = "", 0, text
        if self.accept(":"):
            file, line, layer = text, int(self.expect_kind("int", "a line number").text), ""
            if self.accept(","):
                layer = _unquoted(self.expect_kind("string", "the path of a layer").text)
        self.expect(")")
        return Location(file, line, layer)

    # -- values ---------------------------------------------------------------------------------------------------
    def define(self, scope: _Scope, token: Token, value: Value) -> None:
        first = self.defined.get(token.text)
        if first is not None:
            self.fail(f"{token.text} is defined twice, first on line {first.line}", token)
        self.defined[token.text] = token
        scope.values[token.text] = value

    def used(self, scope: _Scope, token: Token) -> Value:
        value = scope.values.get(token.text)
        if value is not None:
            return value
        if scope.outer is not None and token.text in self.defined:
            self.fail(
                f"{token.text} is not visible here: a region sees its own arguments only",
                token,
                "pass it as an operand",
            )
        near = get_close_matches(token.text, scope.values, 3, 0.75) if not token.text[1:].isdigit() else []
        self.fail(f"{token.text} is not defined above", token, f"did you mean {' or '.join(near)}?" if near else "")

    def literal_ahead(self) -> bool:
        return self.token.text in ("-", "true", "false", "inf", "nan") and self.token.kind in ("sign", "word")

    def operand(self, scope: _Scope) -> Value:
        if self.token.kind == "value":
            return self.used(scope, self.take())
        if self.token.kind not in ("int", "float") and not self.literal_ahead():
            self.unexpected("an operand: a value ('%x') or a number")
        start = self.token
        number = self.number()
        dtype = "bool" if isinstance(number, bool) else "i32" if isinstance(number, int) else "f32"
        if self.accept(":"):
            place = self.token
            dtype = self.dtype()
            if isinstance(number, bool) != (dtype == "bool") or (isinstance(number, float) and not is_float(dtype)):
                self.fail(f"{number} is not of the element type {dtype}", place)
        limits = None if dtype == "bool" or is_float(dtype) else np.iinfo(numpy_dtype(dtype))
        if limits is not None and not limits.min <= number <= limits.max:
            self.fail(f"{number} does not fit into {dtype}", start)
        return literal(number, dtype)

    def number(self) -> float | int | bool:
        for word, value in (("true", True), ("false", False)):
            if self.accept(word):
                return value
        sign = -1 if self.accept("-") else 1
        token = self.take()
        if token.kind == "int":
            return sign * int(token.text)
        if token.kind == "float" or (token.kind == "word" and token.text in ("inf", "nan")):
            return sign * float(token.text)
        self.position -= token.kind != "end"
        self.unexpected("a number")

    # -- types and sizes ------------------------------------------------------------------------------------------
    def dtype(self) -> str:
        token = self.expect_kind("word", "an element type, as in 'f32'")
        if token.text not in DTYPES:
            self.fail(f"unknown element type {token.text!r}", token, "one of " + ", ".join(DTYPES))
        return token.text

    def type(self) -> TensorType:
        dtype = self.dtype()
        self.expect("[")
        return TensorType(dtype, tuple(self.listed("]", self.dim)))

    def dim(self) -> DimLike:
        """A polynomial over the sizes, e.g. `20*B + 1`."""
        total = -self.product() if self.accept("-") else self.product()
        while True:
            if self.accept("+"):
                total = total + self.product()
            elif self.accept("-"):
                total = total - self.product()
            else:
                return total

    def product(self) -> DimLike:
        total: DimLike = self.factor()
        while self.accept("*"):
            total = total * self.factor()
        return total

    def factor(self) -> DimLike:
        if self.token.kind == "int":
            return int(self.take().text)
        token = self.expect_kind("word", "a size: a number or a symbol")
        if token.text not in self.symbols:
            known = f"the header declares {', '.join(self.symbols)}" if self.symbols else ""
            self.fail(
                f"the size {token.text} is not declared",
                token,
                known or f"write [{token.text} >= 1] behind the graph's name",
            )
        return Dim.symbol(token.text)

    # -- attributes -----------------------------------------------------------------------------------------------
    def attribute(self) -> Any:
        token = self.token
        if token.kind == "string":
            return _unquoted(self.take().text)
        if self.accept("["):
            return tuple(self.listed("]", self.attribute))
        if token.kind == "float":
            return self.number()
        if token.kind == "int":
            return self.dim()
        if token.text == "-":
            after = self.tokens[self.position + 1]
            return self.number() if after.kind == "float" or after.text in ("inf", "nan") else self.dim()
        if token.kind == "word":
            return self.word()
        self.unexpected("a number, a word, a string, a size, a list or dense<...>")

    def word(self) -> Any:
        token = self.token
        if token.text in ("true", "false", "inf", "nan"):
            return self.number()
        if token.text in self.symbols:
            return self.dim()
        if token.text == "dense":
            return self.array()
        if token.text[0].isupper():
            self.factor()  # says that the size is not declared
        self.take()
        return None if token.text == "none" else token.text

    def array(self) -> npt.NDArray[Any]:
        start = self.take()
        self.expect("<")
        kind = self.type()
        if any(isinstance(dim, Dim) for dim in kind.shape):
            self.fail("the sizes of an array are numbers", start)
        shape = tuple(int(dim) for dim in kind.shape if not isinstance(dim, Dim))
        self.expect(",")
        place = self.token
        dtype = numpy_dtype(kind.dtype)
        try:
            if place.kind == "string":
                data = base64.b64decode(_unquoted(self.take().text), validate=True)
                array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
            else:
                with np.errstate(over="ignore"):
                    array = np.asarray(self.nested(), dtype).reshape(shape)
        except (ValueError, OverflowError, binascii.Error):
            self.fail(f"the data are not those of an array {kind}", place)
        self.expect(">")
        array.flags.writeable = False
        return array

    def nested(self) -> Any:
        return self.listed("]", self.nested) if self.accept("[") else self.number()


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def _value_name(token: Token) -> str:
    """The user's name of a `%name` token; numbers are the printer's, not names."""
    name = token.text[1:]
    return "" if name.isdigit() else _unquoted(name)
