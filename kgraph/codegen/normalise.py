"""Bring an optimised graph into the form that fusion expects.

After this pass: convolutions have no padding (an explicit `pad` stands before them), kernels of one pixel no stride (a
`slice` does), reductions fold one contiguous run of axes, `argmax` looks along the last axis, what a kernel must find
in memory is not a mere view, and every output and update is a value of its own.  All rewrites keep the meaning; the
result is an ordinary graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kgraph.codegen.few_filters import convolve_by_taps, kernel_gradient_by_taps
from kgraph.ir.builder import Builder
from kgraph.ir.dims import Shape, shape_volume
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import ELEMENTWISE
from kgraph.ir.passes.base import PassContext
from kgraph.ir.passes.cleanup import CommonSubexpressions
from kgraph.ir.types import is_float

__all__ = [
    "ANCHORS",
    "INLINE",
    "in_tile_operands",
    "is_alias",
    "is_anchor",
    "is_inline",
    "memory_operands",
    "normalise",
]

# Computed inside whichever kernel reads them: they only move or make up indices.
INLINE = frozenset({"broadcast_to", "transpose", "slice", "reverse", "split", "iota", "dim_size", "one_hot"})
# Kernels of their own, around which elementwise work is gathered (but see `is_anchor`).
ANCHORS = frozenset(
    "matmul conv2d conv2d_kernel_grad max_pool_grad scatter_add scatter_rows cumsum argsort concat scan attention "
    "attention_grad".split()
)
# Operands that a kernel computes element by element as it goes over the pairs of places: masks, biases, dropout.
_IN_TILE: dict[str, tuple[int, ...]] = {"attention": (3, 4, 5), "attention_grad": (3, 4, 5)}

_PLACES_AGAIN = 9
"""Places of a window up to which each of its elements may compare itself with all others."""


def is_anchor(node: Node) -> bool:
    """Whether the node has a kernel of its own.

    The gradient of small windows that lie apart has none: each element belongs to one window at most, so it can be
    computed element by element in whichever kernel goes on with it, if looking at the whole window again costs little.
    """
    if node.op.name == "max_pool_grad":
        window, strides = node.attrs["window"], node.attrs["strides"]
        apart = all(size <= stride for size, stride in zip(window, strides, strict=True))
        return not apart or math.prod(window) > _PLACES_AGAIN
    return node.op.name in ANCHORS


def _without_ones(shape: Shape) -> Shape:
    return tuple(dim for dim in shape if dim != 1)


def is_alias(node: Node) -> bool:
    """A reshape that regroups elements: free in memory, but not expressible as an index map."""
    return node.op.name == "reshape" and not is_inline(node)


def in_tile_operands(node: Node) -> list[Value]:
    """The operands that the node's kernel computes where it needs them."""
    return [node.operands[place] for place in _IN_TILE.get(node.op.name, ())]


def memory_operands(node: Node) -> list[Value]:
    """The operands that the node's kernel finds in memory."""
    return [value for place, value in enumerate(node.operands) if place not in _IN_TILE.get(node.op.name, ())]


def is_inline(node: Node) -> bool:
    """Whether the node is computed inside its readers: views, indices, reshapes that add or drop axes of size 1."""
    if node.op.name == "reshape":
        return _without_ones(node.operands[0].shape) == _without_ones(node.results[0].shape)
    return node.op.name in INLINE


# Kernels that walk their operands and results as plain row-major arrays.
_ROW_MAJOR = frozenset("scatter_add scatter_rows max_pool_grad conv2d_kernel_grad cumsum argsort".split())


def normalise(graph: Graph, *, in_loop: bool = False) -> None:
    """Rewrite `graph` in place; see the module text.

    The body of a loop reads and writes slices, which are not row-major.
    """
    _sweep(graph, _apply_rule)
    _sweep(graph, lambda b, graph, node: _materialise_operands(b, node, in_loop))
    # A convolution and its gradient pad the same picture, two products may turn the same matrix.
    CommonSubexpressions().run(graph, PassContext())
    # Bodies after that: it would merge the copies that give each of their results a node of its own.
    for node in graph.nodes:
        for region in node.regions:
            normalise(region, in_loop=True)
    _distinct_results(graph, in_loop)
    graph.remove_dead()


def _sweep(graph: Graph, visit: Callable[[Builder, Graph, Node], bool]) -> None:
    """Rebuild the node list: what `visit` builds comes before the node, which goes when `visit` returns True."""
    rewritten: list[Node] = []
    b = Builder(graph, into=rewritten)
    for node in graph.nodes:
        with b.location(node.loc):
            if visit(b, graph, node):
                node.drop_uses()
            else:
                rewritten.append(node)
    graph.nodes = rewritten


def _apply_rule(b: Builder, graph: Graph, node: Node) -> bool:
    rule = _RULES.get(node.op.name)
    replaced = rule(b, node) if rule else None
    for old, new in zip(node.results, replaced or (), strict=False):
        graph.replace(old, new)
    return replaced is not None


def _materialise_operands(b: Builder, node: Node, in_loop: bool) -> bool:
    """Copy operands that must lie in memory but are views (in loops also slices, where rows must be whole)."""
    if not is_anchor(node) and not is_alias(node):
        return False
    row_major = in_loop and (is_alias(node) or node.op.name in _ROW_MAJOR)
    computed = _IN_TILE.get(node.op.name, ())
    for position, value in enumerate(node.operands):
        if position in computed:
            continue
        producer = value.producer
        sliced = producer is None and (row_major or (in_loop and node.op.name == "scan"))
        if value.literal is not None or sliced or (producer is not None and is_inline(producer)):
            node.set_operand(position, b.op("stop_gradient", value))
    return False


def _is_row_major(node: Node | None) -> bool:
    return node is not None and (node.op.name in _ROW_MAJOR or node.op.name == "scan" or is_alias(node))


def _distinct_results(graph: Graph, in_loop: bool) -> None:
    """Give every output and update a node of its own, so that each can be written where it must end up."""
    b = Builder(graph)
    taken: set[Value] = set()

    def own(value: Value) -> Value:
        producer = value.producer
        bare = producer is None or is_inline(producer) or is_alias(producer) or producer.op.name in ("scan", "constant")
        if bare or value in taken or (in_loop and (_is_row_major(producer) or any(map(_is_row_major, value.uses)))):
            value = b.op("stop_gradient", value)
        taken.add(value)
        return value

    graph.updates = [(param, own(value)) for param, value in graph.updates]
    graph.outputs = [own(value) for value in graph.outputs]


# -- rules: (builder, node) -> replacement values, or None to keep the node ------------------------------------------
def _normal_convolution(b: Builder, node: Node) -> Sequence[Value] | None:
    for rule in (_convolve_before_spreading, _take_pixels_first, convolve_by_taps, _pad_convolution):
        found = rule(b, node)
        if found is not None:
            return found
    return None


def _normal_kernel_gradient(b: Builder, node: Node) -> Sequence[Value] | None:
    return _take_pixels_first(b, node) or kernel_gradient_by_taps(b, node) or _pad_convolution(b, node)


def _take_pixels_first(b: Builder, node: Node) -> Sequence[Value] | None:
    """A kernel of one pixel at a stride reads few pixels of the picture: copied together, they make one product.

    The convolutions that read the same picture, and their weight gradients, share the copy.
    """
    x, other = node.operands
    kernel = node.attrs.get("kernel_shape", other.shape)
    pixels = x.shape[1:3]
    if kernel[:2] != (1, 1) or node.attrs["strides"] == (1, 1) or not all(isinstance(dim, int) for dim in pixels):
        return None
    if any(amount for pair in node.attrs["padding"] for amount in pair):
        return None
    steps = (1, *node.attrs["strides"], 1)
    taken = b.op("slice", x, starts=(0,) * 4, limits=x.shape, strides=steps)
    return [b.op(node.op.name, taken, other, **{**node.attrs, "strides": (1, 1)})]


def _convolve_before_spreading(b: Builder, node: Node) -> Sequence[Value] | None:
    """A kernel of one pixel takes zeros to zeros, so those put between pixels (the gradient of strides) come after."""
    x, kernel = node.operands
    pad = x.producer
    pointwise = kernel.shape[:2] == (1, 1) and node.attrs["strides"] == (1, 1) and node.attrs["groups"] == 1
    if not pointwise or any(amount for pair in node.attrs["padding"] for amount in pair):
        return None
    if pad is None or pad.op.name != "pad" or pad.operands[1].literal != 0.0:
        return None
    amounts = [pad.attrs[name] for name in ("low", "high", "interior")]
    if not any(amounts[2]) or any(amount[axis] for amount in amounts for axis in (0, 3)):
        return None
    y = b.op("conv2d", pad.operands[0], kernel, **node.attrs)
    return [b.op("pad", y, 0.0, **pad.attrs)]


def _pad_convolution(b: Builder, node: Node) -> Sequence[Value] | None:
    padding = node.attrs["padding"]
    if not any(amount for pair in padding for amount in pair):
        return None
    low = (0, *(pair[0] for pair in padding), 0)
    high = (0, *(pair[1] for pair in padding), 0)
    x, other = node.operands
    padded = b.op("pad", x, 0.0, low=low, high=high, interior=(0, 0, 0, 0))
    attrs = {**node.attrs, "padding": ((0, 0), (0, 0))}
    return [b.op(node.op.name, padded, other, **attrs)]


def _contiguous_runs(axes: Sequence[int], shape: Shape) -> list[list[int]]:
    """Axes grouped into runs; axes of size 1 in between do not interrupt a run."""
    runs: list[list[int]] = []
    for axis in axes:
        if runs and all(shape[between] == 1 for between in range(runs[-1][-1] + 1, axis)):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


MUCH = 512
"""Elements of a row (all axes but the first) from which a sum of everything is worth more than one task."""


def _is_much(axes: Sequence[int], shape: Shape) -> bool:
    """Whether everything is folded, and much of it: rows first, each in a task of its own, then what they gave."""
    if len(axes) < 2 or any(dim != 1 for axis, dim in enumerate(shape) if axis not in axes):
        return False
    width = shape_volume(tuple(shape[axis] for axis in axes[1:]))
    return shape[axes[0]] != 1 and not (isinstance(width, int) and width < MUCH)


def _split_reduction(b: Builder, node: Node) -> Sequence[Value] | None:
    x, axes, keepdims = node.operands[0], node.attrs["axes"], node.attrs["keepdims"]
    if not axes:
        return [b.op("stop_gradient", x)]
    runs = _contiguous_runs(axes, x.shape)
    if len(runs) == 1 and _is_much(runs[0], x.shape):
        runs = [runs[0][:1], runs[0][1:]]
    if len(runs) == 1:
        return None
    value = x
    for run in reversed(runs):  # trailing runs first: those are rows kernels
        value = b.op(node.op.name, value, axes=tuple(run), keepdims=True)
    return [value if keepdims else b.op("reshape", value, shape=node.results[0].shape)]


def _argument_last(b: Builder, node: Node) -> Sequence[Value] | None:
    x = node.operands[0]
    axis = node.attrs["axis"] % x.type.rank
    if axis == x.type.rank - 1:
        return None
    perm = tuple(d for d in range(x.type.rank) if d != axis) + (axis,)
    moved = b.op("stop_gradient", b.op("transpose", x, perm=perm))
    return [b.op(node.op.name, moved, axis=x.type.rank - 1)]


SPARSE_WIDTH = 16
"""Elements of a row from which it pays to ask whether the row got an update."""


def _sparse_rows(b: Builder, node: Node) -> Sequence[Value] | None:
    """A gradient of rows that only elementwise work reads: rows that no index names are neither written nor read."""
    (table,) = node.results
    width = shape_volume(table.shape[1:])
    readers_fit = all(ELEMENTWISE in user.op.traits and user.results[0].shape == table.shape for user in table.uses)
    if not (isinstance(width, int) and width >= SPARSE_WIDTH and table.uses and readers_fit):
        return None
    if any(table is value for value in b.graph.required()):
        return None
    sums, hit = b.op("scatter_rows", *node.operands, rows=node.attrs["rows"])
    spread = b.op("reshape", hit, shape=(table.shape[0], *(1,) * (len(table.shape) - 1)))
    return [b.op("select", spread, sums, 0.0 if is_float(table.dtype) else 0)]


_RULES: dict[str, Callable[[Builder, Node], Sequence[Value] | None]] = {
    "conv2d": _normal_convolution,
    "conv2d_kernel_grad": _normal_kernel_gradient,
    "scatter_add": _sparse_rows,
    **{name: _split_reduction for name in ("sum", "max", "min", "prod")},
    **{name: _argument_last for name in ("argmax", "argmin")},
}
