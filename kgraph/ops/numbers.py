"""Elementwise operations about signs, NaN and infinity, types, and closeness."""

from __future__ import annotations

import math as _math
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype, standardize_dtype
from kgraph.ops import making, math, products, reduction
from kgraph.ops.convert import as_tensor, binary, cast_to, emit
from kgraph.ops.operands import as_float, as_number, tensors

__all__ = [
    "allclose",
    "angle",
    "conj",
    "conjugate",
    "copy",
    "fabs",
    "fmax",
    "fmin",
    "fmod",
    "heaviside",
    "imag",
    "inner",
    "isclose",
    "isneginf",
    "isposinf",
    "isreal",
    "nan_to_num",
    "real",
    "saturate_cast",
]


# -- real numbers as complex ones without an imaginary part ----------------------------------------------------------
@operation
def angle(x: Any) -> Any:
    """0 for positive x, pi for negative: the angle of a complex number without imaginary part."""
    tensor = math.stop_gradient(as_float(x))
    return emit("atan2", making.zeros_like(tensor), tensor)


@operation
def conj(x: Any) -> Any:
    """`x`: all numbers are real here."""
    return as_tensor(x)


@operation
def conjugate(x: Any) -> Any:
    """`x`: all numbers are real here."""
    return as_tensor(x)


@operation
def real(x: Any) -> Any:
    """`x`: all numbers are real here."""
    return as_tensor(x)


@operation
def imag(x: Any) -> Any:
    """Zeros: all numbers are real here."""
    return making.zeros_like(x)


@operation
def isreal(x: Any) -> Any:
    """True: all numbers are real here."""
    return making.ones_like(x, dtype="bool")


@operation
def copy(x: Any) -> Any:
    """`x` in memory of its own."""
    tensor = as_tensor(x)
    return emit("select", making.ones_like(tensor, dtype="bool"), tensor, tensor)


# -- arithmetic ------------------------------------------------------------------------------------------------------
@operation
def fabs(x: Any) -> Any:
    """|x| as a float."""
    return math.abs(as_float(x))


def _ignoring_nan(op: str, x1: Any, x2: Any) -> Any:
    left, right = tensors(x1, x2)
    if not is_float_dtype(left.dtype):
        return binary(op, left, right)
    return math.where(math.isnan(left), right, math.where(math.isnan(right), left, binary(op, left, right)))


@operation
def fmax(x1: Any, x2: Any) -> Any:
    """The larger; the other one where one is NaN."""
    return _ignoring_nan("maximum", x1, x2)


@operation
def fmin(x1: Any, x2: Any) -> Any:
    """The smaller; the other one where one is NaN."""
    return _ignoring_nan("minimum", x1, x2)


@operation
def fmod(x1: Any, x2: Any) -> Any:
    """Remainder with the sign of x1, as in C."""
    left, right = (as_number(x) for x in tensors(x1, x2))
    rest = math.mod(math.abs(left), math.abs(right))
    return math.where(math.less(left, 0), math.negative(rest), rest)


@operation
def heaviside(x1: Any, x2: Any) -> Any:
    """0 below 0, 1 above, x2 at 0."""
    left, right = tensors(x1, x2, floating=True)
    step = math.where(math.less(left, 0.0), 0.0, math.where(math.greater(left, 0.0), 1.0, right))
    return math.where(math.isnan(left), left, step)


@operation
def inner(x1: Any, x2: Any) -> Any:
    """Sum of products over the last axes of both."""
    left, right = tensors(x1, x2)
    if not left.dims or not right.dims:
        return math.multiply(left, right)
    return products.tensordot(left, right, axes=[[-1], [-1]])


# -- tests -----------------------------------------------------------------------------------------------------------
@operation
def isposinf(x: Any) -> Any:
    """Whether an element is +infinity."""
    return math.equal(as_float(x), float("inf"))


@operation
def isneginf(x: Any) -> Any:
    """Whether an element is -infinity."""
    return math.equal(as_float(x), float("-inf"))


@operation
def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |x1 - x2| <= atol + rtol * |x2|; infinities are close to themselves."""
    left, right = tensors(x1, x2, floating=True)
    # By an infinity the bound is infinite too, and everything would be close.
    finite = math.logical_and(math.isfinite(left), math.isfinite(right))
    bound = math.add(math.multiply(math.abs(right), float(rtol)), float(atol))
    near = math.less_equal(math.abs(math.subtract(left, right)), bound)
    close = math.where(finite, near, math.equal(left, right))
    if not equal_nan:
        return close
    return math.logical_or(close, math.logical_and(math.isnan(left), math.isnan(right)))


@operation
def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close, see `isclose`."""
    return reduction.all(isclose(x1, x2, rtol, atol, equal_nan))


# -- types -----------------------------------------------------------------------------------------------------------
@operation
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """`x` with numbers in the place of NaN and the infinities (by default the greatest and least of the type)."""
    tensor = as_tensor(x)
    if not is_float_dtype(tensor.dtype):
        return tensor
    limits = np.finfo(tensor.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    result = math.where(math.isnan(tensor), nan, tensor)
    result = math.where(math.equal(tensor, _math.inf), high, result)
    return math.where(math.equal(tensor, -_math.inf), low, result)


def _range(dtype: str) -> tuple[Any, Any]:
    if dtype == "bool":
        return 0, 1
    limits = np.finfo(dtype) if is_float_dtype(dtype) else np.iinfo(dtype)
    return limits.min, limits.max


@operation
def saturate_cast(x: Any, dtype: Any) -> Any:
    """`x` in another type; what lies outside of its range becomes its nearest end."""
    tensor = as_number(x)
    target = standardize_dtype(dtype)
    low, high = _range(target)
    if is_float_dtype(tensor.dtype):
        kind = np.dtype(tensor.dtype).type
        # The greatest number of x's type that is not above: the rounded bound itself may not fit.
        bounds = [kind(low), kind(high)]
        if not is_float_dtype(target) and int(bounds[1]) > int(high):
            bounds[1] = np.nextafter(bounds[1], kind(0))
        tensor = math.clip(tensor, float(bounds[0]), float(bounds[1]))
    elif not is_float_dtype(target):
        own_low, own_high = _range(tensor.dtype)
        tensor = math.clip(tensor, int(max(low, own_low)), int(min(high, own_high)))
    return cast_to(tensor, target)
