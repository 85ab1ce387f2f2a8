"""Prints expressions and loop nests as the Python source of one kernel.

The text is canonical: it names no layer and no size.  Sizes and strides are read from the `dims` table at run time,
so kernels that differ in them only have one source, are compiled once, and share one object file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from kgraph.codegen.cpu.draws import Draws
from kgraph.codegen.loops import Affine, Expr
from kgraph.errors import UnsupportedError
from kgraph.ir.dims import Dim, DimLike
from kgraph.ir.types import is_float

__all__ = [
    "FAULT_WRONG_ROW",
    "SCOPES",
    "CeilDiv",
    "FaultBuffer",
    "FaultSite",
    "Group",
    "Quantity",
    "Writer",
    "expression_text",
    "quantity",
]


SCOPES = 64
"""Alias scopes that the intrinsics know.  Buffers that share one are taken to overlap, which costs speed only."""


@dataclass(frozen=True)
class CeilDiv:
    """`ceil(volume / (grain // divisor))`-like sizes that no polynomial can say; evaluated when a program is bound.

    by_rows: where the size says how a kernel is cut into tasks: what it is when each task gets so many rows.
    """

    compute: Callable[[Callable[[DimLike], int]], int]
    label: str
    by_rows: Callable[[Callable[[DimLike], int], int], int] | None = None


@dataclass(frozen=True)
class FaultBuffer:
    """The address of the driver's fault words, known when a program is bound."""


@dataclass(frozen=True)
class FaultSite:
    """A place where a kernel may find a wrong row number; its number is given when a program is bound."""

    layer: str
    rows: DimLike


Quantity = DimLike | CeilDiv | FaultBuffer | FaultSite
FAULT_WRONG_ROW = 2
"""fault[0] when a kernel met a row number outside its table: fault[1] is the site, fault[2] the number."""


def quantity(value: Quantity, evaluate: Callable[[DimLike], int], rows: int = 0) -> int:
    """The number that a quantity stands for, given how to evaluate a size; rows: of each task, if that is given too."""
    if isinstance(value, (FaultBuffer, FaultSite)):
        raise TypeError("faults are numbered by the executable")
    if rows and isinstance(value, CeilDiv) and value.by_rows is not None:
        return value.by_rows(evaluate, rows)
    return value.compute(evaluate) if isinstance(value, CeilDiv) else evaluate(value)


@dataclass
class Group:
    """Loops that are run as one: their addresses step evenly across all of them."""

    loops: list[int]
    extent: DimLike
    variable: str


@dataclass
class Writer:
    """Collects lines, sizes and names of one kernel."""

    lines: list[str] = field(default_factory=list)
    sizes: list[Quantity] = field(default_factory=list)
    indent: int = 1
    groups: list[Group] = field(default_factory=list)
    scopes: dict[int, int] = field(default_factory=dict)  # buffer position -> alias scope
    _names: dict[Expr, str] = field(default_factory=dict)
    _open: list[set[Expr]] = field(default_factory=lambda: [set()])
    _size_names: dict[object, str] = field(default_factory=dict)
    replaced: dict[Expr, str] = field(default_factory=dict)  # folds and reloaded values: how to write them
    draws: Draws = field(default_factory=Draws)

    # -- lines --------------------------------------------------------------------------------------------------------
    def line(self, text: str) -> None:
        """Append one line at the current depth."""
        self.lines.append("    " * self.indent + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """An indented block; names computed inside are forgotten at its end."""
        self.line(head)
        self.indent += 1
        self._open.append(set())
        start = len(self.lines)
        yield
        if len(self.lines) == start:
            self.line("pass")
        self._open.pop()
        self.indent -= 1

    def forget(self, exprs: Iterable[Expr]) -> None:
        """Compute these anew when they are next needed."""
        for scope in self._open:
            scope.difference_update(exprs)

    # -- sizes --------------------------------------------------------------------------------------------------------
    def size(self, dim: Quantity) -> str:
        """The name under which the kernel reads a size from `dims`."""
        key = ("ceil", dim.label) if isinstance(dim, CeilDiv) else dim
        name = self._size_names.get(key)
        if name is None:
            name = f"s{len(self.sizes)}"
            self._size_names[key] = name
            self.sizes.append(dim)
        return name

    def affine(self, index: Affine) -> str:
        """An index as Python text."""
        parts: list[str] = []
        for group in self.groups:
            factor = index.factor(group.loops[-1])
            if factor != 0:
                parts.append(self._product(group.variable, factor))
        for variable, factor in index.terms.items():
            if isinstance(variable, Expr):
                parts.append(self._product(self.name(variable), factor))
        if index.const != 0 or not parts:
            parts.append("0" if index.const == 0 else self.size(index.const))
        return " + ".join(parts)

    def _product(self, variable: str, factor: DimLike) -> str:
        return variable if factor == 1 else f"{variable} * {self.size(factor)}"

    # -- expressions --------------------------------------------------------------------------------------------------
    def name(self, expr: Expr) -> str:
        """How to write a computed expression."""
        if expr in self.replaced:
            return self.replaced[expr]
        if expr.kind == "literal":
            return literal_text(str(expr.attrs[0]), expr.dtype)
        return self._names[expr]

    def is_ready(self, expr: Expr) -> bool:
        """Whether the expression has a name in an open block."""
        return expr in self.replaced or expr.kind == "literal" or any(expr in scope for scope in self._open)

    def compute(self, expr: Expr) -> None:
        """Write the statement that computes `expr`, whose operands are ready."""
        if self.is_ready(expr):
            return
        text = self.draws.loads.get(expr) or ("" if expr.kind == "checked_row" else expression_text(expr, self))
        if expr not in self._names:
            self._names[expr] = f"v{len(self._names)}"
        if expr.kind == "checked_row":
            self._check_row(expr, self._names[expr])
        else:
            self.line(f"{self._names[expr]} = {text}")
        self._open[-1].add(expr)

    def _check_row(self, expr: Expr, name: str) -> None:
        """A row number that is sure to lie in its table; a wrong one is reported to the driver."""
        rows, layer = expr.attrs
        assert isinstance(rows, (int, Dim)) and isinstance(layer, str)
        row = self.name(expr.args[0])
        self.line(f"{name} = minimum(maximum({row}, 0), {self.size(rows)} - 1)")
        self.report_row(f"{name} != {row}", row, FaultSite(layer, rows))

    def report_row(self, condition: str, row: str, site: FaultSite) -> None:
        """Tell the driver of a wrong row number when `condition` holds; the run then ends after this step."""
        fault = self.size(FaultBuffer())
        with self.block(f"if {condition}:"):
            self.line(f"store_i64({fault}, 2, {row})")
            self.line(f"store_i64({fault}, 1, {self.size(site)})")
            self.line(f"store_i64({fault}, 0, {FAULT_WRONG_ROW})")

    def pending(self, roots: Iterable[Expr]) -> list[Expr]:
        """Everything that must be computed for `roots`, operands first."""
        seen: set[Expr] = set()
        stack = list(roots)
        while stack:
            expr = stack.pop()
            if expr not in seen and not self.is_ready(expr):
                seen.add(expr)
                stack.extend(expr.inputs())
        return sorted(seen, key=lambda expr: expr.number)

    def nest(
        self,
        groups: Sequence[Group],
        roots: Sequence[Expr],
        body: Callable[[], None],
        bounds: tuple[str, str] | None = None,
        limits: Mapping[int, tuple[str, str]] | None = None,
    ) -> None:
        """Loops over `groups`; each needed expression is computed in the outermost loop that it allows; `body`
        innermost.

        Args:
            groups: outermost first.
            roots: what the body reads.
            body: writes the innermost statements.
            bounds: range of the first loop when it is not the whole extent.
            limits: the same for any loops, by position.
        """
        ranges = {**({0: bounds} if bounds else {}), **(limits or {})}
        todo = self.pending(roots)
        depth = {expr: _depth(expr, groups) for expr in todo}
        inner = [expr for expr in todo if groups and depth[expr] == len(groups)]
        draws = self.draws.consecutive(inner, groups[-1]) if inner else []
        counters = {draw.args[2] for draw in draws}
        counters -= {operand for expr in todo if expr not in draws for operand in expr.inputs()} | set(roots)

        def level(position: int) -> None:
            for expr in todo:
                if depth[expr] == position and expr not in counters:
                    self.compute(expr)
            if position == len(groups):
                body()
                return
            group = groups[position]
            low, high = ranges.get(position, ("", self.size(group.extent)))
            if draws and position == len(groups) - 1:
                self.draws.write(self, draws, group, (low, high), lambda: level(position + 1))
                return
            span = f"{low}, {high}" if low else high
            with self.block(f"for {group.variable} in range({span}):"):
                level(position + 1)

        level(0)

    def load(self, position: int, dtype: str, address: str) -> str:
        """Text of a load."""
        return f"load_{dtype}(p{position}, {address}, {self.scopes[position] % SCOPES})"

    def load_local(self, number: int, address: str) -> str:
        """Text of a load from a block of random numbers."""
        return f"load_f32(draw{number}, {address}, {SCOPES - 1 - number})"

    def store(self, position: int, dtype: str, address: str, value: str) -> None:
        """Write a store."""
        self.line(f"store_{dtype}(p{position}, {address}, {value}, {self.scopes[position] % SCOPES})")


def _depth(expr: Expr, groups: Sequence[Group]) -> int:
    for position in range(len(groups), 0, -1):
        if any(loop in expr.loops for loop in groups[position - 1].loops):
            return position
    return 0


def literal_text(number: str, dtype: str) -> str:
    """A constant in kernel source."""
    if dtype == "bool":
        return number
    if is_float(dtype):
        wide = {"inf": "float_inf", "-inf": "-float_inf", "nan": "float_nan"}.get(number, number)
        return f"to_{dtype}({wide})"
    return number if dtype == "i64" else f"to_{dtype}({number})"


_INFIX = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!=", "add": "+", "sub": "-", "mul": "*"}
_CALLS = {
    name: f"m_{name}"
    for name in (
        "exp expm1 log log1p sqrt rsqrt sin cos tanh sigmoid softplus erf erfc atan atan2 floor ceil sign pow"
    ).split()
} | {"round": "m_rint", "maximum": "maximum", "minimum": "minimum", "select": "select"}


def expression_text(expr: Expr, w: Writer) -> str:
    """The right-hand side that computes one expression."""
    args = [w.name(arg) for arg in expr.args]
    kind, dtype = expr.kind, expr.dtype
    source = expr.args[0].dtype if expr.args else dtype
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(expr, w, args)
    if kind in _INFIX:
        text = f"{args[0]} {_INFIX[kind]} {args[1]}"
        # Numba widens small integers; the IR does not.
        return f"to_{dtype}({text})" if dtype not in ("f32", "f64", "i64", "bool") else text
    if kind in _CALLS and (is_float(source) or kind in ("maximum", "minimum", "select")):
        return f"{_CALLS[kind]}({', '.join(args)})"
    rule = _INTEGER.get(kind) if not is_float(source) else None
    rule = rule or _FLOAT.get(kind)
    if rule is None:
        raise UnsupportedError(f"{kind} of {source} has no native kernel", where=expr.layer, fix="cast to f32 first")
    text = rule.format(*args, t=source)
    return f"to_{dtype}({text})" if dtype not in ("f32", "f64", "i64", "bool") else text


def _load(expr: Expr, w: Writer, args: list[str]) -> str:
    position, address = expr.attrs
    assert isinstance(position, int) and isinstance(address, Affine)
    return w.load(position, expr.dtype, w.affine(address))


def _in_range(expr: Expr, w: Writer, args: list[str]) -> str:
    index, bound = expr.attrs
    assert isinstance(index, Affine)
    text = w.affine(index)
    return f"select(({text}) >= 0, ({text}) < {w.size(_dim(bound))}, False)"


def _dim(attr: object) -> DimLike:
    assert isinstance(attr, (int, Dim))
    return attr


def _cast(expr: Expr, w: Writer, args: list[str]) -> str:
    return f"to_{expr.dtype}({args[0]})"


_SPECIAL: dict[str, Callable[[Expr, Writer, list[str]], str]] = {
    "load": _load,
    "in_range": _in_range,
    "cast": _cast,
    "bitcast": lambda e, w, a: f"bits_{e.dtype}({a[0]})",
    "index": lambda e, w, a: w.affine(e.attrs[0]) if isinstance(e.attrs[0], Affine) else "",
    "size": lambda e, w, a: w.size(_dim(e.attrs[0])),
    "divisible": lambda e, w, a: f"{a[0]} % {w.size(_dim(e.attrs[0]))} == 0",
    "quotient": lambda e, w, a: f"{a[0]} // {w.size(_dim(e.attrs[0]))}",
    "philox_uniform": lambda e, w, a: f"philox_uniform({', '.join(a)})",
    "logical_and": lambda e, w, a: f"select({_truth(e, 0, a)}, {_truth(e, 1, a)}, False)",
    "logical_or": lambda e, w, a: f"select({_truth(e, 0, a)}, True, {_truth(e, 1, a)})",
    "logical_xor": lambda e, w, a: f"{_truth(e, 0, a)} != {_truth(e, 1, a)}",
    "logical_not": lambda e, w, a: f"select({_truth(e, 0, a)}, False, True)",
}


def _truth(expr: Expr, position: int, args: list[str]) -> str:
    arg = expr.args[position]
    return args[position] if arg.dtype == "bool" else f"({args[position]} != 0)"


_FLOAT = {
    "neg": "-{0}",
    "abs": "m_fabs({0})",
    "div": "{0} / {1}",
    # A comparison with NaN is false, so NaN passes through.
    "relu": "select({0} <= 0, to_{t}(0.0), {0})",
    "is_nan": "{0} != {0}",
    "is_finite": "{0} - {0} == 0",
    # By an infinity the quotient's floor is 0 or -1, but 0 * inf is NaN.
    "mod": "select(m_fabs({1}) == float_inf, select((({0} < 0) != ({1} < 0)) & ({0} != 0), {1}, {0}), "
    "{0} - m_floor({0} / {1}) * {1})",
    "floor_div": "select((m_fabs({1}) == float_inf) & ({0} != 0) & (({0} < 0) != ({1} < 0)), to_{t}(-1.0), "
    "m_floor({0} / {1}))",
}
_INTEGER = {
    "neg": "-{0}",
    "abs": "select({0} < 0, -{0}, {0})",
    "sign": "select({0} > 0, 1, select({0} < 0, -1, 0))",
    "div": "{0} // {1}",
    "floor_div": "{0} // {1}",
    "mod": "{0} % {1}",
    "is_nan": "False",
    "is_finite": "True",
    "pow": "int_pow({0}, {1})",
    "bit_and": "{0} & {1}",
    "bit_or": "{0} | {1}",
    "bit_xor": "{0} ^ {1}",
    "bit_not": "~{0}",
    # Small integers are widened, so a shift past their width is one within 64 bits; a shift past that is kept inside.
    "shift_left": "select({1} < 64, {0} << minimum({1}, 63), 0)",
    "shift_right": "{0} >> minimum({1}, 63)",
}
