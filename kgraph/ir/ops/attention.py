"""Attention as one op, so that a target need not store the scores of all pairs of places.

Source: T. Dao et al., "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", NeurIPS 2022. Kept
for the derivative are the greatest score of a row and its sum of exponentials, not their logarithm: a row in which
every pair is masked has scores of -1e30, beside which the logarithm of the sum is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError, ShapeError, UnsupportedError
from kgraph.ir.dims import Shape, shape_text
from kgraph.ir.graph import Node, Value
from kgraph.ir.opdef import Attrs, Grads, define_op
from kgraph.ir.ops.rules import broadcast_shapes, expect_count
from kgraph.ir.types import TensorType, is_float

if TYPE_CHECKING:
    from kgraph.ir.builder import Builder

__all__: list[str] = []

Array = npt.NDArray[Any]

_ATTRS: Attrs = {"scale": 1.0, "causal": False, "fill": -1e30}


def _expect_tokens(op: str, types: Sequence[TensorType]) -> Shape:
    """Check queries, keys, values and what is broadcast to the pairs; returns the shape of the pairs, (B, H, T, S)."""
    q, k, v, mask, bias, keep = types[:6]
    if not is_float(q.dtype) or any(each.dtype != q.dtype for each in (k, v, bias, keep)) or mask.dtype != "bool":
        raise DtypeError(
            f"{op} needs floats of one type, and a mask of truth values", got=", ".join(str(each) for each in types[:6])
        )
    if any(each.rank != 4 for each in (q, k, v)):
        raise ShapeError(
            f"{op} needs queries, keys and values of shape [batch, time, heads, depth]", got=f"{q}, {k} and {v}"
        )
    (batch, rows, heads, depth), keys = q.shape, k.shape[1]
    if k.shape != (batch, keys, heads, depth) or v.shape[:3] != (batch, keys, heads):
        raise ShapeError(
            f"{op} cannot compare the queries with the keys",
            got=f"queries {q}, keys {k}, values {v}",
            needed="equal batch and heads, queries and keys of one depth, as many keys as values",
        )
    pairs = (batch, heads, rows, keys)
    for name, each in (("mask", mask), ("bias", bias), ("keep", keep)):
        if broadcast_shapes(op, [pairs, each.shape]) != pairs:
            raise ShapeError(f"{op}: {name} does not fit the pairs {shape_text(pairs)}", got=str(each))
    return pairs


def _infer_attention(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("attention", types, 6)
    pairs = _expect_tokens("attention", types)
    q, v = types[0], types[2]
    per_row = q.with_shape(pairs[:3])
    return [q.with_shape((*q.shape[:3], v.shape[3])), per_row, per_row]


def _products(q: Array, k: Array) -> Array:
    """[B, T, H, D] and [B, S, H, D] -> [B, H, T, S]."""
    return np.asarray(q.transpose(0, 2, 1, 3) @ k.transpose(0, 2, 3, 1))


def _sums(weights: Array, v: Array) -> Array:
    """[B, H, T, S] and [B, S, H, E] -> [B, T, H, E]."""
    return np.asarray((weights @ v.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3))


def _scores(
    q: Array, k: Array, mask: Array, bias: Array, scale: float, causal: bool, fill: float
) -> tuple[Array, Array]:
    """Scores of all pairs [B, H, T, S], and which of them are not `fill`."""
    scores = _products(q, k) * q.dtype.type(scale) + bias
    seen = np.broadcast_to(mask, scores.shape)
    if causal:
        seen = seen & np.tri(*scores.shape[2:], dtype=np.bool_)
    return np.where(seen, scores, q.dtype.type(fill)), seen


def _attention_reference(
    q: Array, k: Array, v: Array, mask: Array, bias: Array, keep: Array, scale: float, causal: bool, fill: float
) -> tuple[Array, Array, Array]:
    scores, _ = _scores(q, k, mask, bias, scale, causal, fill)
    top = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - top)
    total = np.sum(weights, axis=-1, keepdims=True)
    y = _sums(_kept(weights / total, keep), v)
    return y, top[..., 0], total[..., 0]


def _kept(weights: Array, keep: Array) -> Array:
    """Weights, or gradients of them, after dropout; what is dropped is 0 whatever it was."""
    return np.where(keep == 0, weights.dtype.type(0), weights * keep)


def _slots(b: Builder, operands: Sequence[Value]) -> list[Value]:
    """A value of its own for each operand, so that one that stands in several places has a gradient for each."""
    return [each if each.literal is not None else b.op("reshape", each, shape=each.shape) for each in operands]


def _long_form(b: Builder, operands: Sequence[Value], attrs: Attrs) -> Value:
    """The result of an attention of these operands, in smaller ops."""
    q, k, v, mask, bias, keep = operands[:6]
    heads_first = {"perm": (0, 2, 1, 3)}
    q, k, v = (b.op("transpose", each, **heads_first) for each in (q, k, v))
    scores: Value = b.op("add", b.op("mul", b.op("matmul", q, k, transpose_b=True), attrs["scale"]), bias)
    if attrs["causal"]:
        row, column = (b.op("iota", shape=scores.shape[2:], axis=axis, dtype="i32") for axis in (0, 1))
        scores = b.op("select", b.op("ge", row, column), scores, attrs["fill"])
    scores = b.op("select", mask, scores, attrs["fill"])
    weights = b.op("mul", b.op("softmax", scores, axis=3), keep)
    y: Value = b.op("transpose", b.op("matmul", weights, v), **heads_first)
    return y


def _carries_gradient(value: Value) -> bool:
    """Whether a gradient for `value` may reach something; literals, comparisons and random bits take none."""
    stack = [value]
    while stack:
        current = stack.pop()
        if current.literal is not None or not is_float(current.dtype):
            continue
        producer = current.producer
        if producer is None:
            return True
        if producer.op.name != "random_uniform":
            stack.extend(producer.operands)
    return False


def _attention_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    from kgraph.ir.passes.autodiff import backpropagate

    dy, *others = grads
    if any(each is not None for each in others):
        raise UnsupportedError(
            "attention has no derivative of its greatest scores and sums",
            where=str(node.loc),
            fix="use matmul and softmax where you need them",
        )
    if dy is None:
        return [None] * 6
    found: list[Value | None] = [*b.op("attention_grad", *node.operands, *node.results, dy, **node.attrs)]
    late: list[Value | None] = [None, None]
    # Nothing but the scores themselves gives these, so what asks for them has the scores in memory again.
    if any(_carries_gradient(value) for value in node.operands[4:]):
        start = len(b.nodes)
        slots = _slots(b, node.operands)
        y = _long_form(b, slots, node.attrs)
        late = backpropagate(b, b.nodes[start:], {y: dy}, slots[4:])
    return [*found, None, *late]


define_op(
    "attention",
    doc=(
        "softmax(scores) v, head by head; scores = q k^T * scale + bias where `mask` is true, and `fill` elsewhere.\n"
        "q: f[B, T, H, D], k: f[B, S, H, D], v: f[B, S, H, E], and, broadcast to [B, H, T, S], mask: bool, bias: f\n"
        "and keep: f, by which the softmax is multiplied (dropout; where it is 0, so is the weight) -> f[B, T, H, E],\n"
        "and twice f[B, H, T]: of each row the greatest score and the sum of exp(score - greatest).  `causal`: pairs\n"
        "of a query and a later key are masked; a target need not look at keys that are masked for all of a block of\n"
        "queries, so NaN there may go unseen."
    ),
    attrs=_ATTRS,
    infer=_infer_attention,
    reference=_attention_reference,
    vjp=_attention_vjp,
)


# -- attention_grad -------------------------------------------------------------------------------------------------
def _infer_attention_grad(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("attention_grad", types, 10)
    needed = _infer_attention(types[:6], attrs)
    if list(types[6:9]) != needed or types[9] != needed[0]:
        raise ShapeError(
            "attention_grad needs the results of the attention and the gradient of the first",
            got=", ".join(str(each) for each in types[6:]),
            needed=", ".join(str(each) for each in (*needed, needed[0])),
        )
    return list(types[:3])


def _attention_grad_reference(
    q: Array,
    k: Array,
    v: Array,
    mask: Array,
    bias: Array,
    keep: Array,
    y: Array,
    top: Array,
    total: Array,
    dy: Array,
    scale: float,
    causal: bool,
    fill: float,
) -> tuple[Array, Array, Array]:
    scores, seen = _scores(q, k, mask, bias, scale, causal, fill)
    weights = np.exp(scores - top[..., None]) / total[..., None]
    dv = _sums(np.swapaxes(_kept(weights, keep), 2, 3), dy)
    inner = np.sum(y * dy, axis=-1).transpose(0, 2, 1)[..., None]
    d_scores = weights * (_kept(_products(dy, v), keep) - inner)
    d_scores = np.where(seen, d_scores, 0) * q.dtype.type(scale)
    return _sums(d_scores, k), _sums(np.swapaxes(d_scores, 2, 3), q), dv


def _attention_grad_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    """The derivative of the derivative, taken from the long form; results of the attention count as known."""
    from kgraph.ir.passes.autodiff import backpropagate

    start = len(b.nodes)
    slots = _slots(b, node.operands)
    y = _long_form(b, slots, node.attrs)
    first = backpropagate(b, b.nodes[start:], {y: slots[9]}, slots[:3])
    seeds = {value: grad for value, grad in zip(first, grads, strict=True) if value is not None and grad is not None}
    found = backpropagate(b, b.nodes[start:], seeds, slots)
    return [None if place in (3, 6, 7, 8) else grad for place, grad in enumerate(found)]


define_op(
    "attention_grad",
    doc=(
        "Gradients of an attention for its queries, keys and values.  The six operands and the three results of the\n"
        "attention, dy: f[B, T, H, E] -> the types of q, k and v.  The weights are computed again from the scores."
    ),
    attrs=_ATTRS,
    infer=_infer_attention_grad,
    reference=_attention_grad_reference,
    vjp=_attention_grad_vjp,
)
