"""Layers under the names that Keras 1 and 2 had for them, and `merge`; arguments are in `kgraph.core.keras1`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgraph.core.keras1 import joined_sizes
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.layers import merging
from kgraph.layers.convolutional import Conv1D, Conv2D, Conv3D, SeparableConv2D
from kgraph.layers.recurrent import GRU, LSTM

__all__ = ["OTHER_NAMES", "REFUSED", "Convolution2D", "Convolution3D", "SeparableConvolution2D", "merge"]


class _OldName(type):
    """A class under an old name: a call makes its base, with the sizes of a kernel given one by one, as in Keras 1."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        base: Any = cls.__mro__[1]
        if "_rank" not in cls.__dict__:
            return super().__call__(*args, **kwargs)  # a class of the user's, derived from it
        return base(*joined_sizes(cls.__dict__["_rank"], args), **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1]) if "_rank" in cls.__dict__ else super().__instancecheck__(instance)


def _old_name(base: Any, rank: int) -> Any:
    fields = {"__module__": base.__module__, "__doc__": base.__doc__, "__qualname__": base.__qualname__, "_rank": rank}
    return _OldName(base.__name__, (base,), fields)


# `Convolution2D(32, 3, 3)` has a kernel of 3 x 3; `Conv2D(32, 3, 3)` one of 3 x 3 and strides of 3.
Convolution2D, Convolution3D = _old_name(Conv2D, 2), _old_name(Conv3D, 3)
SeparableConvolution2D = _old_name(SeparableConv2D, 2)

# Names that Keras 3 has no more.
OTHER_NAMES: dict[str, Any] = {
    "AtrousConvolution1D": Conv1D,
    "AtrousConvolution2D": Convolution2D,
    "CuDNNGRU": GRU,
    "CuDNNLSTM": LSTM,
}

# Layers of Keras 1 and 2 that are gone, and what to use instead.
REFUSED = {
    "Deconvolution2D": "Conv2DTranspose(filters, kernel_size, strides, padding)",
    "Deconvolution3D": "Conv3DTranspose(filters, kernel_size, strides, padding)",
    "Highway": "two Dense layers: t * h(x) + (1 - t) * x with t = Dense(units, activation='sigmoid')(x)",
    "LocallyConnected1D": "Conv1D",
    "LocallyConnected2D": "Conv2D",
    "MaxoutDense": "Dense(units * k), then Reshape((units, k)) and a Lambda with kgraph.ops.max over the last axis",
    "Merge": "Add, Multiply, Average, Maximum, Concatenate or Dot on a list of tensors",
    "ParametricSoftplus": "PReLU, or Activation('softplus')",
    "SReLU": "PReLU",
    "TimeDistributedDense": "Dense, which works on the last axis, or TimeDistributed(Dense(...))",
}


def merge(
    inputs: Any,
    mode: Any = "sum",
    concat_axis: int = -1,
    dot_axes: Any = -1,
    output_shape: Any = None,
    output_mask: Any = None,
    arguments: Any = None,
    name: str | None = None,
) -> Any:
    """`merge` of Keras 1: tensors joined by a word.

    Args:
        inputs: list of tensors.
        mode: `sum`, `mul`, `concat`, `ave`, `max`, `dot` or `cos`.
        concat_axis: axis of `concat`.
        dot_axes: axes of `dot` and `cos`.
        output_shape, output_mask, arguments: of functions, which are not taken.
        name: of the layer.

    Raises:
        UnsupportedError: `mode` is a function.
        InvalidArgumentError: there is no such mode.
    """
    if callable(mode):
        raise UnsupportedError("merge(): a function as mode is not supported", fix="use Lambda(function)(inputs)")
    makers: dict[str, Callable[[], Any]] = {
        "sum": lambda: merging.Add(name=name),
        "mul": lambda: merging.Multiply(name=name),
        "concat": lambda: merging.Concatenate(axis=concat_axis, name=name),
        "ave": lambda: merging.Average(name=name),
        "max": lambda: merging.Maximum(name=name),
        "dot": lambda: merging.Dot(axes=dot_axes, name=name),
        "cos": lambda: merging.Dot(axes=dot_axes, normalize=True, name=name),
    }
    if mode not in makers:
        raise InvalidArgumentError(f"merge(): mode is {mode!r}", needed=", ".join(makers))
    return makers[mode]()(inputs)


def lookup(name: str) -> Any:
    """What an old name stands for; None where it is none.

    Raises:
        UnsupportedError: the layer is gone; the message names what to use.
    """
    if name in REFUSED:
        raise UnsupportedError(f"layer {name} of Keras 1 and 2 is not supported", fix=f"use {REFUSED[name]}")
    return merge if name == "merge" else OTHER_NAMES.get(name)
