"""Type rules and derivative helpers that several op families share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir.dims import DimLike, Shape, shape_text
from kgraph.ir.graph import Value
from kgraph.ir.opdef import Attrs, Infer
from kgraph.ir.types import TensorType, is_float

if TYPE_CHECKING:
    from kgraph.ir.builder import Builder

__all__ = ["broadcast_shapes", "expect_count", "float_unary", "normal_axes", "normal_axis", "same_type", "unbroadcast"]


def expect_count(op: str, types: Sequence[TensorType], count: int) -> None:
    """Raise unless there are exactly `count` operands."""
    if len(types) != count:
        raise ShapeError(f"{op} takes {count} operands", got=f"{len(types)}")


def same_type(op: str) -> Infer:
    """One operand; the result has its type."""

    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        return [types[0]]

    return infer


def float_unary(op: str) -> Infer:
    """One floating-point operand; the result has its type."""

    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        if not is_float(types[0].dtype):
            raise DtypeError(f"{op} needs a floating-point tensor", got=str(types[0]), fix="cast it to f32 first")
        return [types[0]]

    return infer


def broadcast_shapes(op: str, shapes: Sequence[Shape]) -> Shape:
    """NumPy's broadcasting with symbolic sizes: equal sizes, or 1.

    Raises:
        ShapeError: names the axis and both sizes.
    """
    rank = max(len(shape) for shape in shapes)
    result: list[DimLike] = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for position, dim in enumerate(shape):
            have = result[offset + position]
            if dim == 1 or dim == have:
                continue
            if have == 1:
                result[offset + position] = dim
            else:
                raise ShapeError(
                    f"{op} cannot combine shapes {' and '.join(shape_text(s) for s in shapes)}",
                    got=f"axis {offset + position - rank} has sizes {have} and {dim}",
                    needed="equal sizes, or 1, on every axis counted from the last",
                )
    return tuple(result)


def normal_axis(op: str, axis: int, rank: int) -> int:
    """`axis` counted from the front.

    Raises:
        ShapeError: out of range.
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"{op}: axis {axis} is out of range for a tensor of rank {rank}")
    return axis % rank if rank else 0


def normal_axes(op: str, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Sorted axes counted from the front.

    Raises:
        ShapeError: out of range or repeated.
    """
    result = sorted(normal_axis(op, axis, rank) for axis in axes)
    if len(set(result)) != len(result):
        raise ShapeError(f"{op}: the axes {tuple(axes)} name an axis twice")
    return tuple(result)


def unbroadcast(b: Builder, grad: Value, shape: Shape) -> Value:
    """Sum `grad` over the axes along which a tensor of `shape` was broadcast (the adjoint of broadcasting)."""
    if grad.shape == shape:
        return grad
    lead = len(grad.shape) - len(shape)
    axes = [*range(lead), *(lead + i for i, dim in enumerate(shape) if dim == 1 and grad.shape[lead + i] != 1)]
    if axes:
        grad = b.op("sum", grad, axes=tuple(axes), keepdims=False)
    return grad if grad.shape == shape else b.op("reshape", grad, shape=shape)
