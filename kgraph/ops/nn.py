"""Activations, convolution and pooling.  Formulas and argument names follow `keras.ops`; layout is channels last
inside.
"""

from __future__ import annotations

import math as _math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.session import epsilon as default_epsilon
from kgraph.core.session import floatx, image_data_format
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.dims import Dim, DimLike
from kgraph.ops import making, math, reduction, shaping
from kgraph.ops.convert import active, as_tensor, cast_to, common, emit, normal_axis, unary

__all__ = [
    "average_pool",
    "bias_add",
    "celu",
    "conv",
    "depthwise_conv",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "max_pool",
    "mish",
    "normalize",
    "relu",
    "relu6",
    "selu",
    "separable_conv",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
]

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _floating(x: Any) -> TracedTensor:
    tensor = as_tensor(x)
    return tensor if is_float_dtype(tensor.dtype) else cast_to(tensor, floatx())


# -- activations ----------------------------------------------------------------------------------------------------
@operation
def relu(x: Any) -> Any:
    """max(x, 0)."""
    tensor = as_tensor(x)
    return emit("relu", tensor) if is_float_dtype(tensor.dtype) else math.maximum(tensor, 0)


@operation
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6)."""
    return math.minimum(relu(x), 6.0)


@operation
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return unary("sigmoid", x, floating=True)


@operation
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), stable."""
    return math.negative(softplus(math.negative(_floating(x))))


@operation
def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6 (Keras 3; Keras 2 had another one)."""
    return math.divide(relu6(math.add(_floating(x), 3.0)), 6.0)


@operation
def hard_tanh(x: Any) -> Any:
    """`x` kept within [-1, 1]."""
    return math.clip(_floating(x), -1.0, 1.0)


@operation
def softplus(x: Any) -> Any:
    """log(1 + e^x), stable."""
    return unary("softplus", x, floating=True)


@operation
def softsign(x: Any) -> Any:
    """`x` / (1 + |x|)."""
    tensor = _floating(x)
    return math.divide(tensor, math.add(1.0, math.abs(tensor)))


@operation
def silu(x: Any) -> Any:
    """`x` * sigmoid(x)."""
    tensor = _floating(x)
    return math.multiply(tensor, sigmoid(tensor))


@operation
def swish(x: Any) -> Any:
    """`x` * sigmoid(x)."""
    return silu(x)


@operation
def hard_silu(x: Any) -> Any:
    """`x` * hard_sigmoid(x)."""
    tensor = _floating(x)
    return math.multiply(tensor, hard_sigmoid(tensor))


@operation
def mish(x: Any) -> Any:
    """`x` * tanh(softplus(x))."""
    tensor = _floating(x)
    return math.multiply(tensor, math.tanh(softplus(tensor)))


@operation
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """x, or negative_slope * x below 0."""
    tensor = _floating(x)
    return math.where(math.greater(tensor, 0.0), tensor, math.multiply(tensor, float(negative_slope)))


@operation
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x, or alpha * (e^x - 1) below 0."""
    tensor = _floating(x)
    # The branch not taken must not overflow, or its gradient would be inf * 0.
    below = math.expm1(math.minimum(tensor, 0.0))
    return math.where(math.greater(tensor, 0.0), tensor, math.multiply(below, float(alpha)))


@operation
def selu(x: Any) -> Any:
    """Scaled elu that keeps mean 0 and variance 1."""
    return math.multiply(elu(x, SELU_ALPHA), SELU_SCALE)


@operation
def celu(x: Any, alpha: float = 1.0) -> Any:
    """max(x, 0) + min(alpha * (e^(x/alpha) - 1), 0)."""
    tensor = _floating(x)
    below = math.expm1(math.divide(math.minimum(tensor, 0.0), float(alpha)))
    return math.add(math.maximum(tensor, 0.0), math.multiply(below, float(alpha)))


@operation
def gelu(x: Any, approximate: bool = True) -> Any:
    """`x` * Phi(x): through tanh when `approximate` (the default of `keras.ops`), else through erf."""
    tensor = _floating(x)
    if approximate:
        cube = math.multiply(math.multiply(tensor, tensor), tensor)
        inner = math.multiply(math.add(tensor, math.multiply(cube, 0.044715)), _math.sqrt(2.0 / _math.pi))
        return math.multiply(math.multiply(tensor, 0.5), math.add(math.tanh(inner), 1.0))
    return math.multiply(math.multiply(tensor, 0.5), math.add(math.erf(math.multiply(tensor, _math.sqrt(0.5))), 1.0))


def _softmax(op: str, x: Any, axis: Any) -> Any:
    tensor = _floating(x)
    rank = len(tensor.dims)
    if isinstance(axis, (tuple, list)):
        axes = [normal_axis(a, rank) for a in axis]
        rest = [i for i in range(rank) if i not in axes]
        order = [*rest, *axes]
        moved = shaping.transpose(tensor, order)
        flat = shaping.reshape(moved, (*(tensor.dims[i] for i in rest), -1))
        result = shaping.reshape(emit(op, flat, axis=len(rest)), moved.dims)
        return shaping.transpose(result, [order.index(i) for i in range(rank)])
    return emit(op, tensor, axis=normal_axis(axis, rank))


@operation
def softmax(x: Any, axis: Any = -1) -> Any:
    """e^x / sum(e^x) along an axis (or several together), shifted by the maximum."""
    return _softmax("softmax", x, axis)


@operation
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """log(softmax(x)), stable."""
    return _softmax("log_softmax", x, axis)


@operation
def normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """`x` divided by its norm along axes; the norm is at least `epsilon`."""
    tensor = _floating(x)
    least = default_epsilon() if epsilon is None else float(epsilon)
    if order == 2:
        power_sum = reduction.sum(math.square(tensor), axis=axis, keepdims=True)
        return math.multiply(tensor, math.rsqrt(math.maximum(power_sum, least * least)))
    if order == 1:
        norm = reduction.sum(math.abs(tensor), axis=axis, keepdims=True)
    else:
        norm = math.power(
            reduction.sum(math.power(math.abs(tensor), float(order)), axis=axis, keepdims=True), 1.0 / order
        )
    return math.divide(tensor, math.maximum(norm, least))


# -- convolution and pooling ----------------------------------------------------------------------------------------
def _pair(value: Any, rank: int, what: str) -> tuple[int, ...]:
    items = [value] * rank if isinstance(value, (int, np.integer)) else list(value)
    if len(items) != rank:
        raise InvalidArgumentError(f"{what} needs {rank} numbers", got=str(value))
    return tuple(int(item) for item in items)


def _channels_first(data_format: str | None) -> bool:
    return (data_format or image_data_format()) == "channels_first"


def _same_padding(length: DimLike, window: int, stride: int, dilation: int) -> tuple[int, int]:
    """(before, after) so that the output has ceil(length / stride) cells; the odd cell goes to the end."""
    reach = (window - 1) * dilation + 1
    if stride == 1:
        total = reach - 1
    elif isinstance(length, Dim):
        raise UnsupportedError(
            "padding 'same' with strides greater than 1 needs a known size of the axis",
            where=str(active().location()),
            fix="give the size in Input(shape=...), or use padding='valid'",
        )
    else:
        total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def _paddings(
    padding: Any, dims: Sequence[DimLike], window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    if isinstance(padding, str):
        kind = padding.lower()
        if kind == "valid":
            return tuple((0, 0) for _ in window)
        if kind == "same":
            return tuple(_same_padding(*item) for item in zip(dims, window, strides, dilation))
        raise InvalidArgumentError(f"unknown padding {padding!r}", needed="'valid' or 'same'")
    return tuple((int(low), int(high)) for low, high in padding)


def _to_rank2(x: TracedTensor, rank: int) -> TracedTensor:
    """[N, L, C] -> [N, 1, L, C]: one-dimensional windows are two-dimensional ones of height 1."""
    result: TracedTensor = shaping.expand_dims(x, 1) if rank == 1 else x
    return result


def _spatial_rank(tensor: TracedTensor, name: str) -> int:
    rank = len(tensor.dims) - 2
    if rank not in (1, 2):
        raise UnsupportedError(
            f"{name} works on tensors of rank 3 and 4", where=str(active().location()), got=str(tensor.shape)
        )
    return rank


def _last(tensor: TracedTensor, first: bool) -> TracedTensor:
    result: TracedTensor = shaping.moveaxis(tensor, 1, -1) if first else tensor
    return result


def _restored(tensor: Any, rank: int, first: bool) -> Any:
    if rank == 1:
        tensor = shaping.squeeze(tensor, 1)
    return shaping.moveaxis(tensor, -1, 1) if first else tensor


@operation
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Cross-correlation over one or two spatial axes.

    Args:
        inputs: f32[N, H, W, C] or f32[N, L, C] (channels first: C after N).
        kernel: f32[KH, KW, C / groups, F] or f32[K, C / groups, F]; the number of groups follows from its sizes.
        strides, dilation_rate: one number, or one per spatial axis.
        padding: `"valid"`, `"same"`, or (before, after) per spatial axis.
        data_format: `"channels_last"` or `"channels_first"`.
    """
    x, k = (as_tensor(t) for t in common(as_tensor(inputs), as_tensor(kernel), floating=True))
    rank = _spatial_rank(x, "conv")
    first = _channels_first(data_format)
    x = _last(x, first)
    if len(k.dims) != rank + 2:
        raise ShapeError(
            "conv: the kernel does not fit the input", where=str(active().location()), got=f"{x.shape}, {k.shape}"
        )
    stride, dilation = _pair(strides, rank, "strides"), _pair(dilation_rate, rank, "dilation_rate")
    window = tuple(int(str(size)) for size in k.dims[:rank])
    pads = _paddings(padding, x.dims[1:-1], window, stride, dilation)
    channels, per_group = x.dims[-1], k.dims[-2]
    if not isinstance(channels, int) or not isinstance(per_group, int) or not per_group or channels % per_group:
        raise ShapeError(
            f"conv: an input of {channels} channels does not fit a kernel for {per_group}",
            where=str(active().location()),
            got=f"input {x.shape}, kernel {k.shape}",
        )
    if rank == 1:
        stride, dilation, pads = (1, *stride), (1, *dilation), ((0, 0), *pads)
        k = shaping.expand_dims(k, 0)
    y = emit(
        "conv2d", _to_rank2(x, rank), k, strides=stride, padding=pads, dilation=dilation, groups=channels // per_group
    )
    return _restored(y, rank, first)


@operation
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Each channel with its own kernels: kernel f32[KH, KW, C, M] -> output channel c * M + m."""
    k = as_tensor(kernel)
    *window, channels, multiplier = k.dims
    flat = shaping.reshape(k, (*window, 1, channels * multiplier))
    return conv(inputs, flat, strides, padding, data_format, dilation_rate)


@operation
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """`depthwise_conv`, then a convolution with a window of one cell."""
    deep = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(deep, pointwise_kernel, 1, "valid", data_format)


def _pool(
    op: str, inputs: Any, pool_size: Any, strides: Any, padding: Any, data_format: str | None
) -> tuple[TracedTensor, TracedTensor, dict[str, Any], int, bool]:
    x = _floating(inputs)
    rank = _spatial_rank(x, op)
    first = _channels_first(data_format)
    x = _last(x, first)
    window = _pair(pool_size, rank, "pool_size")
    stride = window if strides is None else _pair(strides, rank, "strides")
    pads = _paddings(padding, x.dims[1:-1], window, stride, (1,) * rank)
    if rank == 1:
        window, stride, pads = (1, *window), (1, *stride), ((0, 0), *pads)
    attrs = {"window": window, "strides": stride, "padding": pads}
    wide = _to_rank2(x, rank)
    return emit(op, wide, **attrs), wide, attrs, rank, first


@operation
def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: Any = "valid", data_format: str | None = None
) -> Any:
    """Largest element of each window; padding never wins."""
    y, _, _, rank, first = _pool("max_pool", inputs, pool_size, strides, padding, data_format)
    return _restored(y, rank, first)


@operation
def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: Any = "valid", data_format: str | None = None
) -> Any:
    """Mean of each window; padded cells are not counted."""
    y, wide, attrs, rank, first = _pool("sum_pool", inputs, pool_size, strides, padding, data_format)
    height, width = attrs["window"]
    if all(pad == (0, 0) for pad in attrs["padding"]):
        mean = math.divide(y, float(height * width))
    else:
        sizes = (1, wide.dims[1], wide.dims[2], 1)
        counts = emit("sum_pool", making.ones(sizes, wide.dtype), **attrs)
        mean = math.divide(y, counts)
    return _restored(mean, rank, first)


@operation
def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """`x` + bias over the channel axis."""
    tensor, b = as_tensor(x), as_tensor(bias)
    if _channels_first(data_format) and len(tensor.dims) > 2 and len(b.dims) == 1:
        b = shaping.reshape(b, (-1,) + (1,) * (len(tensor.dims) - 2))
    return math.add(tensor, b)


hard_swish = hard_silu
