"""Logarithms of probabilities, written so that nothing is lost to rounding.

`log(clip(softmax(z), 1e-7, 1 - 1e-7))`, the cross-entropy of Keras, rounds every probability before the logarithm is
taken. The same with `log_softmax` and the bounds moved into log space has the same values where the clip acts (also
the gradient is zero there, as the clip's is) and full precision elsewhere. The bounds are those that Keras gets: the
logarithm of the bound as rounded to the element type.

Requires: gradients are not there yet, so that the better form is the one that is differentiated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kgraph.ir.graph import Graph, Literal, Node, Value, literal
from kgraph.ir.passes.base import Pass, PassContext, Pattern, Rewriter, rewrite
from kgraph.ir.passes.cleanup import rounded
from kgraph.ir.passes.views import made_by

__all__ = ["Stabilise"]


@dataclass(frozen=True)
class Stabilise(Pass):
    """Rewrite logarithms of softmax and sigmoid, and drop a second normalisation of a softmax.

    `log(softmax(z))`, `log(sigmoid(z))`, `log(1 - sigmoid(z))`, each also with a reshape, or `maximum` and
    `minimum` by literals, in between.
    Example (golden): tests/golden/ir/stabilise/categorical_crossentropy.kg
    """

    name: ClassVar[str] = "stabilise"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when anything matched."""
        return rewrite(graph, _PATTERNS, ctx)


# -- matching -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Clipped:
    """`inner` after steps of (op, bound), innermost first."""

    inner: Value
    steps: tuple[tuple[str, Literal], ...]


def _unclip(value: Value) -> _Clipped:
    """Take `maximum` and `minimum` with a literal off `value`."""
    steps: list[tuple[str, Literal]] = []
    while True:
        node = made_by(value, "maximum") or made_by(value, "minimum")
        if node is None:
            break
        a, b = node.operands
        if isinstance(a, Literal):
            a, b = b, a
        if not isinstance(b, Literal):
            break
        steps.append((node.op.name, b))
        value = a
    return _Clipped(value, tuple(reversed(steps)))


def _number(value: Literal) -> float:
    return float(rounded(value))


# -- patterns -------------------------------------------------------------------------------------------------------
def _normalised_twice(node: Node, r: Rewriter) -> bool:
    """softmax(z) / sum(softmax(z)) -> softmax(z): the sum is 1."""
    x, total = node.operands
    soft = made_by(x, "softmax")
    reshaped = made_by(total, "reshape")
    reduced = made_by(reshaped.operands[0] if reshaped else total, "sum")
    if soft is None or reduced is None or reduced.operands[0] is not x:
        return False
    rank = x.type.rank
    axis = soft.attrs["axis"] % rank
    if [each % rank for each in reduced.attrs["axes"]] != [axis]:
        return False
    if total.shape != (*x.shape[:axis], 1, *x.shape[axis + 1 :]):
        return False
    return r.replace(node, x)


def _reshaped_probabilities(node: Node, r: Rewriter) -> bool:
    """reshape(softmax(z)) -> softmax(reshape(z)), also of sigmoid, where the axis of the classes stays the last one.

    `TimeDistributed` puts such a reshape between the probabilities and their logarithm.
    """
    soft, sigmoid = made_by(node.operands[0], "softmax"), made_by(node.operands[0], "sigmoid")
    inner = soft or sigmoid
    if inner is None or not r.has_one_use(inner.results[0]):
        return False
    z = inner.operands[0]
    if soft is not None:
        last = soft.attrs["axis"] % z.type.rank == z.type.rank - 1
        if not last or not node.results[0].shape or node.results[0].shape[-1] != z.shape[-1]:
            return False
    moved = r.op("reshape", z, **node.attrs)
    rank = len(node.results[0].shape)
    return r.replace(node, r.softmax(moved, axis=rank - 1) if soft is not None else r.sigmoid(moved))


def _log(node: Node, r: Rewriter) -> bool:
    outside = _unclip(node.operands[0])
    bounds = _log_bounds(outside, mirrored=False)
    # log(1 - clip(sigmoid(z))): the other half of the binary cross-entropy.
    minus = made_by(outside.inner, "sub")
    if minus is not None:
        one, p = minus.operands
        within = _unclip(p)
        sigmoid, inner_bounds = made_by(within.inner, "sigmoid"), _log_bounds(within, mirrored=True)
        if sigmoid is None or bounds is None or inner_bounds is None or not isinstance(one, Literal):
            return False
        if _number(one) != 1.0:
            return False
        value: Value = r.neg(r.softplus(sigmoid.operands[0]))
        return r.replace(node, _clip(r, value, [*inner_bounds, *bounds]))
    sigmoid, soft = made_by(outside.inner, "sigmoid"), made_by(outside.inner, "softmax")
    if bounds is None or (sigmoid is None and soft is None):
        return False
    if sigmoid is not None:
        value = r.neg(r.softplus(r.neg(sigmoid.operands[0])))
    elif soft is not None:
        value = r.log_softmax(soft.operands[0], axis=soft.attrs["axis"])
    return r.replace(node, _clip(r, value, bounds))


def _log_bounds(clipped: _Clipped, mirrored: bool) -> list[tuple[str, Literal]] | None:
    """The steps for the logarithm of the clipped probability p, or of 1 - p when `mirrored`.

    Bounds that never act on a probability (from below by 0, from above by 1) are left out.  None when an upper bound is
    not above 0, or is NaN.
    """
    steps: list[tuple[str, Literal]] = []
    for op, limit in clipped.steps:
        bound = rounded(limit)
        if mirrored:
            # In the element type, as the program that is replaced computes it: 1 - (1 - 1e-7) is 1.19e-7 in f32.
            bound = np.subtract(bound.dtype.type(1), bound)
            op = "minimum" if op == "maximum" else "maximum"
        number = float(bound)
        if number >= 1 and op == "minimum":
            continue
        if number > 0:
            steps.append((op, literal(math.log(number), limit.dtype)))
        elif op == "minimum" or math.isnan(number):
            return None
    return steps


def _clip(r: Rewriter, value: Value, steps: list[tuple[str, Literal]]) -> Value:
    for op, bound in steps:
        value = r.op(op, value, bound)
    return value


_PATTERNS = [
    Pattern(("reshape",), _reshaped_probabilities),  # in program order, so before the logarithm is looked at
    Pattern(("div",), _normalised_twice),
    Pattern(("log",), _log),
]
