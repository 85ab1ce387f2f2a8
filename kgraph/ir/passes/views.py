"""Patterns about shapes: moves that cancel, merge, or pass below arithmetic, so that fusion meets fewer of them.

They are part of the pass `simplify`; each pattern says what it matches in one line.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kgraph.errors import InvalidArgumentError
from kgraph.ir.dims import DimLike, Shape, shape_volume
from kgraph.ir.graph import Literal, Node, Value, literal
from kgraph.ir.opdef import ELEMENTWISE, VIEW
from kgraph.ir.ops.rules import broadcast_shapes, normal_axes
from kgraph.ir.passes.base import Pattern, Rewriter

__all__ = ["SINK_PATTERNS", "VIEW_PATTERNS", "made_by", "reshape_groups", "splat"]


# -- matching -------------------------------------------------------------------------------------------------------
def made_by(value: Value, op: str) -> Node | None:
    """The node that makes `value`, when it is an `op`."""
    node = value.producer
    return node if node is not None and node.op.name == op else None


def splat(value: Value) -> Literal | None:
    """The literal that every element of `value` is, or None."""
    while not isinstance(value, Literal):
        node = value.producer
        if node is None or node.op.name not in ("broadcast_to", "reshape"):
            return None
        value = node.operands[0]
    return value


def _without_ones(shape: Shape) -> Shape:
    return tuple(dim for dim in shape if dim != 1)


def _reshaped(r: Rewriter, x: Value, shape: Shape) -> Value:
    value: Value = x if x.shape == shape else r.reshape(x, shape=shape)
    return value


def _broadcast(r: Rewriter, x: Value, shape: Shape) -> Value:
    value: Value = x if x.shape == shape else r.broadcast_to(x, shape=shape)
    return value


# -- constants ------------------------------------------------------------------------------------------------------
def _constant(node: Node, r: Rewriter) -> bool:
    """An array of one number -> that number repeated; a scalar -> a literal."""
    array = np.ascontiguousarray(node.attrs["value"])
    (result,) = node.results
    if array.size == 0 or (not result.shape and r.is_required(result)):
        return False
    elements = array.reshape(-1).view(np.uint8).reshape(array.size, -1)
    if not (elements == elements[0]).all():
        return False
    return r.replace(node, _broadcast(r, literal(array.reshape(-1)[0].item(), result.dtype), result.shape))


def _view_of_splat(node: Node, r: Rewriter) -> bool:
    """A view of one repeated number (a literal or not) -> the number repeated."""
    (x,) = node.operands
    number: Value | None = splat(x)
    if isinstance(x, Literal) and node.op.name == "broadcast_to":
        return False
    if number is None and (inner := made_by(x, "broadcast_to")) and inner.operands[0].type.volume == 1:
        number = _reshaped(r, inner.operands[0], ())
    return number is not None and r.replace(node, *[_broadcast(r, number, value.shape) for value in node.results])


# -- single views ---------------------------------------------------------------------------------------------------
def _same_shape(node: Node, r: Rewriter) -> bool:
    """reshape, broadcast_to to the shape that is there already."""
    (x,) = node.operands
    return x.shape == node.result.shape and r.replace(node, x)


def _reshape(node: Node, r: Rewriter) -> bool:
    """reshape(reshape(x))."""
    inner = made_by(node.operands[0], "reshape")
    return inner is not None and r.replace(node, _reshaped(r, inner.operands[0], node.result.shape))


def _broadcast_to(node: Node, r: Rewriter) -> bool:
    """broadcast_to that only adds leading axes of size 1 -> reshape; two in a row, or behind such a reshape -> one."""
    (x,), (result,) = node.operands, node.results
    if isinstance(x, Literal):
        return False
    if x.type.volume == result.type.volume:
        return r.replace(node, r.reshape(x, shape=result.shape))
    source = _broadcast_source(x)
    return source is not x and r.replace(node, r.broadcast_to(source, shape=result.shape))


def _transpose(node: Node, r: Rewriter) -> bool:
    """Identity; two in a row; only axes of size 1 change place -> reshape; of a product -> the product turned."""
    (x,), (result,) = node.operands, node.results
    perm = node.attrs["perm"]
    if perm == tuple(range(len(perm))):
        return r.replace(node, x)
    if inner := made_by(x, "transpose"):
        first = inner.attrs["perm"]
        return r.replace(node, r.transpose(inner.operands[0], perm=tuple(first[axis] for axis in perm)))
    moved = [axis for axis in perm if x.shape[axis] != 1]
    if moved == sorted(moved):
        return r.replace(node, r.reshape(x, shape=result.shape))
    if (inner := made_by(x, "matmul")) and _swaps_matrix(perm) and r.has_one_use(x):
        a, b = inner.operands
        flags = {"transpose_a": not inner.attrs["transpose_b"], "transpose_b": not inner.attrs["transpose_a"]}
        return r.replace(node, r.matmul(b, a, **flags))
    return False


def _swaps_matrix(perm: Sequence[int]) -> bool:
    rank = len(perm)
    return tuple(perm) == (*range(rank - 2), rank - 1, rank - 2)


def _matmul(node: Node, r: Rewriter) -> bool:
    """Transposed operands -> flags, which a kernel follows for free."""
    operands, attrs = list(node.operands), dict(node.attrs)
    for position, flag in enumerate(("transpose_a", "transpose_b")):
        inner = made_by(operands[position], "transpose")
        if inner is not None and _swaps_matrix(inner.attrs["perm"]):
            operands[position] = inner.operands[0]
            attrs[flag] = not attrs[flag]
    return operands != list(node.operands) and r.replace(node, r.matmul(*operands, **attrs))


def _split(node: Node, r: Rewriter) -> bool:
    """A single piece; pieces of a concat that were its operands."""
    (x,) = node.operands
    if len(node.results) == 1:
        return r.replace(node, x)
    inner = made_by(x, "concat")
    if inner is None or not _same_axis(inner, node, x.type.rank):
        return False
    types = [value.type for value in node.results]
    return [value.type for value in inner.operands] == types and r.replace(node, *inner.operands)


def _concat(node: Node, r: Rewriter) -> bool:
    """A single piece; all pieces of one split in order."""
    first = node.operands[0]
    if len(node.operands) == 1:
        return r.replace(node, first)
    inner = made_by(first, "split")
    if inner is None or inner.results != node.operands or not _same_axis(inner, node, first.type.rank):
        return False
    return r.replace(node, inner.operands[0])


def _same_axis(a: Node, b: Node, rank: int) -> bool:
    return bool(a.attrs["axis"] % rank == b.attrs["axis"] % rank)


def _slice(node: Node, r: Rewriter) -> bool:
    """Slice of everything."""
    (x,) = node.operands
    attrs = node.attrs
    whole = not any(attrs["starts"]) and attrs["limits"] == x.shape and all(step == 1 for step in attrs["strides"])
    return whole and r.replace(node, x)


def _pad(node: Node, r: Rewriter) -> bool:
    """Pad of nothing."""
    widths = (*node.attrs["low"], *node.attrs["high"], *node.attrs["interior"])
    return all(width == 0 for width in widths) and r.replace(node, node.operands[0])


def _reverse(node: Node, r: Rewriter) -> bool:
    """Reverse along no axis, or axes of size 1; twice along the same axes."""
    (x,) = node.operands
    axes = normal_axes("reverse", node.attrs["axes"], x.type.rank)
    if all(x.shape[axis] == 1 for axis in axes):
        return r.replace(node, x)
    inner = made_by(x, "reverse")
    if inner is None or normal_axes("reverse", inner.attrs["axes"], x.type.rank) != axes:
        return False
    return r.replace(node, inner.operands[0])


# -- reductions -----------------------------------------------------------------------------------------------------
def _normal_axes(node: Node, r: Rewriter) -> bool:
    """Axes counted from the front and sorted, so that equal nodes have equal attributes."""
    (x, *_), attrs = node.operands, dict(node.attrs)
    if "axis" in attrs:
        attrs["axis"] %= x.type.rank
    else:
        attrs["axes"] = normal_axes(node.op.name, attrs["axes"], x.type.rank)
    return attrs != node.attrs and r.replace(node, *r.node(node.op.name, node.operands, attrs).results)


def _reduce(node: Node, r: Rewriter) -> bool:
    """Over no axes, or axes of size 1 -> reshape."""
    (x,), (result,) = node.operands, node.results
    if any(x.shape[axis] != 1 for axis in node.attrs["axes"]) or x.dtype != result.dtype:
        return False
    return r.replace(node, _reshaped(r, x, result.shape))


def _reduce_reshape(node: Node, r: Rewriter) -> bool:
    """reduce(reshape(x)) -> reduce(x), when the reduced axes are whole groups of axes of x.

    Only when nothing else reads the reshaped tensor: its readers belong into one kernel, over one shape.
    """
    (x,), (result,) = node.operands, node.results
    inner = made_by(x, "reshape")
    if inner is None or not r.has_one_use(x):
        return False
    source = inner.operands[0]
    groups = reshape_groups(source.shape, x.shape)
    reduced = {axis for axis in normal_axes(node.op.name, node.attrs["axes"], x.type.rank) if x.shape[axis] != 1}
    if groups is None or not reduced:
        return False
    axes: list[int] = []
    for from_axes, to_axes in groups:
        large = {axis for axis in to_axes if x.shape[axis] != 1}
        if large & reduced:
            if large - reduced:
                return False
            axes += [axis for axis in from_axes if source.shape[axis] != 1]
    value = r.op(node.op.name, source, axes=tuple(axes), keepdims=False)
    return r.replace(node, _reshaped(r, value, result.shape))


def reshape_groups(source: Shape, target: Shape) -> list[tuple[list[int], list[int]]] | None:
    """Which axes of `source` become which axes of `target` in a reshape; None when the sizes do not tell.

    >>> reshape_groups((6, 4), (2, 3, 4))
    [([0], [0, 1]), ([1], [2])]
    """
    if 0 in source or 0 in target:
        return None
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(source) or j < len(target):
        left: DimLike = 1
        right: DimLike = 1
        first, second = i, j
        if i < len(source):
            left, i = source[i], i + 1
        if j < len(target):
            right, j = target[j], j + 1
        while left != right:
            if _is_larger(left, right):
                if j == len(target):
                    return None
                right, j = right * target[j], j + 1
            else:
                if i == len(source):
                    return None
                left, i = left * source[i], i + 1
        groups.append((list(range(first, i)), list(range(second, j))))
    return groups


def _is_larger(a: DimLike, b: DimLike) -> bool:
    if isinstance(a, int) and isinstance(b, int):
        return a > b
    try:
        _ = a // b
    except InvalidArgumentError:
        return False
    return True


def _reduce_broadcast(node: Node, r: Rewriter) -> bool:
    """sum, max, min of something repeated -> of what is repeated; a sum also times the size of the repeated axes."""
    (x,), (result,) = node.operands, node.results
    inner = made_by(x, "broadcast_to")
    if inner is None:
        return False
    (source,) = inner.operands
    lead = x.type.rank - source.type.rank
    axes = normal_axes(node.op.name, node.attrs["axes"], x.type.rank)
    repeated = [a for a in axes if x.shape[a] != 1 and (a < lead or source.shape[a - lead] == 1)]
    count = shape_volume(tuple(x.shape[axis] for axis in repeated))
    if not axes or not _is_positive(count, r) or (node.op.name == "sum" and not _counts(x.dtype)):
        return False
    rest = tuple(a - lead for a in axes if a >= lead and a not in repeated)
    value = r.op(node.op.name, source, axes=rest, keepdims=True) if rest else source
    if node.op.name == "sum" and count != 1:
        size = literal(count, x.dtype) if isinstance(count, int) else r.dim_size(dim=count, dtype=x.dtype)
        value = r.mul(value, size)
    kept = tuple(1 if axis in axes else dim for axis, dim in enumerate(x.shape))
    return r.replace(node, _reshaped(r, _broadcast(r, value, kept), result.shape))


def _counts(dtype: str) -> bool:
    """Whether sizes are numbers of this type without overflow."""
    return dtype in ("f32", "f64", "i32", "i64")


def _is_positive(size: DimLike, r: Rewriter) -> bool:
    if isinstance(size, int):
        return size > 0
    symbols = r.graph.symbols
    return all(c > 0 for _, c in size.terms) and all(symbols.get(name, 1) >= 1 for name in size.symbols)


# -- arithmetic on views --------------------------------------------------------------------------------------------
def _broadcast_source(value: Value) -> Value:
    """What `value` repeats; also through a reshape that only adds leading axes of size 1."""
    node = value.producer
    if node is None:
        return value
    if node.op.name == "broadcast_to":
        return node.operands[0]
    if node.op.name == "reshape":
        source = node.operands[0]
        added = len(value.shape) - len(source.shape)
        if added >= 0 and value.shape == (1,) * added + source.shape:
            return source
    return value


def _elementwise_of_broadcast(node: Node, r: Rewriter) -> bool:
    """f(broadcast_to(x), y): f broadcasts by itself; when nothing else is as large, repeat the result instead."""
    if ELEMENTWISE not in node.op.traits or not node.result.shape:
        return False
    sources = [_broadcast_source(value) for value in node.operands]
    if all(a is b for a, b in zip(sources, node.operands)):
        return False
    shape = broadcast_shapes(node.op.name, [value.shape for value in sources])
    value = r.node(node.op.name, sources, node.attrs).results[0]
    return r.replace(node, value if shape == node.result.shape else r.broadcast_to(value, shape=node.result.shape))


# Kernels that take arithmetic on their result along; sinking a reshape below that arithmetic lets them.
_NO_EPILOGUE = frozenset({"concat", "constant", "iota", "kernel", "one_hot", "random_uniform", "scan", "stop_gradient"})


def _sink_reshape(node: Node, r: Rewriter) -> bool:
    """f(reshape(x), y) -> reshape(f(x, y)), where y is a scalar, was reshaped alike, or spans only axes that stay.

    Reshapes that merely add or drop axes of size 1 stay: kernels see through them.
    """
    if ELEMENTWISE not in node.op.traits:
        return False
    (result,) = node.results
    shape = next((s for value in node.operands if (s := _regrouped(value, result.shape)) is not None), None)
    if shape is None:
        return False
    common = 0  # axes at the end that the reshape keeps
    while common < min(len(shape), len(result.shape)) and shape[-1 - common] == result.shape[-1 - common]:
        common += 1
    operands: list[Value] = []
    worthwhile = False
    stripped: dict[int, Shape] = {}
    for position, value in enumerate(node.operands):
        if _regrouped(value, result.shape) == shape and value.producer is not None:
            value = value.producer.operands[0]
            worthwhile |= _takes_epilogue(value)
        elif len(value.shape) > common:
            kept = value.shape
            while kept and kept[0] == 1:
                kept = kept[1:]
            if len(kept) > common:
                return False
            stripped[position] = kept
        operands.append(value)
    if not worthwhile:
        return False
    for position, kept in stripped.items():
        operands[position] = r.reshape(operands[position], shape=kept)
    value = r.node(node.op.name, operands, node.attrs).results[0]
    return r.replace(node, r.reshape(value, shape=result.shape))


def _regrouped(value: Value, shape: Shape) -> Shape | None:
    """The shape before the reshape that made `value` of the given shape, unless only axes of size 1 came or went."""
    node = made_by(value, "reshape")
    if node is None or value.shape != shape:
        return None
    before = node.operands[0].shape
    return None if _without_ones(before) == _without_ones(shape) else before


def _takes_epilogue(value: Value) -> bool:
    node = value.producer
    return node is not None and VIEW not in node.op.traits and node.op.name not in _NO_EPILOGUE


_REDUCTIONS = ("sum", "max", "min", "prod")

VIEW_PATTERNS = [
    Pattern(("constant",), _constant),
    Pattern(("reshape", "broadcast_to", "transpose", "slice", "split", "reverse"), _view_of_splat),
    Pattern(("reshape", "broadcast_to"), _same_shape),
    Pattern(("reshape",), _reshape),
    Pattern(("broadcast_to",), _broadcast_to),
    Pattern(("transpose",), _transpose),
    Pattern(("matmul",), _matmul),
    Pattern(("split",), _split),
    Pattern(("concat",), _concat),
    Pattern(("slice",), _slice),
    Pattern(("pad",), _pad),
    Pattern(("reverse",), _reverse),
    Pattern((*_REDUCTIONS, "argmax", "argmin", "cumsum", "concat", "split"), _normal_axes),
    Pattern(_REDUCTIONS, _reduce),
    Pattern(_REDUCTIONS, _reduce_reshape),
    Pattern(("sum", "max", "min"), _reduce_broadcast),
    Pattern((), _elementwise_of_broadcast),
]
SINK_PATTERNS = [Pattern((), _sink_reshape)]
