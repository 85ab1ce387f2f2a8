"""Inverse trigonometric and other special functions, elementwise."""

from __future__ import annotations

import math as _math
from collections.abc import Sequence
from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.tensors import TracedTensor
from kgraph.ops import math
from kgraph.ops.convert import binary, emit, unary
from kgraph.ops.operands import as_float, tensors

__all__ = [
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "cbrt",
    "deg2rad",
    "erfc",
    "erfinv",
    "exp2",
    "hypot",
    "i0",
    "logaddexp2",
    "rad2deg",
    "sinc",
]


@operation
def arctan(x: Any) -> Any:
    """Angle in radians whose tangent is x, in [-pi/2, pi/2]."""
    return unary("atan", x, floating=True)


@operation
def arctan2(x1: Any, x2: Any) -> Any:
    """Angle in radians of the point with height x1 and width x2, in [-pi, pi]."""
    return binary("atan2", x1, x2, floating=True)


def _other_leg(x: TracedTensor) -> Any:
    """sqrt(1 - x^2), of which 1 - x and 1 + x lose nothing near the ends."""
    return math.sqrt(math.multiply(math.subtract(1.0, x), math.add(1.0, x)))


@operation
def arcsin(x: Any) -> Any:
    """Angle in radians whose sine is x, in [-pi/2, pi/2]; NaN outside of [-1, 1]."""
    tensor = as_float(x)
    return emit("atan2", tensor, _other_leg(tensor))


@operation
def arccos(x: Any) -> Any:
    """Angle in radians whose cosine is x, in [0, pi]; NaN outside of [-1, 1]."""
    tensor = as_float(x)
    return emit("atan2", _other_leg(tensor), tensor)


@operation
def arcsinh(x: Any) -> Any:
    """Inverse hyperbolic sine."""
    tensor = as_float(x)
    size = math.abs(tensor)
    # log(s + sqrt(s^2 + 1)) = log1p(s + s^2 / (1 + sqrt(s^2 + 1))), exact near 0; s^2 would overflow for large s.
    large = math.greater(size, 1e9)
    safe = math.where(large, 1.0, size)
    square = math.square(safe)
    small = math.log1p(math.add(safe, math.divide(square, math.add(1.0, math.sqrt(math.add(square, 1.0))))))
    whole = math.where(large, math.add(math.log(math.where(large, size, 1.0)), _math.log(2.0)), small)
    # Not sign * whole: the derivative of |x| at 0 is 0, that of arcsinh is 1.
    return math.where(math.equal(tensor, 0.0), tensor, math.multiply(math.sign(tensor), whole))


@operation
def arccosh(x: Any) -> Any:
    """Inverse hyperbolic cosine, 0 or more; NaN below 1."""
    above = math.subtract(as_float(x), 1.0)
    # sqrt(x^2 - 1) as two roots: their product overflows only where x does.
    root = math.multiply(math.sqrt(above), math.sqrt(math.add(above, 2.0)))
    return math.log1p(math.add(above, root))


@operation
def arctanh(x: Any) -> Any:
    """Inverse hyperbolic tangent; NaN outside of [-1, 1]."""
    tensor = as_float(x)
    return math.multiply(0.5, math.subtract(math.log1p(tensor), math.log1p(math.negative(tensor))))


@operation
def deg2rad(x: Any) -> Any:
    """Degrees to radians."""
    return binary("mul", x, _math.pi / 180.0, floating=True)


@operation
def rad2deg(x: Any) -> Any:
    """Radians to degrees."""
    return binary("mul", x, 180.0 / _math.pi, floating=True)


@operation
def exp2(x: Any) -> Any:
    """2 ** x."""
    return emit("pow", 2.0, as_float(x))


@operation
def cbrt(x: Any) -> Any:
    """Cube root, negative for negative x."""
    tensor = as_float(x)
    zero = math.equal(tensor, 0.0)
    size = math.abs(math.where(zero, 1.0, tensor))
    start = emit("pow", size, 1.0 / 3.0)
    # One step of Newton: the exponent 1/3 is rounded, which a large logarithm would multiply.
    finite = math.isfinite(size)
    base = math.where(finite, start, 1.0)
    step = math.divide(math.subtract(base, math.divide(size, math.square(base))), 3.0)
    root = math.where(finite, math.subtract(base, step), start)
    return math.where(zero, tensor, math.multiply(math.sign(tensor), root))


@operation
def hypot(x1: Any, x2: Any) -> Any:
    """sqrt(x1^2 + x2^2), without overflow on the way."""
    left, right = (math.abs(x) for x in tensors(x1, x2, floating=True))
    long, short = math.maximum(left, right), math.minimum(left, right)
    zero = math.equal(long, 0.0)
    infinite = math.logical_or(math.equal(left, _math.inf), math.equal(right, _math.inf))
    ratio = math.divide(math.where(infinite, 0.0, short), math.where(zero, 1.0, long))
    length = math.where(zero, 0.0, math.multiply(long, math.sqrt(math.add(1.0, math.square(ratio)))))
    return math.where(infinite, _math.inf, length)  # even where the other leg is NaN


@operation
def logaddexp2(x1: Any, x2: Any) -> Any:
    """log2(2^x1 + 2^x2), stable."""
    left, right = tensors(x1, x2, floating=True)
    top = math.maximum(left, right)
    gap = math.negative(math.abs(math.subtract(left, right)))
    # Equal infinities have no difference; their sum is the infinity itself.
    gap = math.where(math.equal(left, right), 0.0, gap)
    return math.add(top, math.divide(math.log1p(exp2(gap)), _math.log(2.0)))


@operation
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = binary("mul", x, _math.pi, floating=True)
    zero = math.equal(angle, 0.0)
    safe = math.where(zero, 1.0, angle)
    return math.where(zero, 1.0, math.divide(math.sin(safe), safe))


@operation
def erfc(x: Any) -> Any:
    """1 - erf(x), exact for large x too."""
    return unary("erfc", x, floating=True)


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's scheme, from the highest order down."""
    total: Any = coefficients[0]
    for coefficient in coefficients[1:]:
        total = math.add(math.multiply(total, x), coefficient)
    return total


# M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011: single precision, two branches.
_ERFINV_CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503),
    *(-0.00417768164, 0.246640727, 1.50140941),
)
_ERFINV_TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613),
    *(0.00943887047, 1.00167406, 2.83297682),
)


@operation
def erfinv(x: Any) -> Any:
    """The number whose erf is x; infinite at -1 and 1, NaN outside."""
    tensor = as_float(x)
    fixed = math.stop_gradient(tensor)
    ends = math.equal(math.abs(fixed), 1.0)
    inner = math.where(ends, 0.0, fixed)
    w = math.negative(math.log(math.multiply(math.subtract(1.0, inner), math.add(1.0, inner))))
    central = math.less(w, 5.0)
    tail = math.subtract(math.sqrt(math.maximum(w, 5.0)), 3.0)
    y = math.where(
        central,
        _polynomial(math.subtract(w, 2.5), _ERFINV_CENTRE),
        _polynomial(tail, _ERFINV_TAIL),
    )
    y = math.multiply(y, inner)
    slope = math.multiply(math.exp(math.square(y)), _math.sqrt(_math.pi) / 2.0)
    if tensor.dtype == "float64":  # Newton: the polynomials are for single precision
        y = math.subtract(y, math.multiply(math.subtract(math.erf(y), inner), slope))
        slope = math.multiply(math.exp(math.square(y)), _math.sqrt(_math.pi) / 2.0)
    # x - fixed is 0: it adds nothing but the derivative.
    y = math.add(y, math.multiply(math.subtract(tensor, fixed), math.stop_gradient(slope)))
    return math.where(ends, math.multiply(fixed, float("inf")), y)


# M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 9.8.1 and 9.8.2: within 2e-7.
_I0_SMALL = (0.0045813, 0.0360768, 0.2659732, 1.2067492, 3.0899424, 3.5156229, 1.0)
_I0_LARGE = (
    *(0.00392377, -0.01647633, 0.02635537, -0.02057706, 0.00916281, -0.00157565, 0.00225319, 0.01328592),
    0.39894228,
)


@operation
def i0(x: Any) -> Any:
    """Modified Bessel function of the first kind, order 0."""
    tensor = as_float(x)
    size = math.abs(tensor)
    small = math.less(size, 3.75)
    inner = math.where(small, tensor, 0.0)
    outer = math.where(small, 3.75, size)
    near = _polynomial(math.square(math.divide(inner, 3.75)), _I0_SMALL)
    scale = math.divide(math.exp(outer), math.sqrt(outer))
    far = math.multiply(scale, _polynomial(math.divide(3.75, outer), _I0_LARGE))
    return math.where(small, near, far)
