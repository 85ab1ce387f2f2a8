"""Elementwise ops: unary, binary with NumPy broadcasting, comparisons, `select`, `cast`.

Float semantics are IEEE: NaN and infinity survive every op here; `maximum` and `minimum` propagate NaN as NumPy does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgraph.errors import DtypeError
from kgraph.ir.builder import Builder
from kgraph.ir.graph import Node, Value, literal
from kgraph.ir.opdef import COMMUTATIVE, ELEMENTWISE, Attrs, Grads, Infer, define_op, no_gradient
from kgraph.ir.ops.rules import broadcast_shapes, expect_count, float_unary, same_type, unbroadcast
from kgraph.ir.types import TensorType, is_float, numpy_dtype

__all__: list[str] = []

Array = Any
MaybeGrads = Sequence[Value | None]
UnaryRule = Callable[[Builder, Value, Value, Value], Value]  # (builder, x, y, dy) -> dx


def _number_unary(op: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        if types[0].dtype == "bool":
            raise DtypeError(f"{op} needs numbers", got=str(types[0]), fix="cast to f32 or i32 first")
        return [types[0]]

    return infer


_KINDS: dict[str, Callable[[str], Infer]] = {"float": float_unary, "number": _number_unary, "any": same_type}


def _unary(
    name: str, doc: str, reference: Callable[..., Array], rule: UnaryRule | None, *, takes: str = "float"
) -> None:
    """Declare a unary op whose derivative is `rule(b, x, y, dy)`; `None` declares that no gradient flows."""

    def vjp(b: Builder, node: Node, grads: MaybeGrads) -> Grads:
        (dy,) = grads
        assert rule is not None
        return [None if dy is None else rule(b, node.operands[0], node.results[0], dy)]

    define_op(
        name,
        doc=doc,
        infer=_KINDS[takes](name),
        reference=reference,
        vjp=no_gradient if rule is None else vjp,
        traits={ELEMENTWISE},
    )


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x), dtype=np.asarray(x).dtype)


def _erfc(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erfc, otypes=[np.float64])(x), dtype=np.asarray(x).dtype)


def _sigmoid(x: Array) -> Array:
    # exp of a non-positive number only, so neither side overflows.
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(np.asarray(x).dtype)


_unary("neg", "-x, elementwise.  x: t[*S] -> t[*S].", np.negative, lambda b, x, y, dy: b.neg(dy), takes="number")
_unary(
    "abs",
    "|x|, elementwise.  x: t[*S] -> t[*S].  The derivative at 0 is 0.",
    np.abs,
    lambda b, x, y, dy: b.mul(dy, b.sign(x)),
    takes="number",
)
_unary("sign", "-1, 0 or 1, elementwise; NaN stays NaN.  x: t[*S] -> t[*S].", np.sign, None, takes="number")
_unary("exp", "e^x, elementwise.  x: f[*S] -> f[*S].", np.exp, lambda b, x, y, dy: b.mul(dy, y))
_unary(
    "expm1",
    "e^x - 1 without cancellation near 0.  x: f[*S] -> f[*S].",
    np.expm1,
    lambda b, x, y, dy: b.mul(dy, b.add(y, 1.0)),
)
_unary(
    "log",
    "Natural logarithm.  x: f[*S] -> f[*S].  log(0) = -inf, log(x < 0) = nan.",
    np.log,
    lambda b, x, y, dy: b.div(dy, x),
)
_unary(
    "log1p",
    "log(1 + x) without cancellation near 0.  x: f[*S] -> f[*S].",
    np.log1p,
    lambda b, x, y, dy: b.div(dy, b.add(x, 1.0)),
)
_unary("sqrt", "Square root.  x: f[*S] -> f[*S].", np.sqrt, lambda b, x, y, dy: b.div(b.mul(dy, 0.5), y))
_unary(
    "rsqrt",
    "1 / sqrt(x).  x: f[*S] -> f[*S].",
    lambda x: (1 / np.sqrt(x)).astype(np.asarray(x).dtype),
    lambda b, x, y, dy: b.mul(b.mul(dy, -0.5), b.mul(y, b.mul(y, y))),
)
_unary("sin", "Sine of x in radians.  x: f[*S] -> f[*S].", np.sin, lambda b, x, y, dy: b.mul(dy, b.cos(x)))
_unary("cos", "Cosine of x in radians.  x: f[*S] -> f[*S].", np.cos, lambda b, x, y, dy: b.neg(b.mul(dy, b.sin(x))))
_unary(
    "tanh",
    "Hyperbolic tangent.  x: f[*S] -> f[*S].",
    np.tanh,
    lambda b, x, y, dy: b.mul(dy, b.sub(1.0, b.mul(y, y))),
)
_unary(
    "sigmoid",
    "1 / (1 + e^-x), stable on both sides.  x: f[*S] -> f[*S].",
    _sigmoid,
    lambda b, x, y, dy: b.mul(dy, b.mul(y, b.sub(1.0, y))),
)
_unary(
    "softplus",
    "log(1 + e^x) = max(x, 0) + log1p(e^-|x|).  x: f[*S] -> f[*S].",
    lambda x: np.logaddexp(x, np.asarray(0, dtype=np.asarray(x).dtype)),
    lambda b, x, y, dy: b.mul(dy, b.sigmoid(x)),
)
_unary(
    "erf",
    "Gauss error function.  x: f[*S] -> f[*S].",
    _erf,
    lambda b, x, y, dy: b.mul(dy, b.mul(2 / math.sqrt(math.pi), b.exp(b.neg(b.mul(x, x))))),
)
_unary(
    "erfc",
    "1 - erf(x) without cancellation for large x.  x: f[*S] -> f[*S].",
    _erfc,
    lambda b, x, y, dy: b.mul(dy, b.mul(-2 / math.sqrt(math.pi), b.exp(b.neg(b.mul(x, x))))),
)
_unary(
    "atan",
    "Angle in radians, between -pi/2 and pi/2, whose tangent is x.  x: f[*S] -> f[*S].",
    np.arctan,
    lambda b, x, y, dy: b.div(dy, b.add(b.mul(x, x), 1.0)),
)
_unary("floor", "Largest integer <= x, as a float.  x: f[*S] -> f[*S].", np.floor, None)
_unary("ceil", "Smallest integer >= x, as a float.  x: f[*S] -> f[*S].", np.ceil, None)
_unary("round", "Nearest integer, ties to even, as a float.  x: f[*S] -> f[*S].", np.rint, None)
_unary(
    "relu",
    "max(x, 0), elementwise.  x: f[*S] -> f[*S].  The derivative at 0 is 0, as in Keras.",
    lambda x: np.maximum(x, 0),
    # Needs only the output, so the input's buffer can be freed.
    lambda b, x, y, dy: b.select(b.gt(y, 0.0), dy, 0.0),
)
_unary(
    "stop_gradient",
    "x; no gradient flows through.  x: t[*S] -> t[*S].",
    lambda x: np.array(x),
    None,
    takes="any",
)


def _to_bool(op: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        return [types[0].with_dtype("bool")]

    return infer


for _name, _doc, _reference in (
    ("is_nan", "Whether x is NaN.  x: f[*S] -> bool[*S].", np.isnan),
    ("is_finite", "Whether x is neither NaN nor infinite.  x: f[*S] -> bool[*S].", np.isfinite),
    ("logical_not", "Negation; a number counts as true unless 0.  x: t[*S] -> bool[*S].", np.logical_not),
):
    define_op(_name, doc=_doc, infer=_to_bool(_name), reference=_reference, vjp=no_gradient, traits={ELEMENTWISE})


def _cast_infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("cast", types, 1)
    numpy_dtype(attrs["dtype"])
    return [types[0].with_dtype(attrs["dtype"])]


def _cast_vjp(b: Builder, node: Node, grads: MaybeGrads) -> Grads:
    (dy,) = grads
    x = node.operands[0]
    flows = dy is not None and is_float(x.dtype) and is_float(node.results[0].dtype)
    return [b.cast(dy, dtype=x.dtype) if flows else None]


define_op(
    "cast",
    doc="x in another element type; floats are cut toward zero, numbers become bool as x != 0.  t[*S] -> u[*S].",
    infer=_cast_infer,
    reference=lambda x, dtype: np.asarray(x).astype(numpy_dtype(dtype)),
    vjp=_cast_vjp,
    attrs={"dtype": ...},
    traits={ELEMENTWISE},
)


# -- binary ---------------------------------------------------------------------------------------------------------
def _binary_infer(op: str, result: str | None, kinds: str = "any") -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 2)
        x, y = types
        if x.dtype != y.dtype:
            raise DtypeError(f"{op} needs operands of one element type", got=f"{x} and {y}", fix="cast one of them")
        if kinds == "number" and x.dtype == "bool":
            raise DtypeError(f"{op} needs numbers", got=f"{x} and {y}", fix="cast to f32 or i32 first")
        if kinds == "float" and not is_float(x.dtype):
            raise DtypeError(f"{op} needs floating-point tensors", got=f"{x} and {y}", fix="cast to f32 first")
        return [TensorType(result or x.dtype, broadcast_shapes(op, [x.shape, y.shape]))]

    return infer


BinaryRule = Callable[[Builder, Value, Value, Value, Value], tuple[Value | None, Value | None]]


def _binary(
    name: str,
    doc: str,
    reference: Callable[..., Array],
    rule: BinaryRule | None,
    traits: Sequence[str] = (),
    kinds: str = "number",
) -> None:
    """Declare a binary op whose derivatives are `rule(b, x, y, z, dz) -> (dx, dy)` before summing out broadcasting."""

    def vjp(b: Builder, node: Node, grads: MaybeGrads) -> Grads:
        (dz,) = grads
        assert rule is not None
        if dz is None:
            return [None, None]
        x, y = node.operands
        pair = rule(b, x, y, node.results[0], dz)
        # A literal needs no gradient; leaving it out keeps dead sums out of the graph.
        return [
            None if d is None or v.literal is not None else unbroadcast(b, d, v.shape)
            for d, v in zip(pair, (x, y), strict=True)
        ]

    define_op(
        name,
        doc=doc,
        infer=_binary_infer(name, None, kinds),
        reference=reference,
        vjp=no_gradient if rule is None else vjp,
        traits={ELEMENTWISE, *traits},
    )


def _divide(x: Array, y: Array) -> Array:
    if np.issubdtype(np.asarray(x).dtype, np.floating):
        return np.divide(x, y)
    return np.floor_divide(x, y)


def _pow_rule(b: Builder, x: Value, y: Value, z: Value, dz: Value) -> tuple[Value | None, Value | None]:
    if y.literal is not None:
        if float(y.literal) == 0.0:
            # x^0 is 1 everywhere, also at 0, where the formula gives 0 * inf.
            return b.broadcast_to(literal(0.0, x.dtype), shape=z.shape), None
        return b.mul(dz, b.mul(y, b.pow(x, float(y.literal) - 1.0))), None
    dx = b.mul(dz, b.mul(y, b.pow(x, b.sub(y, 1.0))))
    # d/dy x^y = z log x; at x = 0 the limit 0 is taken, as JAX does.
    safe_log = b.log(b.select(b.eq(x, 0.0), 1.0, x))
    return dx, b.mul(dz, b.mul(z, safe_log))


def _extremum_rule(wins: str) -> BinaryRule:
    def rule(b: Builder, x: Value, y: Value, z: Value, dz: Value) -> tuple[Value | None, Value | None]:
        # Where both are equal each gets half, as in JAX (a subgradient that treats x and y alike).
        half, tie = b.mul(dz, 0.5), b.eq(x, y)
        dx = None if x.literal is not None else b.select(tie, half, b.select(b.op(wins, x, y), dz, 0.0))
        dy = None if y.literal is not None else b.select(tie, half, b.select(b.op(wins, y, x), dz, 0.0))
        return dx, dy

    return rule


_binary("add", "x + y.  t[*S], t[*S] -> t[*S], broadcasting.", np.add, lambda b, x, y, z, dz: (dz, dz), [COMMUTATIVE])
_binary("sub", "x - y, broadcasting.", np.subtract, lambda b, x, y, z, dz: (dz, b.neg(dz)))
_binary("mul", "x * y, broadcasting.", np.multiply, lambda b, x, y, z, dz: (b.mul(dz, y), b.mul(dz, x)), [COMMUTATIVE])
_binary(
    "div",
    "x / y, broadcasting; integers are divided with floor.",
    _divide,
    lambda b, x, y, z, dz: (b.div(dz, y), b.neg(b.div(b.mul(dz, z), y))),
)
_binary("pow", "x^y, broadcasting.", np.power, _pow_rule)
_binary(
    "maximum",
    "The larger of x and y; NaN if either is.  Equal operands share the gradient.",
    np.maximum,
    _extremum_rule("gt"),
    [COMMUTATIVE],
)
_binary(
    "minimum",
    "The smaller of x and y; NaN if either is.  Equal operands share the gradient.",
    np.minimum,
    _extremum_rule("lt"),
    [COMMUTATIVE],
)
_binary(
    "mod",
    "x - floor(x / y) * y: the sign of the divisor, as in Python.",
    np.mod,
    lambda b, x, y, z, dz: (dz, b.neg(b.mul(dz, b.floor(b.div(x, y))))),
)
_binary("floor_div", "floor(x / y), broadcasting.", np.floor_divide, None)


def _atan2_rule(b: Builder, x: Value, y: Value, z: Value, dz: Value) -> tuple[Value | None, Value | None]:
    scaled = b.div(dz, b.add(b.mul(x, x), b.mul(y, y)))
    return b.mul(scaled, y), b.neg(b.mul(scaled, x))


_binary(
    "atan2",
    "Angle in radians, between -pi and pi, of the point (y, x) seen from the origin: atan2(x, y) with x upwards.",
    np.arctan2,
    _atan2_rule,
    kinds="float",
)

_COMPARISONS: tuple[tuple[str, str, Callable[..., Array], tuple[str, ...]], ...] = (
    ("gt", "x > y.  t[*S], t[*S] -> bool[*S], broadcasting.", np.greater, ()),
    ("ge", "x >= y, broadcasting.", np.greater_equal, ()),
    ("lt", "x < y, broadcasting.", np.less, ()),
    ("le", "x <= y, broadcasting.", np.less_equal, ()),
    ("eq", "x == y, broadcasting.", np.equal, (COMMUTATIVE,)),
    ("ne", "x != y, broadcasting.", np.not_equal, (COMMUTATIVE,)),
    ("logical_and", "Both true, broadcasting.", np.logical_and, (COMMUTATIVE,)),
    ("logical_or", "Either true, broadcasting.", np.logical_or, (COMMUTATIVE,)),
    ("logical_xor", "Exactly one true, broadcasting.", np.logical_xor, (COMMUTATIVE,)),
)
for _name, _doc, _compare, _traits in _COMPARISONS:
    define_op(
        _name,
        doc=_doc,
        infer=_binary_infer(_name, "bool"),
        reference=_compare,
        vjp=no_gradient,
        traits={ELEMENTWISE, *_traits},
    )


# -- select ---------------------------------------------------------------------------------------------------------
def _select_infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("select", types, 3)
    cond, x, y = types
    if cond.dtype != "bool":
        raise DtypeError("select needs a bool condition", got=str(cond), fix="compare, or cast to bool")
    if x.dtype != y.dtype:
        raise DtypeError("select needs branches of one element type", got=f"{x} and {y}", fix="cast one of them")
    return [TensorType(x.dtype, broadcast_shapes("select", [cond.shape, x.shape, y.shape]))]


def _select_vjp(b: Builder, node: Node, grads: MaybeGrads) -> Grads:
    (dz,) = grads
    cond, x, y = node.operands
    if dz is None or not is_float(x.dtype):
        return [None, None, None]
    dx = None if x.literal is not None else unbroadcast(b, b.select(cond, dz, 0.0), x.shape)
    dy = None if y.literal is not None else unbroadcast(b, b.select(cond, 0.0, dz), y.shape)
    return [None, dx, dy]


define_op(
    "select",
    doc="cond ? x : y, elementwise with broadcasting; the branch not taken is computed all the same.",
    infer=_select_infer,
    reference=np.where,
    vjp=_select_vjp,
    traits={ELEMENTWISE},
)
