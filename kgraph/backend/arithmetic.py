"""Arithmetic whose defaults differ from those of `kgraph.ops`."""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.core.dispatch import operation
from kgraph.errors import InvalidArgumentError

__all__ = [
    "argmax",
    "argmin",
    "batch_dot",
    "clip",
    "cumprod",
    "dot",
    "l2_normalize",
    "relu",
    "sqrt",
]


def argmax(x: Any, axis: int = -1) -> Any:
    """Index of the largest element along an axis."""
    return ops.argmax(x, axis=axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Index of the smallest element along an axis."""
    return ops.argmin(x, axis=axis)


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    """`x` kept within bounds."""
    return ops.clip(x, min_value, max_value)


@operation
def sqrt(x: Any) -> Any:
    """Square root; 0 for negative numbers, as Keras 2."""
    return ops.sqrt(ops.maximum(x, 0.0))


@operation
def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """max_value from there on, x from threshold on, alpha * (x - threshold) below."""
    if not alpha and not threshold:
        y = ops.relu(x)
    else:
        x = ops.convert_to_tensor(x)
        y = ops.where(ops.greater_equal(x, threshold), x, ops.multiply(ops.subtract(x, threshold), alpha))
    return y if max_value is None else ops.minimum(y, max_value)


@operation
def l2_normalize(x: Any, axis: Any = None) -> Any:
    """`x` divided by its L2 norm over an axis (all by default)."""
    x = ops.convert_to_tensor(x)
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, 1e-12)))


def dot(x: Any, y: Any) -> Any:
    """Product of (..., a) and (a, b), or of the last axis of x and the last but one of y."""
    return ops.dot(x, y)


@operation
def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Sum of products over one axis of each, sample by sample; two matrices give (batch, 1).

    Args:
        x, y: tensors whose first axis is the batch.
        axes: one axis for both, or a pair; the last of x and the last but one of y by default.
    """
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    rank_x, rank_y = len(x.dims), len(y.dims)
    if rank_x < 2 or rank_y < 2:
        raise InvalidArgumentError("batch_dot needs tensors of rank 2 or more", got=f"{x.shape}, {y.shape}")
    if axes is None:
        axes = (rank_x - 1, rank_y - 1 if rank_y == 2 else rank_y - 2)
    left, right = (axes, axes) if isinstance(axes, int) else tuple(axes)
    left, right = left % rank_x, right % rank_y
    if not left or not right:
        raise InvalidArgumentError("batch_dot cannot sum over the batch axis", got=str(axes))
    letters_x = "b" + "cdefgh"[: rank_x - 1]
    letters_y = "b" + "ijklmn"[: rank_y - 1]
    letters_y = letters_y[:right] + letters_x[left] + letters_y[right + 1 :]
    out = "b" + letters_x[1:].replace(letters_x[left], "") + letters_y[1:].replace(letters_x[left], "")
    product = ops.einsum(f"{letters_x},{letters_y}->{out}", x, y)
    return ops.expand_dims(product, 1) if len(out) == 1 else product


def cumprod(x: Any, axis: int = 0) -> Any:
    """Running product along an axis."""
    return ops.cumprod(x, axis=axis)
