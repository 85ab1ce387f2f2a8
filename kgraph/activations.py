"""Activation functions, elementwise unless said, with the formulas of Keras 3.  Written in `kgraph.ops`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kgraph import ops
from kgraph.registry import Registry, serialize

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]

Activation = Callable[..., Any]


def _tensor(x: Any) -> Any:
    return ops.convert_to_tensor(x)


def linear(x: Any) -> Any:
    """`x`."""
    return x


def relu(
    x: Any,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
    alpha: float | None = None,
) -> Any:
    """max(x, 0), or its leaky, capped and shifted forms.

    x where threshold < x, at most `max_value`; negative_slope · (x - threshold) below.
    `alpha` is Keras 2's name of the slope.
    """
    x = _tensor(x)
    slope = negative_slope if alpha is None else alpha
    if threshold:
        y = ops.where(ops.greater(x, threshold), x, 0.0)
    else:
        y = ops.relu(x)
    if max_value is not None:
        y = ops.minimum(y, max_value)
    if slope:
        y = y - ops.relu(threshold - x if threshold else -x) * slope
    return y


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """`x` for x > 0, negative_slope · x below.  The slope of the *layer* `LeakyReLU` is 0.3."""
    x = _tensor(x)
    return ops.where(ops.greater(x, 0.0), x, x * negative_slope)


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6)."""
    return ops.minimum(ops.relu(x), 6.0)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return ops.sigmoid(x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return ops.tanh(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x / Σ e^x over `axis`, computed after subtracting the largest x."""
    return ops.softmax(x, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log(softmax(x)), computed without the quotient."""
    return ops.log_softmax(x, axis=axis)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """`x` for x > 0, alpha · (e^x - 1) below."""
    x = _tensor(x)
    # expm1 of the clipped value: an infinite branch would make the gradient of the other NaN.
    low = ops.expm1(ops.minimum(x, 0.0))
    return ops.where(ops.greater(x, 0.0), x, low if alpha == 1.0 else low * alpha)


def selu(x: Any) -> Any:
    """1.0507... · elu(x, 1.6732...) (Klambauer et al. 2017)."""
    return elu(x, 1.6732632423543772) * 1.0507009873554805


def celu(x: Any, alpha: float = 1.0) -> Any:
    """max(x, 0) + min(alpha · (e^(x / alpha) - 1), 0)."""
    x = _tensor(x)
    return ops.relu(x) + ops.expm1(ops.minimum(x, 0.0) / alpha) * alpha


def softplus(x: Any) -> Any:
    """log(1 + e^x), stable for large |x|."""
    return ops.softplus(x)


def softsign(x: Any) -> Any:
    """`x` / (1 + |x|)."""
    x = _tensor(x)
    return x / (ops.abs(x) + 1.0)


def exponential(x: Any) -> Any:
    """e^x."""
    return ops.exp(x)


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6, the form of Keras 3 (Keras 2: clip(0.2 x + 0.5, 0, 1))."""
    return relu6(_tensor(x) + 3.0) / 6.0


def hard_silu(x: Any) -> Any:
    """`x` · hard_sigmoid(x)."""
    x = _tensor(x)
    return x * hard_sigmoid(x)


def silu(x: Any) -> Any:
    """`x` · sigmoid(x)."""
    x = _tensor(x)
    return x * ops.sigmoid(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """`x` · Φ(x) with the error function, or with tanh if `approximate` (Hendrycks and Gimpel 2016)."""
    x = _tensor(x)
    if approximate:
        inner = (x + x * x * x * 0.044715) * math.sqrt(2.0 / math.pi)
        return x * 0.5 * (ops.tanh(inner) + 1.0)
    return x * 0.5 * (ops.erf(x * math.sqrt(0.5)) + 1.0)


def mish(x: Any) -> Any:
    """`x` · tanh(softplus(x))."""
    x = _tensor(x)
    return x * ops.tanh(ops.softplus(x))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)) = -softplus(-x)."""
    return -ops.softplus(-_tensor(x))


def glu(x: Any, axis: int = -1) -> Any:
    """First half · sigmoid(second half) along `axis`."""
    first, second = ops.split(_tensor(x), 2, axis=axis)
    return first * ops.sigmoid(second)


def hard_tanh(x: Any) -> Any:
    """`x` within [-1, 1], the bound outside."""
    return ops.minimum(ops.maximum(x, -1.0), 1.0)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` where |x| > threshold, 0 elsewhere."""
    x = _tensor(x)
    return ops.where(ops.greater(ops.abs(x), threshold), x, 0.0)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` moved towards 0 by `threshold`, 0 within it."""
    x = _tensor(x)
    return ops.relu(x - threshold) - ops.relu(-x - threshold)


def tanh_shrink(x: Any) -> Any:
    """`x` - tanh(x)."""
    x = _tensor(x)
    return x - ops.tanh(x)


def squareplus(x: Any, b: float = 4) -> Any:
    """(x + sqrt(x² + b)) / 2."""
    x = _tensor(x)
    return (x + ops.sqrt(x * x + float(b))) * 0.5


def sparse_plus(x: Any) -> Any:
    """0 for x ≤ -1, (x + 1)² / 4 between, x for x ≥ 1."""
    x = _tensor(x)
    middle = ops.square(x + 1.0) * 0.25
    return ops.where(ops.less_equal(x, -1.0), 0.0, ops.where(ops.less(x, 1.0), middle, x))


def sparse_sigmoid(x: Any) -> Any:
    """0 for x ≤ -1, (x + 1) / 2 between, 1 for x ≥ 1."""
    return ops.minimum(ops.maximum((_tensor(x) + 1.0) * 0.5, 0.0), 1.0)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The nearest probability distribution to x along `axis`; most of it is 0 (Martins and Astudillo 2016)."""
    return ops.sparsemax(x, axis=axis)


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """`x` where x > threshold, `default_value` elsewhere."""
    x = _tensor(x)
    return ops.where(ops.greater(x, threshold), x, default_value)


swish, hard_swish = silu, hard_silu


def keras2_hard_sigmoid(x: Any) -> Any:
    """clip(0.2 · x + 0.5, 0, 1): what `hard_sigmoid` was in Keras 1 and 2; for their files."""
    return ops.clip(x * 0.2 + 0.5, 0.0, 1.0)


_REGISTRY = Registry("activation")
_REGISTRY.add(keras2_hard_sigmoid)
_REGISTRY.add_all(
    (linear, relu, leaky_relu, relu6, sigmoid, tanh, softmax, log_softmax, elu, selu, celu, softplus, softsign)
    + (exponential, hard_sigmoid, hard_silu, silu, gelu, mish, log_sigmoid, glu, hard_tanh, hard_shrink, soft_shrink)
    + (tanh_shrink, squareplus, sparse_plus, sparse_sigmoid, sparsemax, threshold),
    {"swish": silu, "hard_swish": hard_silu},
)
deserialize = _REGISTRY.deserialize


def get(identifier: Any) -> Activation:
    """An activation from a name, a function, a layer or a description; None is `linear`.

    Raises:
        UnknownNameError: no activation has that name.
        InvalidArgumentError: the argument is none of these.
    """
    return linear if identifier is None else _REGISTRY.get(identifier, "a name or a function")


def is_last_axis(activation: Activation) -> bool:
    """Whether `activation` may be applied to a tensor flattened to 2-D: elementwise, or along the last axis only."""
    return activation in (softmax, log_softmax, sparsemax) or activation in _ELEMENTWISE


_ELEMENTWISE = frozenset(
    (linear, relu, leaky_relu, relu6, sigmoid, tanh, elu, selu, celu, softplus, softsign, exponential, hard_sigmoid)
    + (hard_silu, silu, gelu, mish, log_sigmoid, hard_tanh, hard_shrink, soft_shrink, tanh_shrink, squareplus)
    + (sparse_plus, sparse_sigmoid)
)
