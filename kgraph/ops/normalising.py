"""Normalisation, attention, and what else layers do with whole tensors."""

from __future__ import annotations

import math as _math
from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.session import epsilon as default_epsilon
from kgraph.core.session import floatx
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.dims import Dim
from kgraph.ops import making, math, nn, products, reduction, shaping
from kgraph.ops.convert import active, as_tensor, cast_to, emit, normal_axes, normal_axis
from kgraph.ops.operands import as_float, tensors

__all__ = [
    "batch_normalization",
    "dot_product_attention",
    "layer_normalization",
    "multi_hot",
    "polar",
    "psnr",
    "rms_normalization",
    "view_as_complex",
    "view_as_real",
]


@operation
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with vectors along one axis.

    Args:
        x: f32[*S].
        mean, variance, offset, scale: f32[C], where C is the size of the axis.
        axis: the axis of the channels.
        epsilon: added to the variance.
    """
    tensor = as_float(x)
    place = normal_axis(axis, len(tensor.dims))
    form = tuple(-1 if i == place else 1 for i in range(len(tensor.dims)))

    def along(vector: Any) -> Any:
        return shaping.reshape(cast_to(as_tensor(vector), tensor.dtype), form)

    factor = math.rsqrt(math.add(along(variance), float(epsilon)))
    if scale is not None:
        factor = math.multiply(factor, along(scale))
    shift = math.negative(math.multiply(along(mean), factor))
    if offset is not None:
        shift = math.add(shift, along(offset))
    return math.add(math.multiply(tensor, factor), shift)


def _along(vector: Any, tensor: TracedTensor, axes: tuple[int, ...]) -> Any:
    """A scale or shift over the normalised axes, shaped to broadcast against the tensor."""
    values = cast_to(as_tensor(vector), tensor.dtype)
    rank = len(tensor.dims)
    if len(values.dims) == rank or axes == (rank - 1,):
        return values
    return shaping.reshape(values, tuple(dim if i in axes else 1 for i, dim in enumerate(tensor.dims)))


@operation
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None, **kwargs: Any
) -> Any:
    """`x` with mean 0 and variance 1 over axes, then * gamma + beta.

    Args:
        x: f32[*S].
        gamma, beta: of the sizes of the axes, or None.
        axis: axis or axes.
        epsilon: added to the variance; 1e-7 by default.
        **kwargs: `rms_scaling=True`: divide x, not centred, by the standard deviation, and add no beta.
    """
    rms_scaling = bool(kwargs.pop("rms_scaling", False))
    if kwargs:
        raise InvalidArgumentError(f"layer_normalization has no argument {next(iter(kwargs))!r}")
    tensor = as_float(x)
    least = default_epsilon() if epsilon is None else float(epsilon)
    axes = normal_axes(axis, len(tensor.dims))
    centred = math.subtract(tensor, reduction.mean(tensor, axes, keepdims=True))
    spread = reduction.mean(math.square(centred), axes, keepdims=True)
    result = math.multiply(tensor if rms_scaling else centred, math.rsqrt(math.add(spread, least)))
    if gamma is not None:
        result = math.multiply(result, _along(gamma, tensor, axes))
    return result if beta is None or rms_scaling else math.add(result, _along(beta, tensor, axes))


@operation
def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> Any:
    """`x` divided by its root mean square over axes, then * scale.

    Source: B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
    """
    tensor = as_float(x)
    if not tensor.dims:
        tensor = shaping.reshape(tensor, (1,))
    least = default_epsilon() if epsilon is None else float(epsilon)
    power = reduction.mean(math.square(tensor), axis, keepdims=True)
    result = math.multiply(tensor, math.rsqrt(math.add(power, least)))
    return result if scale is None else math.multiply(result, cast_to(as_tensor(scale), tensor.dtype))


# -- attention -------------------------------------------------------------------------------------------------------
def _grouped(x: TracedTensor, heads: int) -> Any:
    """Keys or values of few heads repeated, so that each group of query heads has its own: [B, S, K, H]."""
    own = x.dims[2]
    if own == heads:
        return x
    if isinstance(own, Dim) or heads % own:
        raise ShapeError(
            f"dot_product_attention: {heads} query heads cannot share {own} key heads",
            where=str(active().location()),
            needed="a multiple",
        )
    return shaping.repeat(x, heads // own, axis=2)


@operation
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """softmax(query key^T * scale + bias) value, head by head.

    Args:
        query: f32[B, T, N, H].
        key: f32[B, S, K, H], where K divides N.
        value: f32[B, S, K, D].
        bias: broadcasts to f32[B, N, T, S].
        mask: broadcasts to bool[B, N, T, S]; false: not looked at.
        scale: 1 / sqrt(H) by default.
        is_causal: query t looks at keys 0 .. t only.
        flash_attention: must not be true; attention is compiled here like everything else.
        attn_logits_soft_cap: logits become logits / (1 + |logits| / cap).

    Returns:
        f32[B, T, N, D].
    """
    if flash_attention:
        raise UnsupportedError("dot_product_attention has no flash kernels", fix="leave flash_attention=None")
    q, k, v = tensors(as_tensor(query), as_tensor(key), as_tensor(value), floating=True)
    if any(len(x.dims) != 4 for x in (q, k, v)):
        raise ShapeError(
            "dot_product_attention needs tensors of rank 4",
            where=str(active().location()),
            got=f"query {q.shape}, key {k.shape}, value {v.shape}",
            needed="[batch, time, heads, depth]",
        )
    heads, depth = int(str(q.dims[2])), int(str(q.dims[3]))
    factor = 1.0 / _math.sqrt(depth) if scale is None else scale
    logits = math.multiply(products.einsum("btnh,bsnh->bnts", q, _grouped(k, heads)), factor)
    if attn_logits_soft_cap is not None:
        logits = math.divide(logits, math.add(1.0, math.divide(math.abs(logits), float(attn_logits_soft_cap))))
    if bias is not None:
        logits = math.add(logits, cast_to(as_tensor(bias), q.dtype))
    seen = None if mask is None else cast_to(as_tensor(mask), "bool")
    if is_causal:
        sizes = (q.dims[1], k.dims[1])
        row, column = (emit("iota", shape=sizes, axis=axis, dtype="i32") for axis in (0, 1))
        lower = math.greater_equal(row, column)
        seen = lower if seen is None else math.logical_and(seen, lower)
    if seen is not None:
        # Not -inf: a row without any key to look at would become NaN.
        logits = math.where(seen, logits, -2.3e38 if q.dtype != "float16" else -4.5e4)
    return products.einsum("bnts,bsnh->btnh", nn.softmax(logits, axis=-1), _grouped(v, heads))


# -- others ----------------------------------------------------------------------------------------------------------
@operation
def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False, **kwargs: Any
) -> Any:
    """1 at the place of each index of a row, else 0: i32[B, N] -> [B, num_classes]; i32[N] -> [num_classes]."""
    count = kwargs.pop("num_tokens", num_classes)
    if count is None or kwargs:
        raise InvalidArgumentError("multi_hot needs num_classes", got=", ".join(kwargs) or "None")
    if sparse:
        raise UnsupportedError("multi_hot has no sparse results", fix="leave sparse=False")
    ids = as_tensor(inputs)
    marks = making.one_hot(ids, int(count), axis=axis, dtype=dtype or floatx())
    return reduction.max(marks, axis=1 if len(ids.dims) > 1 else 0)


@operation
def psnr(x1: Any, x2: Any, max_val: float) -> Any:
    """Peak signal-to-noise ratio in decibels: 20 log10(max_val) - 10 log10(mean((x1 - x2)^2))."""
    left, right = tensors(x1, x2, floating=True)
    if left.dims != right.dims:
        raise ShapeError(
            "psnr needs tensors of one shape", where=str(active().location()), got=f"{left.shape}, {right.shape}"
        )
    error = reduction.mean(math.square(math.subtract(left, right)))
    peak = math.log10(as_tensor(max_val, left.dtype))
    return math.subtract(math.multiply(peak, 20.0), math.multiply(math.log10(error), 10.0))


def _no_complex(name: str, fix: str) -> UnsupportedError:
    return UnsupportedError(f"ops.{name} has a complex result or operand; kgraph has real numbers only", fix=fix)


def polar(abs_: Any, angle: Any) -> Any:
    """Not there: the result is complex.

    Raises:
        UnsupportedError: always.
    """
    raise _no_complex("polar", "keep the pair (abs_ * ops.cos(angle), abs_ * ops.sin(angle))")


def view_as_complex(x: Any) -> Any:
    """Not there: the result is complex.

    Raises:
        UnsupportedError: always.
    """
    raise _no_complex("view_as_complex", "keep the real and imaginary parts along the last axis, as they are")


def view_as_real(x: Any) -> Any:
    """Not there: the operand is complex.

    Raises:
        UnsupportedError: always.
    """
    raise _no_complex("view_as_real", "keep the real and imaginary parts as two tensors")
