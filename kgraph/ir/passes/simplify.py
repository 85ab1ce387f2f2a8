"""Algebra: a table of small patterns, each of which looks at one node and its operands.

IEEE stays in force: NaN and infinity survive every pattern here, so `x * 0` stays and `x - x` stays. What is
tolerated, and nothing else: the sign of a zero (`x + 0.0 -> x`, `0.0 - x -> -x`), and the last bit where fewer
roundings replace more (`x^3`, the sum of n equal numbers). Patterns about shapes are in `kgraph.ir.passes.views`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kgraph.ir.graph import Graph, Literal, Node, Value, literal
from kgraph.ir.passes.base import Pass, PassContext, Pattern, Rewriter, rewrite
from kgraph.ir.passes.cleanup import fold_patterns, rounded
from kgraph.ir.passes.views import SINK_PATTERNS, VIEW_PATTERNS, made_by, splat
from kgraph.ir.types import is_float, is_integer, numpy_dtype

__all__ = ["PATTERNS", "DropStopGradient", "Simplify"]


@dataclass(frozen=True)
class Simplify(Pass):
    """Apply the tables of patterns of this module and of `views`, and fold constants, until nothing matches.

    Ensures: values as before, up to the tolerances in the module text; gradients too, so it may run before autodiff.
    Example (golden): tests/golden/ir/simplify/algebra.kg
    """

    name: ClassVar[str] = "simplify"
    sink_reshapes: bool = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when anything matched."""
        patterns = [*fold_patterns(), *PATTERNS, *VIEW_PATTERNS, *(SINK_PATTERNS if self.sink_reshapes else ())]
        return rewrite(graph, patterns, ctx)


@dataclass(frozen=True)
class DropStopGradient(Pass):
    """`stop_gradient(x)` -> `x`.

    Requires: gradients are there already.
    Example (golden): tests/golden/ir/drop_stop_gradient/plain.kg
    """

    name: ClassVar[str] = "drop-stop-gradient"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when there was one."""
        return rewrite(graph, [Pattern(("stop_gradient",), lambda node, r: r.replace(node, node.operands[0]))], ctx)


# -- matching -------------------------------------------------------------------------------------------------------
def _number(value: Value) -> Any:
    """The number that every element of `value` is, rounded to its element type; None when it is not one number."""
    found = splat(value)
    return None if found is None else rounded(found).item()


def _is(value: Value, number: float) -> bool:
    return bool(_number(value) == number)


def _pair(node: Node) -> tuple[Value, Any]:
    """The operands of a commutative op as (x, number); the number is None when neither operand is one."""
    a, b = node.operands
    number = _number(b)
    return (a, number) if number is not None else (b, _number(a))


def _keep(node: Node, r: Rewriter, x: Value) -> bool:
    """Replace an elementwise node by its operand `x`, repeated when the other operands had made the result larger."""
    (result,) = node.results
    if x.dtype != result.dtype:
        return False
    return r.replace(node, x if x.shape == result.shape else r.broadcast_to(x, shape=result.shape))


def _fill(node: Node, r: Rewriter, number: Any) -> bool:
    """Replace a node by one number everywhere."""
    (result,) = node.results
    value: Value = literal(number, result.dtype)
    return r.replace(node, r.broadcast_to(value, shape=result.shape) if result.shape else value)


# -- sums and differences -------------------------------------------------------------------------------------------
def _add(node: Node, r: Rewriter) -> bool:
    x, number = _pair(node)
    if number == 0:
        return _keep(node, r, x)
    a, b = node.operands
    if negated := made_by(b, "neg"):  # a + -b
        return r.replace(node, r.sub(a, negated.operands[0]))
    if negated := made_by(a, "neg"):
        return r.replace(node, r.sub(b, negated.operands[0]))
    return False


def _sub(node: Node, r: Rewriter) -> bool:
    a, b = node.operands
    if _is(b, 0):
        return _keep(node, r, a)
    if _is(a, 0) and b.shape == node.result.shape:
        return r.replace(node, r.neg(b))
    if negated := made_by(b, "neg"):  # a - -b
        return r.replace(node, r.add(a, negated.operands[0]))
    return False


def _neg(node: Node, r: Rewriter) -> bool:
    (x,) = node.operands
    if inner := made_by(x, "neg"):
        return r.replace(node, inner.operands[0])
    if (inner := made_by(x, "sub")) and r.has_one_use(x):
        a, b = inner.operands
        return r.replace(node, r.sub(b, a))
    return False


# -- products and powers --------------------------------------------------------------------------------------------
def _mul(node: Node, r: Rewriter) -> bool:
    x, number = _pair(node)
    if number is None:
        return False
    if number == 1:
        return _keep(node, r, x)
    if x.shape != node.result.shape:
        return False
    if number == -1:
        return r.replace(node, r.neg(x))
    if (inner := made_by(x, "neg")) and is_float(x.dtype):  # -x * c
        return r.replace(node, r.mul(inner.operands[0], literal(-number, x.dtype)))
    return False


def _div(node: Node, r: Rewriter) -> bool:
    x, divisor = node.operands
    number = _number(divisor)
    if number == 1:
        return _keep(node, r, x)
    if number is None or not is_float(x.dtype) or x.shape != node.result.shape:
        return False
    if number == -1:
        return r.replace(node, r.neg(x))
    if not math.isfinite(number) or abs(math.frexp(number)[0]) != 0.5:
        return False
    # A power of two: its reciprocal is exact, unless it leaves the range of the type.
    info = np.finfo(numpy_dtype(x.dtype))
    if not float(info.tiny) <= abs(1.0 / number) <= float(info.max):
        return False
    return r.replace(node, r.mul(x, literal(1.0 / number, x.dtype)))


def _pow(node: Node, r: Rewriter) -> bool:
    x, exponent = node.operands
    number = _number(exponent)
    if number is None or x.shape != node.result.shape:
        return False
    if number == 0:
        return _fill(node, r, 1)  # also for NaN, as IEEE has it
    if number == 1:
        return _keep(node, r, x)
    if number == 2:
        return r.replace(node, r.mul(x, x))
    if number == 3:
        return r.replace(node, r.mul(r.mul(x, x), x))
    if not is_float(x.dtype):
        return False
    if number == 0.5:
        return r.replace(node, r.sqrt(x))
    if number == -1:
        return r.replace(node, r.div(1.0, x))
    return False


# -- comparison and logic -------------------------------------------------------------------------------------------
def _same_operands(node: Node, r: Rewriter) -> bool:
    """max(x, x), min(x, x), and, or of x with itself."""
    a, b = node.operands
    return a is b and _keep(node, r, a)


def _logic(node: Node, r: Rewriter) -> bool:
    x, number = _pair(node)
    if number is None or x.dtype != "bool":
        return False
    decides = node.op.name == "logical_or"  # `or` is decided by true, `and` by false
    return _fill(node, r, decides) if bool(number) == decides else _keep(node, r, x)


def _not(node: Node, r: Rewriter) -> bool:
    (x,) = node.operands
    inner = x.producer
    if inner is None:
        return False
    if inner.op.name == "logical_not" and inner.operands[0].dtype == "bool":
        return r.replace(node, inner.operands[0])
    # Of the comparisons only these two are each other's opposite for NaN too.
    opposite = {"eq": "ne", "ne": "eq"}.get(inner.op.name)
    return opposite is not None and r.replace(node, r.op(opposite, *inner.operands))


def _select(node: Node, r: Rewriter) -> bool:
    cond, a, b = node.operands
    number = _number(cond)
    if number is not None:
        return _keep(node, r, a if number else b)
    if a is b or (isinstance(a, Literal) and isinstance(b, Literal) and rounded(a).tobytes() == rounded(b).tobytes()):
        return _keep(node, r, a)
    if (inner := made_by(cond, "logical_not")) and inner.operands[0].dtype == "bool":
        return r.replace(node, r.select(inner.operands[0], b, a))
    return False


# -- one operand ----------------------------------------------------------------------------------------------------
def _cast(node: Node, r: Rewriter) -> bool:
    (x,) = node.operands
    target = node.attrs["dtype"]
    if x.dtype == target:
        return r.replace(node, x)
    inner = made_by(x, "cast")
    if inner is None or not _holds(x.dtype, inner.operands[0].dtype):
        return False
    return r.replace(node, r.cast(inner.operands[0], dtype=target))


def _holds(wide: str, narrow: str) -> bool:
    """Whether every number of type `narrow` is exact in type `wide`."""
    if narrow == "bool":
        return True
    return (
        wide != "bool"
        and np.can_cast(numpy_dtype(narrow), numpy_dtype(wide), "safe")
        and (
            # NumPy calls i64 -> f64 safe; it is not exact.
            not is_float(wide) or not is_integer(narrow) or numpy_dtype(narrow).itemsize < numpy_dtype(wide).itemsize
        )
    )


def _twice(node: Node, r: Rewriter) -> bool:
    """f(f(x)) -> f(x)."""
    return made_by(node.operands[0], node.op.name) is not None and r.replace(node, node.operands[0])


def _abs(node: Node, r: Rewriter) -> bool:
    inner = made_by(node.operands[0], "neg")
    return inner is not None and r.replace(node, r.abs(inner.operands[0]))


def _dim_size(node: Node, r: Rewriter) -> bool:
    size = node.attrs["dim"]
    return isinstance(size, int) and r.replace(node, literal(size, node.attrs["dtype"]))


PATTERNS = [
    Pattern(("add",), _add),
    Pattern(("sub",), _sub),
    Pattern(("neg",), _neg),
    Pattern(("mul",), _mul),
    Pattern(("div",), _div),
    Pattern(("pow",), _pow),
    Pattern(("maximum", "minimum", "logical_and", "logical_or"), _same_operands),
    Pattern(("logical_and", "logical_or"), _logic),
    Pattern(("logical_not",), _not),
    Pattern(("select",), _select),
    Pattern(("cast",), _cast),
    Pattern(("abs", "relu", "floor", "ceil", "round", "stop_gradient"), _twice),
    Pattern(("abs",), _abs),
    Pattern(("dim_size",), _dim_size),
]
