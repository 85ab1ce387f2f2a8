"""Attention written with products and a softmax becomes one op, whose kernel keeps no scores of all pairs.

What is looked for is `matmul(drop(softmax(scores)), v)`, where the scores are a product of queries and keys, times
numbers, plus a bias, replaced where a mask is false; all but the last result read by nothing else. A mask that is
causal, alone or with others, is noted as such, so that kernels can leave out what no query of a block sees.

Requires: gradients are not there yet, since they would read the scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from kgraph.config import settings
from kgraph.ir.dims import Shape
from kgraph.ir.graph import Graph, Literal, Node, Value, literal
from kgraph.ir.passes.base import Pass, PassContext, Pattern, Rewriter, rewrite
from kgraph.ir.passes.cleanup import rounded
from kgraph.ir.passes.views import made_by

__all__ = ["FuseAttention"]


@dataclass(frozen=True)
class FuseAttention(Pass):
    """matmul, scale, bias, mask, softmax, dropout, matmul -> `attention`.

    min_pairs: pairs of a query and a key per head from which it pays, fewer are quicker as they are written; unknown
        sizes count as many.
    Example (golden): tests/golden/ir/fuse_attention/causal.kg
    """

    name: ClassVar[str] = "fuse-attention"
    min_pairs: int = 8

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when there was one."""
        if settings().attention == "unfused":
            ctx.decline("attention not fused: KGRAPH_ATTENTION says so")
            return False
        return rewrite(graph, [Pattern(("matmul",), lambda node, r: _fuse(node, r, self.min_pairs))], ctx)


@dataclass
class _Found:
    """An attention being taken apart, from its result to its queries.

    Attributes:
        nodes: what it is made of.
        softmax: the softmax, once it is met.
        product: the product of queries and keys, once it is met.
        mask: where it is false, scores are `fill`.
        kept: conditions, where one of them is false a weight is 0.
        factor: by which weights are multiplied.
        bias: what is added to the scores.
        offset: (mask; a number that is added to the scores where it is false).
        scale: by which scores are multiplied.
        scalar: a further factor of the scores, not known before the program runs.
    """

    nodes: list[Node]
    softmax: Node | None = None
    product: Node | None = None
    mask: Value | None = None
    fill: float = -1e30
    kept: list[Value] | None = None
    factor: float = 1.0
    bias: Value | None = None
    offset: tuple[Value, float] | None = None
    scale: float = 1.0
    scalar: Value | None = None


def _fuse(node: Node, r: Rewriter, min_pairs: int) -> bool:
    found = _Found([node], kept=[])
    if node.attrs["transpose_a"] or node.results[0].dtype not in ("f32", "f64"):
        return False
    if not (_take_weights(node.operands[0], found) and _take_scores(found)):
        return False
    inner = {value for each in found.nodes for value in each.results if each is not node}
    if any(r.is_required(value) or any(user not in found.nodes for user in value.uses) for value in inner):
        r.ctx.decline("attention not fused: its weights or scores are read elsewhere")
        return False
    pairs = node.operands[0].shape
    sizes = [dim for dim in pairs[-2:] if isinstance(dim, int)]
    if len(pairs) > 4 or (len(sizes) == 2 and prod(sizes) < min_pairs):
        r.ctx.decline(f"attention not fused: its weights have the shape {pairs}")
        return False
    return _build(node, found, r)


# -- taking apart ---------------------------------------------------------------------------------------------------
def _number(value: Value) -> float | None:
    return float(rounded(value)) if isinstance(value, Literal) else None


def _take_weights(value: Value, found: _Found) -> bool:
    """Go through dropout and masks up to the softmax."""
    assert found.kept is not None
    while True:
        producer = value.producer
        if producer is None:
            return False
        found.nodes.append(producer)
        if producer.op.name == "softmax":
            found.softmax = producer
            return bool(producer.attrs["axis"] % value.type.rank == value.type.rank - 1)
        if producer.op.name == "select" and _number(producer.operands[2]) == 0.0:
            found.kept.append(producer.operands[0])
            value = producer.operands[1]
        elif producer.op.name == "mul" and (number := _number(producer.operands[1])) is not None:
            found.factor *= number
            value = producer.operands[0]
        else:
            return False
        if value.shape != producer.results[0].shape:
            return False


def _take_scores(found: _Found) -> bool:
    """Go through mask, bias and scale, in this order, up to the product of queries and keys."""
    assert found.softmax is not None
    value = _take_mask(found.softmax.operands[0], found)
    shape = found.softmax.results[0].shape
    scaled = False
    while value.shape == shape:
        producer = value.producer
        if producer is None:
            return False
        found.nodes.append(producer)
        if producer.op.name == "matmul":
            found.product = producer
            return True
        step = producer.op.name
        if step in ("mul", "div") and (number := _number(producer.operands[1])):
            found.scale *= number if step == "mul" else 1.0 / number
            value, scaled = producer.operands[0], True
        elif step == "mul" and found.scalar is None and (side := _scalar_side(producer)) is not None:
            found.scalar = producer.operands[side]
            value, scaled = producer.operands[1 - side], True
        elif step == "add" and not scaled and found.bias is None and (side := _product_side(producer)) is not None:
            found.bias = producer.operands[1 - side]
            value = producer.operands[side]
        else:
            return False
    return False


def _take_mask(value: Value, found: _Found) -> Value:
    """`select(mask, scores, fill)`, or the scores less a number where the mask is false: Luong's attention here."""
    chosen = made_by(value, "select")
    if chosen is None or chosen.operands[1].shape != value.shape:
        return value
    mask, scores, other = chosen.operands
    if isinstance(other, Literal):
        assert other.literal is not None
        found.nodes.append(chosen)
        found.mask, found.fill = mask, float(other.literal)
        return scores
    lowered = made_by(other, "sub") or made_by(other, "add")
    if lowered is None or lowered.operands[0] is not scores or (step := _number(lowered.operands[1])) is None:
        return value
    found.nodes += [chosen, lowered]
    found.offset = mask, -step if lowered.op.name == "sub" else step
    return scores


def _scalar_side(node: Node) -> int | None:
    """Which operand is one number that is not known."""
    for side in (1, 0):
        if node.operands[side].shape == () and not isinstance(node.operands[side], Literal):
            return side
    return None


def _product_side(node: Node) -> int | None:
    """Which operand of a sum leads to the product of queries and keys."""
    for side in (0, 1):
        value: Value | None = node.operands[side]
        while value is not None and value.shape == node.results[0].shape:
            producer = value.producer
            if producer is not None and producer.op.name == "matmul":
                return side
            scaled = producer is not None and producer.op.name in ("mul", "div")
            value = producer.operands[0] if producer is not None and scaled else None
    return None


# -- putting together -----------------------------------------------------------------------------------------------
def _build(node: Node, found: _Found, r: Rewriter) -> bool:
    assert found.product is not None
    product, dtype = found.product, node.results[0].dtype
    rank = len(product.results[0].shape)
    q = _tokens(r, product.operands[0], features_last=not product.attrs["transpose_a"])
    k = _tokens(r, product.operands[1], features_last=bool(product.attrs["transpose_b"]))
    v = _tokens(r, node.operands[1], features_last=not node.attrs["transpose_b"])
    if found.scalar is not None:
        q = r.mul(q, found.scalar)
    mask, causal = _split_mask(r, found.mask) if found.mask is not None else (None, False)
    seen: Value = literal(True, "bool") if mask is None else _over_heads(r, mask, rank)
    bias: Value = literal(0.0, dtype) if found.bias is None else _over_heads(r, found.bias, rank)
    if found.offset is not None:
        where, offset = found.offset
        lowered = r.select(_over_heads(r, where, rank), literal(0.0, dtype), literal(offset, dtype))
        bias = lowered if found.bias is None else r.add(bias, lowered)
    keep = _keep(r, found, rank, dtype)
    y, _, _ = r.op("attention", q, k, v, seen, bias, keep, scale=found.scale, causal=causal, fill=found.fill)
    if rank == 4:
        return r.replace(node, r.transpose(y, perm=(0, 2, 1, 3)))
    return r.replace(node, r.reshape(y, shape=node.results[0].shape))


def _keep(r: Rewriter, found: _Found, rank: int, dtype: str) -> Value:
    """The factors of the weights."""
    factor: Value = literal(found.factor, dtype)
    for condition in found.kept or ():
        factor = r.select(_over_heads(r, condition, rank), factor, literal(0.0, dtype))
    return factor


def _tokens(r: Rewriter, value: Value, features_last: bool) -> Value:
    """An operand of a product as [batch, time, heads, depth]."""
    lead = {4: "bh", 3: "b", 2: ""}[len(value.shape)]
    letters = lead + ("td" if features_last else "dt")
    turned = made_by(value, "transpose")
    if turned is not None:
        value = turned.operands[0]
        source = dict(zip(turned.attrs["perm"], letters, strict=True))
        letters = "".join(source[axis] for axis in range(len(letters)))
    wanted = [letter for letter in "bthd" if letter in letters]
    perm = tuple(letters.index(letter) for letter in wanted)
    if perm != tuple(range(len(perm))):
        value = r.transpose(value, perm=perm)
    sizes = dict(zip(wanted, value.shape, strict=True))
    shape = tuple(sizes.get(letter, 1) for letter in "bthd")
    return value if shape == value.shape else r.reshape(value, shape=shape)


def _over_heads(r: Rewriter, value: Value, rank: int) -> Value:
    """What is broadcast to the pairs of a product of this rank, so that it is to [batch, heads, time, keys]."""
    if rank != 3 or len(value.shape) != 3:
        return value
    spread: Value = r.reshape(value, shape=(value.shape[0], 1, *value.shape[1:]))
    return spread


# -- causal masks ---------------------------------------------------------------------------------------------------
def _split_mask(r: Rewriter, mask: Value) -> tuple[Value | None, bool]:
    """The mask without its part that keeps queries from later keys, and whether there was one."""
    if _is_causal(mask):
        return None, True
    parts = _conjuncts(mask, ())
    rest = [part for part in parts if not _is_causal(part[0])]
    if len(rest) == len(parts):
        return mask, False
    whole: Value | None = None
    for value, views in rest:
        for view in reversed(views):
            value = _viewed(r, value, view)
        whole = value if whole is None else r.logical_and(whole, value)
    return whole, True


def _conjuncts(value: Value, views: tuple[Node, ...]) -> list[tuple[Value, tuple[Node, ...]]]:
    """The operands of nested `logical_and`, each with the views of the whole that lie outside of it, innermost last."""
    both = made_by(value, "logical_and")
    if both is not None:
        return [part for operand in both.operands for part in _conjuncts(operand, views)]
    view = made_by(value, "reshape") or made_by(value, "broadcast_to")
    if view is not None and _below_views(view.operands[0]) and _adds_ones(view):
        return _conjuncts(view.operands[0], (*views, view))
    return [(value, views)]


def _below_views(value: Value) -> bool:
    while (view := made_by(value, "reshape") or made_by(value, "broadcast_to")) is not None:
        value = view.operands[0]
    return made_by(value, "logical_and") is not None


def _adds_ones(view: Node) -> bool:
    """Whether a view repeats elements along axes before the last two, or adds such axes of size 1 behind the first."""
    source, result = view.operands[0].shape, view.results[0].shape
    if len(source) < 2 or source[-2:] != result[-2:]:
        return False
    added = len(result) - len(source)
    return view.op.name == "broadcast_to" or (added >= 0 and result == _with_ones(source, added))


def _with_ones(shape: Shape, added: int) -> Shape:
    """A shape with so many axes of size 1 more, behind the first axis where one stands before the last two."""
    place = 1 if len(shape) > 2 else 0
    return (*shape[:place], *(1,) * added, *shape[place:])


def _viewed(r: Rewriter, value: Value, view: Node) -> Value:
    """A part of a mask as the view of the whole mask shows it; not repeated, since whoever reads it broadcasts."""
    source, result = view.operands[0].shape, view.results[0].shape
    if view.op.name == "broadcast_to" or len(source) == len(result):
        return value
    aligned = (*(1,) * (len(source) - len(value.shape)), *value.shape)
    spread: Value = r.reshape(value, shape=_with_ones(aligned, len(result) - len(source)))
    return spread


def _is_causal(value: Value) -> bool:
    """Whether a mask is: the query's place is not before the key's."""
    while (view := made_by(value, "reshape") or made_by(value, "broadcast_to")) is not None and _adds_ones(view):
        value = view.operands[0]
    folded = made_by(value, "constant")
    if folded is not None:
        array = np.asarray(folded.attrs["value"])
        return array.ndim > 1 and bool((array == np.tri(*array.shape[-2:], dtype=np.bool_)).all())
    compared = made_by(value, "ge") or made_by(value, "le")
    if compared is None:
        return False
    row, column = compared.operands if compared.op.name == "ge" else reversed(compared.operands)
    return _counts_along(row) == -2 and _counts_along(column) == -1


def _counts_along(value: Value) -> int | None:
    """The axis, counted from the last, along which elements are 0, 1, 2, ..., if they differ along no other."""
    shape = value.shape
    large = [axis - len(shape) for axis, dim in enumerate(shape) if dim != 1]
    counted = made_by(value, "iota")
    if counted is not None:
        return int(counted.attrs["axis"]) % len(shape) - len(shape)
    view = made_by(value, "reshape")
    source = view.operands[0] if view is not None else value
    if len(large) != 1 or len(source.shape) != 1:
        return None
    if made_by(source, "iota"):
        return large[0]
    constant = made_by(source, "constant")
    array = None if constant is None else np.asarray(constant.attrs["value"])
    return large[0] if array is not None and np.array_equal(array, np.arange(array.size)) else None
