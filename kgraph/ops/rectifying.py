"""Activations that cut, shrink or gate; elementwise but for `glu` and `sparsemax`."""

from __future__ import annotations

from typing import Any

from kgraph.core.dispatch import operation
from kgraph.ops import math, nn, reduction, shaping
from kgraph.ops.convert import as_tensor, cast_to, emit, normal_axis
from kgraph.ops.operands import as_float, gather_last

__all__ = [
    "glu",
    "hard_shrink",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "tanh_shrink",
    "threshold",
]


@operation
def glu(x: Any, axis: int = -1) -> Any:
    """First half * sigmoid(second half) along an axis."""
    first, second = shaping.split(as_float(x), 2, axis=axis)
    return math.multiply(first, nn.sigmoid(second))


@operation
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` where |x| > threshold, else 0."""
    tensor = as_float(x)
    return math.where(math.greater(math.abs(tensor), threshold), tensor, 0.0)


@operation
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` moved towards 0 by `threshold`, 0 within it."""
    tensor = as_float(x)
    above = math.subtract(tensor, threshold)
    below = math.add(tensor, threshold)
    return math.where(
        math.greater(tensor, threshold), above, math.where(math.less(tensor, math.negative(threshold)), below, 0.0)
    )


@operation
def tanh_shrink(x: Any) -> Any:
    """`x` - tanh(x)."""
    tensor = as_float(x)
    return math.subtract(tensor, math.tanh(tensor))


@operation
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """`x` where it is greater than `threshold`, else `default_value`."""
    tensor = as_tensor(x)
    return math.where(math.greater(tensor, threshold), tensor, default_value)


@operation
def squareplus(x: Any, b: float = 4) -> Any:
    """(x + sqrt(x^2 + b)) / 2."""
    tensor = as_float(x)
    return math.multiply(math.add(tensor, math.sqrt(math.add(math.square(tensor), float(b)))), 0.5)


@operation
def sparse_plus(x: Any) -> Any:
    """0 up to -1, (x + 1)^2 / 4 between, x from 1 on."""
    tensor = as_float(x)
    middle = math.multiply(math.square(math.add(tensor, 1.0)), 0.25)
    return math.where(math.less_equal(tensor, -1.0), 0.0, math.where(math.less(tensor, 1.0), middle, tensor))


@operation
def sparse_sigmoid(x: Any) -> Any:
    """0 up to -1, (x + 1) / 2 between, 1 from 1 on."""
    return math.clip(math.multiply(math.add(as_float(x), 1.0), 0.5), 0.0, 1.0)


@operation
def sparsemax(x: Any, axis: int = -1) -> Any:
    """The nearest point to x among all probability distributions along an axis; most of it is 0.

    Source: A. Martins and R. Astudillo, "From Softmax to Sparsemax", ICML 2016.
    """
    tensor = as_float(x)
    place = normal_axis(axis, len(tensor.dims))
    logits = shaping.moveaxis(tensor, place, -1)
    falling = gather_last(logits, emit("argsort", logits, descending=True))
    rank = math.add(emit("iota", shape=logits.dims, axis=len(logits.dims) - 1, dtype="i32"), 1)
    total = reduction.cumsum(falling, axis=-1)
    held = math.greater(math.add(1.0, math.multiply(cast_to(rank, tensor.dtype), falling)), total)
    count = reduction.sum(cast_to(held, tensor.dtype), axis=-1, keepdims=True)
    mass = reduction.sum(math.where(held, falling, 0.0), axis=-1, keepdims=True)
    level = math.divide(math.subtract(mass, 1.0), count)
    return shaping.moveaxis(nn.relu(math.subtract(logits, level)), -1, place)
