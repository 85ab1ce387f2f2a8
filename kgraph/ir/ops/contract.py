"""Contractions: matmul, the op in which most arithmetic of a network happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Node, Value
from kgraph.ir.opdef import Attrs, Grads, define_op
from kgraph.ir.ops.rules import expect_count
from kgraph.ir.types import TensorType

if TYPE_CHECKING:
    from kgraph.ir.builder import Builder

__all__: list[str] = []

Array = npt.NDArray[Any]


def _infer_matmul(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("matmul", types, 2)
    a, b = types
    if a.dtype != b.dtype or a.dtype == "bool":
        raise DtypeError("matmul needs two tensors of numbers of one element type", got=f"{a} and {b}")
    if a.rank != b.rank or a.rank < 2:
        raise ShapeError(
            f"matmul cannot multiply {a} by {b}",
            got=f"ranks {a.rank} and {b.rank}",
            needed="two matrices, or two stacks of matrices of the same rank",
            fix="reshape, or broadcast_to the same leading sizes",
        )
    for axis, (left, right) in enumerate(zip(a.shape[:-2], b.shape[:-2], strict=True)):
        if left != right:
            raise ShapeError(
                f"matmul cannot multiply {a} by {b}",
                got=f"axis {axis} has sizes {left} and {right}",
                needed="equal leading sizes",
                fix="broadcast_to the same leading sizes",
            )
    rows, inner = _matrix(a, attrs["transpose_a"])
    inner_b, columns = _matrix(b, attrs["transpose_b"])
    if inner != inner_b:
        axis_a = a.rank - (2 if attrs["transpose_a"] else 1)
        axis_b = b.rank - (1 if attrs["transpose_b"] else 2)
        raise ShapeError(
            f"matmul cannot multiply {a} by {b}",
            got=f"axis {axis_a} of the left side has size {inner}, axis {axis_b} of the right side {inner_b}",
            needed="equal sizes: the sum runs along both",
        )
    return [a.with_shape((*a.shape[:-2], rows, columns))]


def _matrix(type: TensorType, transpose: bool) -> tuple[DimLike, DimLike]:
    rows, columns = type.shape[-2:]
    return (columns, rows) if transpose else (rows, columns)


def _matmul_reference(a: Array, b: Array, transpose_a: bool, transpose_b: bool) -> Array:
    left = np.swapaxes(a, -1, -2) if transpose_a else a
    right = np.swapaxes(b, -1, -2) if transpose_b else b
    return np.asarray(np.matmul(left, right))


def _matmul_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    # Transposed flags, not transpose nodes: a GEMM kernel packs its operands in any order for free.  The gradient of
    # the left side (the layer's input) comes first, since the backward pass waits for it and not for the weight's.
    (dy,) = grads
    assert dy is not None
    x, w = node.operands
    x_turned, w_turned = node.attrs["transpose_a"], node.attrs["transpose_b"]
    if x_turned:
        dx = b.op("matmul", w, dy, transpose_a=w_turned, transpose_b=True)
    else:
        dx = b.op("matmul", dy, w, transpose_b=not w_turned)
    if w_turned:
        dw = b.op("matmul", dy, x, transpose_a=True, transpose_b=x_turned)
    else:
        dw = b.op("matmul", x, dy, transpose_a=not x_turned)
    return [dx, dw]


define_op(
    "matmul",
    doc=(
        "Matrix product.  a: number[*S, M, K], b: number[*S, K, N] -> number[*S, M, N]; with `transpose_a` a is\n"
        "[*S, K, M], with `transpose_b` b is [*S, N, K].  Leading sizes S are equal on both sides (no\n"
        "broadcasting).  K = 0 gives zeros."
    ),
    attrs={"transpose_a": False, "transpose_b": False},
    infer=_infer_matmul,
    reference=_matmul_reference,
    vjp=_matmul_vjp,
)
