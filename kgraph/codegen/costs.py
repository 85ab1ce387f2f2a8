"""What kernels cost: arithmetic and bytes, counted from the schedule alone.

One rule per op, in one table (`RULES`).  What is counted:

- `flops`: additions, multiplications, divisions, square roots, roundings and comparisons of floating-point elements,
  one each; a product of [M, K] and [K, N] has 2 M N K.  Convolutions count the taps in the padding too.
- `special`: exponentials, logarithms, trigonometric functions, powers and random numbers, each one, in a column of
  their own: a kernel computes one with a polynomial of some `SPECIAL_FLOPS` operations.
- `read`, `written`: bytes of operands and results, each once a call, as if nothing stayed in a cache from kernel to
  kernel.  Of a table only the rows (or slices) that are used count.

Moves, selections, casts, and arithmetic on integers and bits are free.  Every node of a region counts once over its own
shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from kgraph.ir.dims import Dim, DimLike, shape_volume
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import ELEMENTWISE, REDUCTION
from kgraph.ir.types import is_float, itemsize

__all__ = ["RULES", "SPECIAL_FLOPS", "Cost", "KernelCost", "kernel_costs", "op_cost"]

SPECIAL_FLOPS = 16
"""What a special function weighs against the machine's peak: `exp` and `log` of f32 take 12 to 20 operations here."""


@dataclass(frozen=True)
class Cost:
    """Arithmetic (operations) and memory traffic (bytes); see the text of this module for what counts."""

    flops: int = 0
    special: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.special + other.special,
            self.read + other.read,
            self.written + other.written,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(self.flops * times, self.special * times, self.read * times, self.written * times)

    @property
    def bytes(self) -> int:
        """Read and written."""
        return self.read + self.written

    @property
    def work(self) -> int:
        """Operations, a special function taken for `SPECIAL_FLOPS`."""
        return self.flops + SPECIAL_FLOPS * self.special


class _Sizes:
    """Evaluates symbolic sizes."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes

    def of(self, dim: DimLike) -> int:
        return dim.evaluate(self.sizes) if isinstance(dim, Dim) else dim

    def volume(self, value: Value) -> int:
        return self.of(shape_volume(value.shape))

    def bytes(self, value: Value) -> int:
        return self.volume(value) * itemsize(value.dtype)


Rule = Callable[[Node, _Sizes], Cost]


# -- one rule per op --------------------------------------------------------------------------------------------------
def _free(node: Node, sizes: _Sizes) -> Cost:
    return Cost()


def _per_element(flops: int = 0, special: int = 0) -> Rule:
    """So many operations for each element of the result, where floating-point numbers are at work."""

    def rule(node: Node, sizes: _Sizes) -> Cost:
        if not any(is_float(value.dtype) for value in (*node.operands, *node.results)):
            return Cost()
        volume = sizes.volume(node.results[0])
        return Cost(flops * volume, special * volume)

    return rule


def _folding(node: Node, sizes: _Sizes) -> Cost:
    """One operation less than there are elements to fold."""
    if not is_float(node.operands[0].dtype):
        return Cost()
    return Cost(max(0, sizes.volume(node.operands[0]) - sizes.volume(node.results[0])))


def _matmul(node: Node, sizes: _Sizes) -> Cost:
    terms = node.operands[0].shape[-2 if node.attrs["transpose_a"] else -1]
    return Cost(2 * sizes.volume(node.results[0]) * sizes.of(terms))


def _conv2d(node: Node, sizes: _Sizes) -> Cost:
    taps = shape_volume(node.operands[1].shape[:-1])  # kernel height and width, channels of a group
    return Cost(2 * sizes.volume(node.results[0]) * sizes.of(taps))


def _conv2d_kernel_grad(node: Node, sizes: _Sizes) -> Cost:
    taps = shape_volume(node.results[0].shape[:-1])
    return Cost(2 * sizes.volume(node.operands[1]) * sizes.of(taps))


def _pooling(node: Node, sizes: _Sizes) -> Cost:
    places = math.prod(node.attrs["window"])
    return Cost(max(0, places - 1) * sizes.volume(node.results[0]))


def _max_pool_grad(node: Node, sizes: _Sizes) -> Cost:
    """Each place of a window is compared with its greatest element, and one gets the gradient added."""
    return Cost((math.prod(node.attrs["window"]) + 1) * sizes.volume(node.operands[1]))


def _scatter(node: Node, sizes: _Sizes) -> Cost:
    """One addition for each element of the updates."""
    return Cost(sizes.volume(node.operands[1]) if is_float(node.operands[1].dtype) else 0)


def _argsort(node: Node, sizes: _Sizes) -> Cost:
    """The n log2 n comparisons of a merge sort for each row."""
    length = sizes.of(node.operands[0].shape[-1])
    return Cost(sizes.volume(node.operands[0]) * math.ceil(math.log2(length)) if length > 1 else 0)


def _softmax(flops: int, per_row: int) -> Rule:
    """Greatest element, shift, exponentials, their sum, and what follows; logarithms count once a row."""

    def rule(node: Node, sizes: _Sizes) -> Cost:
        volume = sizes.volume(node.results[0])
        rows = volume // max(1, sizes.of(node.results[0].shape[node.attrs["axis"]]))
        return Cost(flops * volume - 2 * rows, volume + per_row * rows)

    return rule


def _attention(depth: int, width: int, flops: int) -> Rule:
    """Products over features of queries and of values, and operations and one exponential for each pair of places.

    Pairs that a mask hides count too.
    """

    def rule(node: Node, sizes: _Sizes) -> Cost:
        (batch, rows, heads, features), (_, keys, _, value_features) = node.operands[0].shape, node.operands[2].shape
        pairs = sizes.of(batch * heads * rows * keys)
        per_pair = 2 * (depth * sizes.of(features) + width * sizes.of(value_features)) + flops
        return Cost(pairs * per_pair, pairs)

    return rule


def _region(node: Node, sizes: _Sizes) -> Cost:
    cost = Cost()
    for inner in node.regions[0].nodes:
        cost = cost + _rule(inner)(inner, sizes)
    return cost


def _scan(node: Node, sizes: _Sizes) -> Cost:
    return _region(node, sizes) * sizes.of(node.attrs["length"])


def _table() -> dict[str, Rule]:
    arithmetic = (
        "neg abs sign sqrt rsqrt floor ceil round relu add sub mul div maximum minimum mod floor_div gt ge lt le eq ne "
        "is_nan is_finite cumsum"
    )
    special = "exp expm1 log log1p sin cos tanh sigmoid softplus erf erfc atan atan2 pow random_uniform"
    moves = (
        "cast select stop_gradient bitcast bit_and bit_or bit_xor bit_not shift_left shift_right logical_not "
        "logical_and logical_or logical_xor reshape transpose broadcast_to concat split slice pad reverse iota "
        "dim_size constant gather one_hot watch gradients"
    )
    rules: dict[str, Rule] = dict.fromkeys(arithmetic.split(), _per_element(1))
    rules.update(dict.fromkeys(special.split(), _per_element(0, 1)))
    rules.update(dict.fromkeys(moves.split(), _free))
    rules.update(dict.fromkeys("sum max min prod argmax argmin".split(), _folding))
    rules.update(dict.fromkeys(("max_pool", "sum_pool"), _pooling))
    rules.update(dict.fromkeys(("scatter_add", "scatter_rows"), _scatter))
    rules.update(matmul=_matmul, conv2d=_conv2d, conv2d_kernel_grad=_conv2d_kernel_grad)
    rules.update(max_pool_grad=_max_pool_grad, argsort=_argsort)
    # Scores and their sum over values; scores again, gradients of weights, values, queries and keys.
    rules.update(attention=_attention(1, 1, 4), attention_grad=_attention(3, 2, 5))
    rules.update(softmax=_softmax(4, 0), log_softmax=_softmax(4, 1), kernel=_region, scan=_scan)
    return rules


RULES: dict[str, Rule] = _table()
"""The rule of every op; one that is not here counts by its traits."""


def _rule(node: Node) -> Rule:
    found = RULES.get(node.op.name)
    if found is not None:
        return found
    if ELEMENTWISE in node.op.traits:
        return _per_element(1)
    return _folding if REDUCTION in node.op.traits else _free


def op_cost(node: Node, sizes: Mapping[str, int]) -> Cost:
    """Arithmetic of one node; of a `kernel` or a `scan` that of its region.

    Args:
        node: of any stage.
        sizes: of each symbol.
    """
    return _rule(node)(node, _Sizes(sizes))


# -- kernels ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class KernelCost:
    """A kernel of a schedule and what it costs.

    Attributes:
        node: the kernel.
        turns: how often it runs in one run of the program: the product of the lengths of the loops around it.
        cost: of all turns together.
        loop: the outermost `scan` around it, if there is one.
    """

    node: Node
    turns: int
    cost: Cost
    loop: Node | None = None


def kernel_costs(
    schedule: Graph, sizes: Mapping[str, int], in_place: Mapping[Node, AbstractSet[Value]] | None = None
) -> list[KernelCost]:
    """What each kernel of a schedule costs, in program order, those of loop bodies included.

    Args:
        schedule: a graph of stage "schedule".
        sizes: of each symbol.
        in_place: for concatenations the operands that lie in the result already.
    """
    known = _Sizes(sizes)
    return list(_walk(schedule, known, 1, None, _rows_touched(schedule, known), in_place or {}))


def _walk(
    graph: Graph,
    sizes: _Sizes,
    turns: int,
    loop: Node | None,
    touched: Mapping[Value, int],
    in_place: Mapping[Node, AbstractSet[Value]],
) -> Iterator[KernelCost]:
    for node in graph.nodes:
        if node.op.name == "scan":
            length = sizes.of(node.attrs["length"])
            yield from _walk(node.regions[0], sizes, turns * length, loop or node, touched, in_place)
        elif node.op.name == "kernel":
            partly = _partly_used(node, touched)
            traffic = _traffic(node, sizes, touched, partly, in_place.get(node, frozenset()))
            yield KernelCost(node, turns, (_arithmetic(node, sizes, partly) + traffic) * turns, loop)


def _arithmetic(kernel: Node, sizes: _Sizes, partly: Mapping[Value, int]) -> Cost:
    """Operations of one turn."""
    cost = Cost()
    for node in kernel.regions[0].nodes:
        found, rows = _rule(node)(node, sizes), partly.get(node.results[0])
        if rows is not None:
            elements, whole = _rows_of(node.results[0], rows, sizes), max(1, sizes.volume(node.results[0]))
            found = Cost(found.flops * elements // whole, found.special * elements // whole)
        cost = cost + found
    return cost


def _traffic(
    kernel: Node,
    sizes: _Sizes,
    touched: Mapping[Value, int],
    partly: Mapping[Value, int],
    in_place: AbstractSet[Value],
) -> Cost:
    """Bytes that one turn reads and writes."""
    region = kernel.regions[0]
    if kernel.attrs["family"] == "concat":
        moved = sum(sizes.bytes(value) for value in kernel.operands if value not in in_place)
        return Cost(read=moved, written=moved)
    read = written = 0
    for inner in region.inputs:
        elements = _elements_read(inner, region, sizes)
        rows = partly.get(inner)
        read += (elements if rows is None else _rows_of(inner, rows, sizes)) * itemsize(inner.dtype)
    for inner, outer in zip(region.outputs, kernel.results, strict=True):
        rows = touched.get(outer, partly.get(inner))
        elements = sizes.volume(outer) if rows is None else _rows_of(outer, rows, sizes)
        written += elements * itemsize(outer.dtype)
    return Cost(read=read, written=written)


def _elements_read(value: Value, region: Graph, sizes: _Sizes) -> int:
    """Elements of an operand that its readers use: of a table the rows that are asked for, of a slice itself."""
    whole = sizes.volume(value)
    if value in region.outputs:
        return whole
    read = 0
    for reader in value.uses:
        if reader.op.name == "gather" and reader.operands[1] is not value:
            read += sizes.volume(reader.result)
        elif reader.op.name in ("slice", "split"):
            read += sum(_elements_read(part, region, sizes) for part in reader.results)
        else:
            return whole
    return min(whole, read)


# -- tables of which a step touches few rows --------------------------------------------------------------------------
def _rows_of(value: Value, rows: int, sizes: _Sizes) -> int:
    """Elements of the first `rows` rows."""
    return min(rows, sizes.of(value.shape[0])) * sizes.of(shape_volume(value.shape[1:]))


def _rows_touched(graph: Graph, sizes: _Sizes) -> dict[Value, int]:
    """Sums of `scatter_rows`, and how many of their rows are written at most: one for each id."""
    found: dict[Value, int] = {}
    for kernel in graph.nodes:
        for region in kernel.regions if kernel.op.name == "kernel" else ():
            for node in region.nodes:
                if node.op.name == "scatter_rows" and node.results[0] in region.outputs:
                    sums = kernel.results[region.outputs.index(node.results[0])]
                    found[sums] = sizes.volume(node.operands[0])
    return found


def _partly_used(kernel: Node, touched: Mapping[Value, int]) -> dict[Value, int]:
    """Values of a region of which the kernel passes over the rows that got no update, and the rows it does touch.

    For such a row the gradient is 0.  An output that is then an input unchanged is not written, and what only such
    outputs need is neither read nor computed.
    """
    region = kernel.regions[0]
    tables = {inner: touched[outer] for inner, outer in zip(region.inputs, kernel.operands) if outer in touched}
    if not tables:
        return {}
    rows, shapes = max(tables.values()), {table.shape for table in tables}
    stands: dict[Value, Value | None] = dict.fromkeys(tables)  # None: zero
    for node in region.nodes:
        if len(node.results) == 1:
            stands[node.result] = _without_update(node, stands)
    alone = [value for value in region.outputs if value.shape in shapes and stands.get(value) in region.inputs]
    needed: set[Value] = set()
    stack = [value for value in region.outputs if value not in alone]
    while stack:
        value = stands.get(stack[-1], stack[-1])
        stack.pop()
        if value is not None and value not in needed:
            needed.add(value)
            stack.extend(value.producer.operands if value.producer is not None else ())
    values = [*region.inputs, *(result for node in region.nodes for result in node.results)]
    spared = [value for value in values if value.shape in shapes and value not in needed]
    return dict.fromkeys([*alone, *spared], rows)


def _without_update(node: Node, stands: Mapping[Value, Value | None]) -> Value | None:
    """What the result of a node is where gradients of rows are 0: another value, None for 0, or itself."""
    operands = [None if value.literal == 0 else stands.get(value, value) for value in node.operands]
    name = node.op.name
    if name == "mul" and None in operands:
        return None
    if name in ("div", "neg", *_VIEWS) and operands[0] is None:
        return None
    if name == "select" and operands[1] is None and operands[2] is None:
        return None
    if name in ("add", "sub") and operands[1] is None:
        return operands[0]
    if name == "add" and operands[0] is None:
        return operands[1]
    return node.result


_VIEWS = ("reshape", "broadcast_to", "transpose", "cast")
