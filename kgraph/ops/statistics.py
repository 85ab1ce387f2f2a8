"""Quantiles, averages, histograms, running products, differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim
from kgraph.ops import making, math, products, reduction, shaping, sorting, taking
from kgraph.ops.control import scan_region
from kgraph.ops.convert import active, as_tensor, cast_to, emit, normal_axis
from kgraph.ops.operands import as_float, as_number, concrete, gather_last, last_axis, restored, tensors

__all__ = [
    "average",
    "bincount",
    "corrcoef",
    "correlate",
    "cumprod",
    "diff",
    "histogram",
    "median",
    "percentile",
    "ptp",
    "quantile",
    "trapezoid",
]

METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


# -- quantiles -------------------------------------------------------------------------------------------------------
def quantiles(x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    """The body of `quantile` and `nanquantile`, on traced tensors."""
    if method not in METHODS:
        raise InvalidArgumentError(f"quantile has no method {method!r}", needed=", ".join(METHODS))
    tensor = as_float(x)
    share = as_tensor(q, tensor.dtype)
    last, axes = last_axis(tensor, axis)
    ordered = gather_last(last, emit("argsort", last))
    length = last.dims[-1]
    if skip_nan:
        present = cast_to(math.logical_not(math.isnan(last)), tensor.dtype)
        steps = math.subtract(reduction.sum(present, axis=-1, keepdims=True), 1.0)
    else:
        steps = math.subtract(as_tensor(length, tensor.dtype), 1.0)
    place = math.multiply(shaping.reshape(share, (-1,)), steps)
    found = _between(ordered, shaping.broadcast_to(place, (*last.dims[:-1], place.dims[-1])), length, method)
    if not skip_nan:
        # NaN is last in the order, and one is enough.
        worst = taking.get_item(ordered, (Ellipsis, slice(length - 1, length)))
        found = math.where(math.isnan(worst), float("nan"), found)
    found = shaping.reshape(shaping.moveaxis(found, -1, 0), (*share.dims, *last.dims[:-1]))
    return restored(found, tensor.dims, axes, keepdims, len(share.dims))


def _between(ordered: TracedTensor, place: TracedTensor, length: Any, method: str) -> Any:
    """Elements of sorted rows at places that may lie between two."""
    low, high = math.floor(place), math.ceil(place)
    share = math.subtract(place, low)

    def at(position: TracedTensor) -> TracedTensor:
        top = as_tensor(length, "int32") if isinstance(length, Dim) else length
        inside = math.maximum(math.minimum(cast_to(position, "int32"), math.subtract(top, 1)), 0)
        return gather_last(ordered, inside)

    if method == "lower":
        return at(low)
    if method == "higher":
        return at(high)
    if method == "nearest":
        return at(math.where(math.less_equal(share, 0.5), low, high))
    below, above = at(low), at(high)
    if method == "midpoint":
        return math.multiply(math.add(below, above), 0.5)
    return math.add(math.multiply(below, math.subtract(1.0, share)), math.multiply(above, share))


@operation
def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The elements below which the shares `q` (0 to 1) of all elements over the axes lie.

    Args:
        x: tensor; NaN where one of the elements is NaN.
        q: number or [Q]; the result then has Q as its first axis.
        axis: axis or axes, all by default.
        method: between two elements: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`.
        keepdims: keep the axes with size 1.
    """
    return quantiles(x, q, axis, method, keepdims, skip_nan=False)


@operation
def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """`quantile` with `q` in percent."""
    return quantile(x, math.divide(q, 100.0), axis, method, keepdims)


@operation
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The element in the middle, or the mean of the two in the middle."""
    return quantile(x, 0.5, axis, "midpoint", keepdims)


# -- sums ------------------------------------------------------------------------------------------------------------
@operation
def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """Mean over axes, with weights of the shape of x or of its one axis."""
    tensor = as_float(x)
    if weights is None:
        return reduction.mean(tensor, axis)
    tensor, weight = tensors(tensor, weights, floating=True)
    if len(weight.dims) != len(tensor.dims):
        if len(weight.dims) != 1 or not isinstance(axis, int):
            raise ShapeError(
                "average: the weights fit neither x nor its axis",
                where=str(active().location()),
                got=f"x {tensor.shape}, weights {weight.shape}, axis={axis}",
            )
        place = normal_axis(axis, len(tensor.dims))
        weight = shaping.reshape(weight, tuple(-1 if i == place else 1 for i in range(len(tensor.dims))))
    whole = shaping.broadcast_to(weight, tensor.dims)
    return math.divide(reduction.sum(math.multiply(tensor, whole), axis), reduction.sum(whole, axis))


@operation
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest minus smallest element over axes."""
    return math.subtract(reduction.max(x, axis, keepdims), reduction.min(x, axis, keepdims))


@operation
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running product along an axis, or of the flattened tensor."""
    tensor = as_number(x)
    if dtype is not None:
        tensor = cast_to(tensor, dtype)
    if axis is None:
        tensor, axis = shaping.reshape(tensor, (-1,)), 0
    place = normal_axis(axis, len(tensor.dims))

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        product = emit("mul", states[0], slices[0])
        return [product], [product]

    one = making.ones(tuple(dim for i, dim in enumerate(tensor.dims) if i != place), tensor.dtype)
    return scan_region(step, [one], [tensor], axis=place)[1][0]


def _ends(tensor: TracedTensor, axis: int) -> tuple[Any, Any]:
    """All but the first, and all but the last element along an axis."""
    head: tuple[Any, ...] = (slice(None),) * axis
    return taking.get_item(tensor, (*head, slice(1, None))), taking.get_item(tensor, (*head, slice(None, -1)))


@operation
def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """Differences of neighbours along an axis, `n` times over."""
    tensor = as_tensor(a)
    place = normal_axis(axis, len(tensor.dims))
    for _ in range(int(n)):
        later, earlier = _ends(tensor, place)
        tensor = math.not_equal(later, earlier) if tensor.dtype == "bool" else math.subtract(later, earlier)
    return tensor


@operation
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integral along an axis by trapezoids, between points `x` (of the shape of y, or [N]) or at distances `dx`."""
    height = as_float(y)
    place = normal_axis(axis, len(height.dims))
    width: Any = dx
    if x is not None:
        points = as_float(x)
        one = len(points.dims) == 1
        width = diff(points, axis=-1 if one else place)
        if one:
            width = shaping.reshape(width, tuple(-1 if i == place else 1 for i in range(len(height.dims))))
    later, earlier = _ends(height, place)
    return reduction.sum(math.multiply(math.multiply(math.add(later, earlier), width), 0.5), axis=place)


@operation
def corrcoef(x: Any) -> Any:
    """Correlation coefficients of the rows of x: [V, N] -> [V, V]; a vector gives a scalar."""
    tensor = as_float(x)
    rows = shaping.reshape(tensor, (1, -1)) if len(tensor.dims) < 2 else tensor
    centred = math.subtract(rows, reduction.mean(rows, axis=1, keepdims=True))
    covariance = products.matmul(centred, shaping.transpose(centred))
    spread = math.sqrt(reduction.sum(math.square(centred), axis=1))
    scaled = math.divide(math.divide(covariance, shaping.expand_dims(spread, 1)), shaping.expand_dims(spread, 0))
    bounded = math.clip(scaled, -1.0, 1.0)
    return shaping.reshape(bounded, ()) if len(tensor.dims) < 2 else bounded


@operation
def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """Sums of products of a vector and another one moved along it.

    Args:
        x1: [N].
        x2: [M].
        mode: `"valid"`: where they overlap wholly; `"same"`: max(N, M) places; `"full"`: wherever they overlap.
    """
    left, right = (as_number(x) for x in tensors(x1, x2))
    if len(left.dims) != 1 or len(right.dims) != 1 or any(isinstance(x.dims[0], Dim) for x in (left, right)):
        raise ShapeError(
            "correlate needs two vectors of known size",
            where=str(active().location()),
            got=f"{left.shape}, {right.shape}",
        )
    swapped = int(str(left.dims[0])) < int(str(right.dims[0]))
    if swapped:
        left, right = right, left
    n, m = int(str(left.dims[0])), int(str(right.dims[0]))
    before, after = {"valid": (0, 0), "same": (m // 2, m - m // 2 - 1), "full": (m - 1, m - 1)}.get(mode, (-1, -1))
    if before < 0:
        raise InvalidArgumentError(f"correlate has no mode {mode!r}", needed="'valid', 'same' or 'full'")
    wide = shaping.pad(left, ((before, after),))
    windows = np.arange(n + before + after - m + 1)[:, None] + np.arange(m)
    result = reduction.sum(math.multiply(taking.take(wide, windows.astype("int32"), axis=0), right), axis=-1)
    return shaping.flip(result) if swapped else result


# -- counting --------------------------------------------------------------------------------------------------------
@operation
def histogram(x: Any, bins: Any = 10, range: Any = None) -> Any:
    """How many elements (as floats) lie in each bin, and the edges of the bins.

    Args:
        x: tensor.
        bins: number of bins of equal width, or their edges [N + 1] in increasing order.
        range: (low, high) of the bins; that of the elements by default.
    """
    flat = shaping.reshape(as_float(x), (-1,))
    edges = _edges(flat, bins, range)
    count = int(str(edges.dims[0])) - 1
    place = math.subtract(sorting.searchsorted(edges, flat, side="right"), 1)
    last = taking.get_item(edges, -1)
    place = math.where(math.equal(flat, last), count - 1, place)
    outside = math.logical_or(math.less(place, 0), math.greater_equal(place, count))
    # One row more, for what is in no bin.
    place = math.where(math.logical_or(outside, math.isnan(flat)), count, place)
    counts = emit("scatter_add", place, making.ones_like(flat), rows=count + 1)
    return taking.get_item(counts, slice(0, count)), edges


def _edges(flat: TracedTensor, bins: Any, bounds: Any) -> TracedTensor:
    if not isinstance(bins, (int, np.integer)):
        return as_tensor(bins, flat.dtype)
    low, high = bounds if bounds is not None else (reduction.min(flat), reduction.max(flat))
    low, high = as_tensor(low, flat.dtype), as_tensor(high, flat.dtype)
    flat_range = math.equal(low, high)
    low, high = (
        math.where(flat_range, math.subtract(low, 0.5), low),
        math.where(flat_range, math.add(high, 0.5), high),
    )
    share = as_tensor(np.linspace(0.0, 1.0, int(bins) + 1).astype(flat.dtype))
    spread: TracedTensor = math.add(math.multiply(low, math.subtract(1.0, share)), math.multiply(high, share))
    return spread


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often each number 0, 1, ... occurs (or the sum of its weights), in each row; on arrays only.

    Args:
        x: i32[N] or i32[B, N], 0 or more.
        weights: of the shape of x.
        minlength: least length of the result.
        sparse: must be false.

    Raises:
        UnsupportedError: in a model or a trace.
    """
    if sparse:
        raise InvalidArgumentError("bincount has no sparse results", fix="leave sparse=False")

    def compute(numbers: Any, weight: Any) -> Any:
        rows = np.atleast_2d(np.asarray(numbers, "int64"))
        shares = [None] * len(rows) if weight is None else list(np.atleast_2d(np.asarray(weight)))
        length = max(int(rows.max()) + 1 if rows.size else 0, int(minlength))
        counts = [np.bincount(row, share, length) for row, share in zip(rows, shares, strict=True)]
        stacked = np.stack(counts).astype("int32" if weight is None else np.asarray(weight).dtype)
        return stacked if np.ndim(numbers) > 1 else stacked[0]

    return concrete(
        "bincount", compute, x, weights, fix="count up to a known number: ops.sum(ops.one_hot(x, n), axis=0)"
    )
