"""What a kernel computes per element: a small expression graph over loop indices, shared by all targets.

A region of a schedule says what to compute on whole tensors; here it is turned into scalars.  `Tracer.element(value,
index)` gives the expression of one element of `value` at a symbolic index; views become index arithmetic, elementwise
ops become scalar ops, equal expressions are one object.  An index is `Affine`: a sum of loop indices and computed
integers with symbolic factors, so that an address is known up to sizes, and loops that walk memory in one go can be
merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from kgraph.errors import InternalError
from kgraph.ir.dims import Dim, DimLike, Shape, shape_volume
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import ELEMENTWISE

__all__ = ["Affine", "Expr", "Layout", "Tracer", "contiguous", "loop_index"]

Layout = tuple[DimLike, ...]  # element strides of a buffer, one per axis
IndexVar = Union[int, "Expr"]  # a loop number, or a computed integer


def contiguous(shape: Shape) -> Layout:
    """Row-major strides in elements."""
    strides: list[DimLike] = []
    step: DimLike = 1
    for dim in reversed(shape):
        strides.append(step)
        step = step * dim
    return tuple(reversed(strides))


class Affine:
    """`const + sum of factor * variable`; variables are loop numbers or integer expressions."""

    __slots__ = ("_key", "const", "terms")

    def __init__(self, const: DimLike = 0, terms: Mapping[IndexVar, DimLike] | None = None) -> None:
        self.const = const
        self.terms: dict[IndexVar, DimLike] = {v: f for v, f in (terms or {}).items() if f != 0}
        self._key = (const, frozenset(self.terms.items()))

    def __add__(self, other: Affine | DimLike) -> Affine:
        if not isinstance(other, Affine):
            return Affine(self.const + other, self.terms)
        terms = dict(self.terms)
        for variable, factor in other.terms.items():
            terms[variable] = terms.get(variable, 0) + factor
        return Affine(self.const + other.const, terms)

    def __mul__(self, factor: DimLike) -> Affine:
        return Affine(self.const * factor, {v: f * factor for v, f in self.terms.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def factor(self, loop: int) -> DimLike:
        """The factor of a loop index."""
        return self.terms.get(loop, 0)


def loop_index(loop: int) -> Affine:
    """The index of loop number `loop`."""
    return Affine(0, {loop: 1})


Index = tuple[Affine, ...]
Attr = str | int | float | bool | Affine | Dim | None


class Expr:
    """One scalar computation.

    Attributes:
        kind: an IR op name, or `load` (args: none; attrs buffer, address), `literal`, `index` (an Affine as i64),
            `size` (a Dim as i64),
            `fold` (a reduction's result), `in_range` (an Affine between 0 and a bound), `quotient`, `divisible`.
        args: operands.
        attrs: what else it depends on.
        dtype: IR dtype.
        number: position in creation order, which is a topological order.
        loops: the loops that it depends on.
        folds: the reductions that it depends on.
        layer: the layer path, for messages.
    """

    __slots__ = ("args", "attrs", "dtype", "folds", "kind", "layer", "loops", "number")

    def __init__(
        self, kind: str, args: tuple[Expr, ...], attrs: tuple[Attr, ...], dtype: str, number: int, layer: str = ""
    ) -> None:
        self.kind, self.args, self.attrs, self.dtype, self.number, self.layer = kind, args, attrs, dtype, number, layer
        self.loops: frozenset[int] = frozenset()
        self.folds: frozenset[int] = frozenset()
        loops: set[int] = set()
        folds: set[int] = set()
        for inner in self.inputs():
            loops |= inner.loops
            folds |= inner.folds
        for attr in attrs:
            if isinstance(attr, Affine):
                loops.update(v for v in attr.terms if isinstance(v, int))
        if kind == "fold" and isinstance(attrs[0], int):
            folds.add(attrs[0])
        self.loops, self.folds = frozenset(loops), frozenset(folds)

    def inputs(self) -> list[Expr]:
        """Every expression that this one needs: operands and computed indices."""
        found = list(self.args)
        for attr in self.attrs:
            if isinstance(attr, Affine):
                found.extend(v for v in attr.terms if isinstance(v, Expr))
        return found


@dataclass(frozen=True)
class BufferRef:
    """A buffer of the kernel: which pointer, its element type and its strides."""

    position: int
    dtype: str
    layout: Layout


class Tracer:
    """Turns a region into expressions.

    Args:
        region: the kernel's region.
        buffers: for values that lie in memory, where; the region's inputs, and the raw result of an anchor.
        folds: for reduction results computed by this kernel, the number of the reduction.
    """

    def __init__(self, region: Graph, buffers: Mapping[Value, BufferRef], folds: Mapping[Value, int]) -> None:
        self.region, self.buffers, self.folds = region, dict(buffers), dict(folds)
        self._interned: dict[object, Expr] = {}
        self._elements: dict[tuple[Value, Index], Expr] = {}
        self.affines: dict[Affine, None] = {}  # all addresses and index values in use: what loop merging must respect
        self._layer = ""

    # -- making expressions -------------------------------------------------------------------------------------------
    def make(self, kind: str, args: Sequence[Expr] = (), attrs: Sequence[Attr] = (), dtype: str = "i64") -> Expr:
        """The expression with these parts; made once."""
        key = (kind, tuple(id(a) for a in args), tuple((type(a).__name__, a) for a in attrs), dtype)
        found = self._interned.get(key)
        if found is None:
            found = Expr(kind, tuple(args), tuple(attrs), dtype, len(self._interned), self._layer)
            self._interned[key] = found
            for attr in attrs:
                if isinstance(attr, Affine):
                    self.affines.setdefault(attr)
        return found

    def literal(self, number: float | int | bool, dtype: str) -> Expr:
        """A constant."""
        return self.make("literal", (), (repr(number),), dtype)

    def load(self, buffer: BufferRef, index: Index) -> Expr:
        """An element of a buffer."""
        return self.make("load", (), (buffer.position, self.address(buffer, index)), buffer.dtype)

    def address(self, buffer: BufferRef, index: Index) -> Affine:
        """Element offset of `index` in a buffer."""
        total = Affine()
        for stride, position in zip(buffer.layout, index, strict=True):
            total = total + position * stride
        self.affines.setdefault(total)
        return total

    def index_value(self, index: Affine) -> Expr:
        """An index as a number."""
        return self.make("index", (), (index,))

    # -- elements -----------------------------------------------------------------------------------------------------
    def element(self, value: Value, index: Index) -> Expr:
        """The expression of `value[index]`.

        Recursion follows the region's data flow; a region is at most a few hundred nodes deep, and operands are
        traced in program order first (see `prepare`), so the depth stays small.
        """
        if value.literal is not None:
            return self.literal(value.literal, value.dtype)
        key = (value, index)
        found = self._elements.get(key)
        if found is None:
            found = self._compute(value, index)
            self._elements[key] = found
        return found

    def prepare(self, full: Index, domain: Shape) -> None:
        """Trace everything over the whole domain in program order, so that `element` never recurses deeply."""
        for node in self.region.nodes:
            if ELEMENTWISE in node.op.traits and node.results[0].shape == domain:
                self.element(node.results[0], full)

    def _compute(self, value: Value, index: Index) -> Expr:
        buffer = self.buffers.get(value)
        if buffer is not None:
            return self.load(buffer, index)
        fold = self.folds.get(value)
        if fold is not None:
            return self.make("fold", (), (fold,), value.dtype)
        node = value.producer
        if node is None:
            raise InternalError(f"kernel reads {value!r}, which is neither an operand nor computed in it")
        saved, self._layer = self._layer, node.loc.layer
        try:
            if ELEMENTWISE in node.op.traits:
                return self._elementwise(node, index)
            rule = _RULES.get(node.op.name)
            if rule is None:
                raise InternalError(f"op {node.op.name} cannot be computed element by element", where=str(node.loc))
            return rule(self, node, value.index, index)
        finally:
            self._layer = saved

    def _elementwise(self, node: Node, index: Index) -> Expr:
        shape = node.results[0].shape
        args = [self.element(v, broadcast_index(index, shape, v.shape)) for v in node.operands]
        if node.op.name == "stop_gradient":
            return args[0]
        return self.make(node.op.name, args, (), node.results[0].dtype)


def broadcast_index(index: Index, shape: Shape, operand: Shape) -> Index:
    """Index into an operand that is broadcast to `shape`."""
    lead = len(shape) - len(operand)
    return tuple(
        Affine() if dim == 1 and shape[lead + axis] != 1 else index[lead + axis] for axis, dim in enumerate(operand)
    )


# -- ops that move elements: (tracer, node, result number, index) -> expression --------------------------------------
Rule = Callable[[Tracer, Node, int, Index], Expr]


def _broadcast_to(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    operand = node.operands[0]
    return t.element(operand, broadcast_index(index, node.results[0].shape, operand.shape))


def _transpose(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    moved: list[Affine] = [Affine()] * len(index)
    for axis, source in enumerate(node.attrs["perm"]):
        moved[source] = index[axis]
    return t.element(node.operands[0], tuple(moved))


def _reshape(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    """Only reshapes that add or drop axes of size 1 get here."""
    kept = iter([position for position, dim in zip(index, node.results[0].shape, strict=True) if dim != 1])
    moved = tuple(Affine() if dim == 1 else next(kept) for dim in node.operands[0].shape)
    return t.element(node.operands[0], moved)


def _slice(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    strides = node.attrs["strides"] or (1,) * len(index)
    moved = tuple(
        position * stride + start for position, start, stride in zip(index, node.attrs["starts"], strides, strict=True)
    )
    return t.element(node.operands[0], moved)


def _reverse(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    axes = {axis % len(index) for axis in node.attrs["axes"]}
    shape = node.results[0].shape
    moved = tuple(
        position * -1 + (shape[axis] + -1) if axis in axes else position for axis, position in enumerate(index)
    )
    return t.element(node.operands[0], moved)


def _split(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    axis = node.attrs["axis"] % len(index)
    offset: DimLike = 0
    for size in node.attrs["sizes"][:which]:
        offset = offset + size
    moved = tuple(position + offset if d == axis else position for d, position in enumerate(index))
    return t.element(node.operands[0], moved)


def _iota(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    return t.make("cast", (t.index_value(index[node.attrs["axis"] % len(index)]),), (), node.attrs["dtype"])


def _dim_size(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    return t.make("cast", (t.make("size", (), (node.attrs["dim"],)),), (), node.attrs["dtype"])


def _one_hot(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    label = t.make("cast", (t.element(node.operands[0], index[:-1]),), (), "i64")
    return t.make("cast", (t.make("eq", (label, t.index_value(index[-1])), (), "bool"),), (), node.attrs["dtype"])


def _gather(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    table, ids = node.operands
    rank = ids.type.rank
    row = t.make("cast", (t.element(ids, index[:rank]),), (), "i64")
    # A wrong id is reported, and replaced by a valid one so that it reads no foreign memory meanwhile.
    row = t.make("checked_row", (row,), (table.shape[0], node.loc.layer or "gather"))
    return t.element(table, (Affine(0, {row: 1}), *index[rank:]))


def _guarded(t: Tracer, position: Affine, size: DimLike, interior: int) -> tuple[Affine, Expr]:
    """A position that may lie outside [0, size): (a safe position, whether it was inside)."""
    reach = (size + -1) * (interior + 1) + 1
    inside = t.make("in_range", (), (position, reach), "bool")
    where = t.index_value(position)
    if interior:
        on_grid = t.make("divisible", (where,), (interior + 1,), "bool")
        inside = t.make("logical_and", (inside, on_grid), (), "bool")
        where = t.make("quotient", (where,), (interior + 1,))
    safe = t.make("select", (inside, where, t.literal(0, "i64")), (), "i64")
    return Affine(0, {safe: 1}), inside


def _pad(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    x, fill = node.operands
    inside: Expr | None = None
    moved: list[Affine] = []
    for axis, position in enumerate(index):
        low, high = node.attrs["low"][axis], node.attrs["high"][axis]
        interior = node.attrs["interior"][axis] if node.attrs["interior"] else 0
        shifted = position + -1 * low
        # Symbolic amounts may be positive; amounts known to crop need no guard.
        if interior or not isinstance(low, int) or not isinstance(high, int) or low > 0 or high > 0:
            shifted, fits = _guarded(t, shifted, x.shape[axis], interior)
            inside = fits if inside is None else t.make("logical_and", (inside, fits), (), "bool")
        moved.append(shifted)
    element = t.element(x, tuple(moved))
    if inside is None:
        return element
    return t.make("select", (inside, element, t.element(fill, ())), (), x.dtype)


def _window(combine: str, empty: float) -> Rule:
    """A pooling window, unrolled: windows are small and their size is static."""

    def rule(t: Tracer, node: Node, which: int, index: Index) -> Expr:
        x = node.operands[0]
        batch, row, column, channel = index
        (height, width), (down, right) = node.attrs["window"], node.attrs["strides"]
        (top, bottom), (left, after) = node.attrs["padding"]
        total: Expr | None = None
        for i in range(height):
            for j in range(width):
                h, h_in = row * down + (i - top), None
                w, w_in = column * right + (j - left), None
                if top or bottom:
                    h, h_in = _guarded(t, h, x.shape[1], 0)
                if left or after:
                    w, w_in = _guarded(t, w, x.shape[2], 0)
                item = t.element(x, (batch, h, w, channel))
                for fits in (h_in, w_in):
                    if fits is not None:
                        item = t.make("select", (fits, item, t.literal(empty, x.dtype)), (), x.dtype)
                total = item if total is None else t.make(combine, (total, item), (), x.dtype)
        if total is None:
            raise InternalError("a pooling window is empty", where=str(node.loc))
        return total

    return rule


def _own_window(t: Tracer, position: Affine, count: DimLike, size: int, stride: int) -> tuple[Affine, Affine, Expr]:
    """Where a padded position lies among windows that do not overlap, along one axis.

    Returns:
        The window's number (a valid one in any case), the place in the window, and whether there is such a window.
    """
    window = Affine(0, {t.make("quotient", (t.index_value(position),), (stride,)): 1}) if stride > 1 else position
    place = position + window * -stride
    window, inside = _guarded(t, window, count, 0)
    if size < stride:
        reached = t.make("in_range", (), (place, size), "bool")
        inside = t.make("logical_and", (inside, reached), (), "bool")
    return window, place, inside


def _max_pool_grad(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    """Of windows that do not overlap: an element takes its window's gradient if it is the first of the greatest."""
    x, y, dy = node.operands
    (height, width), (down, right) = node.attrs["window"], node.attrs["strides"]
    (top, _), (left, _) = node.attrs["padding"]
    batch, h, w, channel = index
    row, i, row_fits = _own_window(t, h + top, y.shape[1], height, down)
    column, j, column_fits = _own_window(t, w + left, y.shape[2], width, right)
    best = t.element(y, (batch, row, column, channel))
    grad = t.element(dy, (batch, row, column, channel))
    own = t.index_value(i * width + j)
    hit = t.make("eq", (t.element(x, index), best), (), "bool")
    for fits in (row_fits, column_fits):
        hit = t.make("logical_and", (fits, hit), (), "bool")
    padded = any(amount for pair in node.attrs["padding"] for amount in pair)
    for number in range(height * width - 1):
        a, b = row * down + (number // width - top), column * right + (number % width - left)
        earlier = t.make("gt", (own, t.literal(number, "i64")), (), "bool")
        if padded:
            a, a_in = _guarded(t, a, x.shape[1], 0)
            b, b_in = _guarded(t, b, x.shape[2], 0)
            for fits in (a_in, b_in):
                earlier = t.make("logical_and", (earlier, fits), (), "bool")
        same = t.make("eq", (t.element(x, (batch, a, b, channel)), best), (), "bool")
        taken = t.make("logical_and", (earlier, same), (), "bool")
        hit = t.make("logical_and", (hit, t.make("logical_not", (taken,), (), "bool")), (), "bool")
    return t.make("select", (hit, grad, t.literal(0.0, x.dtype)), (), x.dtype)


def _random_uniform(t: Tracer, node: Node, which: int, index: Index) -> Expr:
    seed, step = (t.element(v, ()) for v in node.operands)
    counter = Affine()
    for stride, position in zip(contiguous(node.results[0].shape), index, strict=True):
        counter = counter + position * stride
    stream = t.make("size", (), (node.attrs["stream"],))
    volume = shape_volume(node.results[0].shape)
    return t.make("philox_uniform", (seed, stream, t.index_value(counter), step), (volume,), "f32")


_RULES: dict[str, Rule] = {
    "broadcast_to": _broadcast_to,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
    "reverse": _reverse,
    "split": _split,
    "iota": _iota,
    "dim_size": _dim_size,
    "one_hot": _one_hot,
    "gather": _gather,
    "pad": _pad,
    "max_pool": _window("maximum", float("-inf")),
    "sum_pool": _window("add", 0.0),
    "max_pool_grad": _max_pool_grad,
    "random_uniform": _random_uniform,
}
