"""Ops that fold or scan along axes: sum, max, min, prod, argmax, argmin, cumsum.

`axes` and `axis` may be counted from the end.  The mean is no op: it is `sum` divided by `dim_size`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir.dims import Shape
from kgraph.ir.graph import Node, Value
from kgraph.ir.opdef import REDUCTION, Attrs, Grads, Infer, define_op, no_gradient
from kgraph.ir.ops.rules import expect_count, normal_axes, normal_axis
from kgraph.ir.types import TensorType

if TYPE_CHECKING:
    from kgraph.ir.builder import Builder

__all__ = ["kept_shape", "reduced_shape"]

Array = npt.NDArray[Any]


def reduced_shape(op: str, shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """`shape` without the reduced axes, or with 1 in their place."""
    gone = normal_axes(op, axes, len(shape))
    if keepdims:
        return tuple(1 if i in gone else dim for i, dim in enumerate(shape))
    return tuple(dim for i, dim in enumerate(shape) if i not in gone)


def kept_shape(node: Node) -> Shape:
    """The shape of the result of a reduction with `keepdims`: it broadcasts against the operand."""
    return reduced_shape(node.op.name, node.operands[0].shape, node.attrs["axes"], True)


def _keep(b: Builder, node: Node, value: Value) -> Value:
    """`value`, shaped like the result of `node`, in a shape that broadcasts against the operand."""
    shape = kept_shape(node)
    lead = len(shape) - len(value.shape)
    if shape == (1,) * lead + value.shape:  # broadcasting adds leading axes by itself
        return value
    kept: Value = b.op("reshape", value, shape=shape)
    return kept


def _infer_reduction(op: str, *, arithmetic: bool, needs_element: bool) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        (x,) = types
        if arithmetic and x.dtype == "bool":
            raise DtypeError(f"{op} needs numbers", got=str(x), fix="cast it first")
        axes = normal_axes(op, attrs["axes"], x.rank)
        for axis in axes:
            if needs_element and x.shape[axis] == 0:
                raise ShapeError(f"{op} of no elements is not defined", got=f"{x}, whose axis {axis} has size 0")
        return [x.with_shape(reduced_shape(op, x.shape, axes, attrs["keepdims"]))]

    return infer


def _wide(x: Array) -> np.dtype[Any]:
    """The type in which the reference accumulates: double for floats, so that the oracle's rounding is negligible."""
    return np.dtype(np.float64) if x.dtype.kind == "f" else x.dtype


# -- sum ------------------------------------------------------------------------------------------------------------


def _sum_reference(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdims, dtype=_wide(x))).astype(x.dtype)


def _sum_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    x = node.operands[0]
    kept = _keep(b, node, dy)
    return [kept if kept.shape == x.shape else b.op("broadcast_to", kept, shape=x.shape)]


define_op(
    "sum",
    doc=(
        "Sum over `axes`.  x: number[*S] -> number[*S without axes, or with 1 there].  An empty sum is 0; integers\n"
        "wrap."
    ),
    attrs={"axes": ..., "keepdims": False},
    infer=_infer_reduction("sum", arithmetic=True, needs_element=False),
    reference=_sum_reference,
    vjp=_sum_vjp,
    traits={REDUCTION},
)


# -- max, min -------------------------------------------------------------------------------------------------------


def _extremum_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    (x,), (y,) = node.operands, node.results
    chosen = b.op("eq", x, _keep(b, node, y))
    ties = b.op("sum", b.op("cast", chosen, dtype=x.dtype), axes=node.attrs["axes"], keepdims=True)
    return [b.op("select", chosen, b.op("div", _keep(b, node, dy), ties), 0.0)]


define_op(
    "max",
    doc=(
        "Greatest element over `axes` (logical or for bool).  x: [*S] -> [*S without axes, or with 1 there].  NaN\n"
        "wins.  Equal greatest elements share the gradient equally, as in Keras on JAX.  No axis may be empty."
    ),
    attrs={"axes": ..., "keepdims": False},
    infer=_infer_reduction("max", arithmetic=False, needs_element=True),
    reference=lambda x, axes, keepdims: np.max(x, axis=axes, keepdims=keepdims),
    vjp=_extremum_vjp,
    traits={REDUCTION},
)

define_op(
    "min",
    doc=(
        "Least element over `axes` (logical and for bool).  x: [*S] -> [*S without axes, or with 1 there].  NaN\n"
        "wins.  Equal least elements share the gradient equally, as in Keras on JAX.  No axis may be empty."
    ),
    attrs={"axes": ..., "keepdims": False},
    infer=_infer_reduction("min", arithmetic=False, needs_element=True),
    reference=lambda x, axes, keepdims: np.min(x, axis=axes, keepdims=keepdims),
    vjp=_extremum_vjp,
    traits={REDUCTION},
)


# -- prod -----------------------------------------------------------------------------------------------------------


def _prod_reference(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.prod(x, axis=axes, keepdims=keepdims, dtype=_wide(x))).astype(x.dtype)


def _prod_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    # The derivative for x_i is the product of the others.  y / x_i is 0 / 0 at a zero, so the product runs over the
    # non-zero elements: it is the derivative at the zero when there is one zero, and all derivatives are 0 beside two.
    (dy,) = grads
    assert dy is not None
    x, axes = node.operands[0], node.attrs["axes"]
    is_zero = b.op("eq", x, 0.0)
    zeros = b.op("sum", b.op("cast", is_zero, dtype=x.dtype), axes=axes, keepdims=True)
    filled = b.op("select", is_zero, 1.0, x)
    rest = b.op("mul", _keep(b, node, dy), b.op("prod", filled, axes=axes, keepdims=True))
    at_zero = b.op("select", b.op("eq", zeros, 1.0), rest, 0.0)
    elsewhere = b.op("select", b.op("eq", zeros, 0.0), b.op("div", rest, filled), 0.0)
    return [b.op("select", is_zero, at_zero, elsewhere)]


define_op(
    "prod",
    doc=(
        "Product over `axes`.  x: number[*S] -> number[*S without axes, or with 1 there].  An empty product is 1.\n"
        "The first derivative is exact everywhere; the second one takes zeros among the elements for constants."
    ),
    attrs={"axes": ..., "keepdims": False},
    infer=_infer_reduction("prod", arithmetic=True, needs_element=False),
    reference=_prod_reference,
    vjp=_prod_vjp,
    traits={REDUCTION},
)


# -- argmax, argmin -------------------------------------------------------------------------------------------------


def _infer_index(op: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        (x,) = types
        if x.rank == 0:
            raise ShapeError(f"{op} needs an axis to look along", got=str(x))
        axis = normal_axis(op, attrs["axis"], x.rank)
        if x.shape[axis] == 0:
            raise ShapeError(f"{op} of no elements is not defined", got=f"{x}, whose axis {axis} has size 0")
        return [TensorType("i32", (*x.shape[:axis], *x.shape[axis + 1 :]))]

    return infer


define_op(
    "argmax",
    doc="Index of the first greatest element along `axis`.  x: [*S] -> i32[*S without axis].  The first NaN wins.",
    attrs={"axis": ...},
    infer=_infer_index("argmax"),
    reference=lambda x, axis: np.argmax(x, axis=axis).astype(np.int32),
    vjp=no_gradient,
)

define_op(
    "argmin",
    doc="Index of the first least element along `axis`.  x: [*S] -> i32[*S without axis].  The first NaN wins.",
    attrs={"axis": ...},
    infer=_infer_index("argmin"),
    reference=lambda x, axis: np.argmin(x, axis=axis).astype(np.int32),
    vjp=no_gradient,
)


# -- cumsum ---------------------------------------------------------------------------------------------------------


def _infer_cumsum(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("cumsum", types, 1)
    (x,) = types
    if x.dtype == "bool":
        raise DtypeError("cumsum needs numbers", got=str(x), fix="cast it first")
    if x.rank == 0:
        raise ShapeError("cumsum needs an axis to run along", got=str(x))
    normal_axis("cumsum", attrs["axis"], x.rank)
    return [x]


def _cumsum_reference(x: Array, axis: int, reverse: bool, exclusive: bool) -> Array:
    run = np.flip(x, axis) if reverse else x
    total = np.cumsum(run, axis=axis, dtype=_wide(x))
    if exclusive:
        # Shifted by one, not `total - x`: that would be inf - inf beside an infinite element.
        total = np.moveaxis(total, axis, 0)
        total = np.moveaxis(np.concatenate([np.zeros_like(total[:1]), total[:-1]]), 0, axis)
    return (np.flip(total, axis) if reverse else total).astype(x.dtype)


def _cumsum_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    return [b.op("cumsum", dy, **{**node.attrs, "reverse": not node.attrs["reverse"]})]


define_op(
    "cumsum",
    doc=(
        "Running sum along `axis`.  x: number[*S] -> number[*S].  `reverse` starts at the end; `exclusive` leaves\n"
        "the element itself out, so that the first sum is 0."
    ),
    attrs={"axis": ..., "reverse": False, "exclusive": False},
    infer=_infer_cumsum,
    reference=_cumsum_reference,
    vjp=_cumsum_vjp,
)
