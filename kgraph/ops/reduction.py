"""Reductions over axes, and running sums."""

from __future__ import annotations

from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import TracedTensor
from kgraph.ir.dims import DimLike
from kgraph.ops import math
from kgraph.ops.convert import active, as_tensor, cast_to, emit, normal_axes, normal_axis

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "moments",
    "prod",
    "std",
    "sum",
    "var",
]


def _reduce(op: str, tensor: TracedTensor, axis: Any, keepdims: bool) -> TracedTensor:
    axes = normal_axes(axis, len(tensor.dims))
    result: TracedTensor = emit(op, tensor, axes=axes, keepdims=bool(keepdims)) if axes else tensor
    return result


def _as_float(x: Any) -> TracedTensor:
    tensor = as_tensor(x)
    return tensor if is_float_dtype(tensor.dtype) else cast_to(tensor, floatx())


def _as_number(x: Any) -> TracedTensor:
    tensor = as_tensor(x)
    return cast_to(tensor, "int32") if tensor.dtype == "bool" else tensor


def _count(tensor: TracedTensor, axis: Any) -> DimLike:
    count: DimLike = 1
    for one in normal_axes(axis, len(tensor.dims)):
        count = count * tensor.dims[one]
    return count


@operation
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum over axes (all by default)."""
    return _reduce("sum", _as_number(x), axis, keepdims)


@operation
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Product over axes (all by default)."""
    tensor = _as_number(x)
    return _reduce("prod", cast_to(tensor, dtype) if dtype is not None else tensor, axis, keepdims)


@operation
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Mean over axes (all by default): sum divided by count."""
    tensor = _as_float(x)
    count = _count(tensor, axis)
    total = _reduce("sum", tensor, axis, keepdims)
    return (
        total
        if count == 1
        else math.divide(total, float(count) if isinstance(count, int) else as_tensor(count, tensor.dtype))
    )


@operation
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Biased variance over axes (all by default): mean of squared deviations."""
    tensor = _as_float(x)
    centred = math.subtract(tensor, mean(tensor, axis, keepdims=True))
    return mean(math.square(centred), axis, keepdims)


@operation
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Square root of `var`."""
    return math.sqrt(var(x, axis, keepdims))


@operation
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """Mean and biased variance over axes, as a pair."""
    return mean(x, axes, keepdims), var(x, axes, keepdims)


@operation
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """Largest element over axes (all by default)."""
    tensor = as_tensor(x)
    result = _reduce("max", tensor, axis, keepdims)
    return result if initial is None else math.maximum(result, initial)


@operation
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """Smallest element over axes (all by default)."""
    tensor = as_tensor(x)
    result = _reduce("min", tensor, axis, keepdims)
    return result if initial is None else math.minimum(result, initial)


@operation
def amax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest element over axes."""
    return max(x, axis, keepdims)


@operation
def amin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest element over axes."""
    return min(x, axis, keepdims)


@operation
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether one element over the axes is true (not 0)."""
    return _reduce("max", cast_to(as_tensor(x), "bool"), axis, keepdims)


@operation
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether every element over the axes is true (not 0)."""
    return _reduce("min", cast_to(as_tensor(x), "bool"), axis, keepdims)


@operation
def count_nonzero(x: Any, axis: Any = None) -> Any:
    """How many elements over the axes are not 0."""
    return _reduce("sum", cast_to(cast_to(as_tensor(x), "bool"), "int32"), axis, False)


def _arg(op: str, x: Any, axis: int | None, keepdims: bool) -> Any:
    from kgraph.ops import shaping

    tensor = as_tensor(x)
    rank = len(tensor.dims)
    if tensor.dtype == "bool":
        tensor = cast_to(tensor, "int32")
    if axis is None:
        result = emit(op, shaping.reshape(tensor, (-1,)), axis=0)
        return shaping.reshape(result, (1,) * rank) if keepdims else result
    place = normal_axis(axis, rank)
    result = emit(op, tensor, axis=place)
    return shaping.expand_dims(result, place) if keepdims else result


@operation
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index (int32) of the first largest element along an axis, or in the flattened tensor."""
    return _arg("argmax", x, axis, keepdims)


@operation
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index (int32) of the first smallest element along an axis, or in the flattened tensor."""
    return _arg("argmin", x, axis, keepdims)


@operation
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running sum along an axis, or of the flattened tensor."""
    from kgraph.ops import shaping

    tensor = _as_number(x)
    if dtype is not None:
        tensor = cast_to(tensor, dtype)
    if axis is None:
        tensor, axis = shaping.reshape(tensor, (-1,)), 0
    return emit("cumsum", tensor, axis=normal_axis(axis, len(tensor.dims)))


@operation
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(e^x)) over axes, with the maximum taken out first so that it does not overflow."""
    from kgraph.ops import shaping

    tensor = _as_float(x)
    top = math.stop_gradient(max(tensor, axis, keepdims=True))
    # A maximum of -inf (no mass at all) would give NaN as -inf - -inf.
    top = math.where(math.isfinite(top), top, 0.0)
    total = math.add(math.log(sum(math.exp(math.subtract(tensor, top)), axis, keepdims=True)), top)
    active()
    if keepdims:
        return total
    axes = normal_axes(axis, len(tensor.dims))
    return shaping.reshape(total, tuple(d for i, d in enumerate(tensor.dims) if i not in axes))
