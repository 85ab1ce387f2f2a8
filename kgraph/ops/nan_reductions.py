"""Reductions that leave NaN out.  Integers have none: there these are the plain reductions."""

from __future__ import annotations

from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.ops import math, reduction, statistics
from kgraph.ops.convert import cast_to
from kgraph.ops.operands import as_float, as_number

__all__ = [
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nansum",
    "nanvar",
]


def _filled(x: Any, number: float) -> TracedTensor:
    """`x` with a number in the place of NaN."""
    tensor = as_number(x)
    if not is_float_dtype(tensor.dtype):
        return tensor
    filled: TracedTensor = math.where(math.isnan(tensor), number, tensor)
    return filled


def _counts(tensor: TracedTensor, axis: Any, keepdims: bool) -> Any:
    """How many elements are numbers."""
    present = cast_to(math.logical_not(math.isnan(tensor)), tensor.dtype)
    return reduction.sum(present, axis, keepdims)


@operation
def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum over axes of what is not NaN."""
    return reduction.sum(_filled(x, 0.0), axis, keepdims)


@operation
def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Product over axes of what is not NaN."""
    return reduction.prod(_filled(x, 1.0), axis, keepdims)


@operation
def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running sum in which NaN counts as 0."""
    return reduction.cumsum(_filled(x, 0.0), axis, dtype)


@operation
def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running product in which NaN counts as 1."""
    return statistics.cumprod(_filled(x, 1.0), axis, dtype)


def _extremum(x: Any, axis: Any, keepdims: bool, greatest: bool) -> Any:
    tensor = as_number(x)
    fold = reduction.max if greatest else reduction.min
    if not is_float_dtype(tensor.dtype):
        return fold(tensor, axis, keepdims)
    best = fold(_filled(tensor, float("-inf") if greatest else float("inf")), axis, keepdims)
    return math.where(math.equal(_counts(tensor, axis, keepdims), 0.0), float("nan"), best)


@operation
def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest number over axes; NaN where there is none."""
    return _extremum(x, axis, keepdims, True)


@operation
def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest number over axes; NaN where there is none."""
    return _extremum(x, axis, keepdims, False)


def _position(x: Any, axis: int | None, keepdims: bool, greatest: bool) -> Any:
    tensor = as_number(x)
    find = reduction.argmax if greatest else reduction.argmin
    found = find(_filled(tensor, float("-inf") if greatest else float("inf")), axis, keepdims)
    if not is_float_dtype(tensor.dtype):
        return found
    return math.where(math.equal(_counts(tensor, axis, keepdims), 0.0), -1, found)


@operation
def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index (int32) of the first largest number; -1 where there is none."""
    return _position(x, axis, keepdims, True)


@operation
def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index (int32) of the first smallest number; -1 where there is none."""
    return _position(x, axis, keepdims, False)


@operation
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Mean over axes of what is not NaN; NaN where there is nothing."""
    tensor = as_float(x)
    return math.divide(nansum(tensor, axis, keepdims), _counts(tensor, axis, keepdims))


@operation
def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Biased variance over axes of what is not NaN; NaN where there is nothing."""
    tensor = as_float(x)
    return nanmean(math.square(math.subtract(tensor, nanmean(tensor, axis, keepdims=True))), axis, keepdims)


@operation
def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Square root of `nanvar`."""
    return math.sqrt(nanvar(x, axis, keepdims))


@operation
def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """`quantile` of what is not NaN; NaN where there is nothing."""
    return statistics.quantiles(x, q, axis, method, keepdims, skip_nan=True)


@operation
def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """`percentile` of what is not NaN; NaN where there is nothing."""
    return nanquantile(x, math.divide(q, 100.0), axis, method, keepdims)


@operation
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Median of what is not NaN; NaN where there is nothing."""
    return nanquantile(x, 0.5, axis, "midpoint", keepdims)
