"""Elementwise operations.  Names, arguments and types follow `keras.ops`; see `kgraph.core.dtypes` for how types
meet.
"""

from __future__ import annotations

import math as _math
from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.ops.convert import active, as_tensor, binary, cast_to, common, emit, is_number, same_sizes, unary

__all__ = [
    "abs",
    "absolute",
    "add",
    "cast",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "divide",
    "divide_no_nan",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "not_equal",
    "power",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]


@operation
def add(x1: Any, x2: Any) -> Any:
    """x1 + x2, broadcasting."""
    return binary("add", x1, x2)


@operation
def subtract(x1: Any, x2: Any) -> Any:
    """x1 - x2, broadcasting."""
    return binary("sub", x1, x2, integers_from_bool=True)


@operation
def multiply(x1: Any, x2: Any) -> Any:
    """x1 * x2, broadcasting."""
    return binary("mul", x1, x2)


@operation
def divide(x1: Any, x2: Any) -> Any:
    """x1 / x2 as floats, broadcasting."""
    return binary("div", x1, x2, floating=True)


@operation
def true_divide(x1: Any, x2: Any) -> Any:
    """x1 / x2 as floats, broadcasting."""
    return binary("div", x1, x2, floating=True)


@operation
def divide_no_nan(x1: Any, x2: Any) -> Any:
    """x1 / x2, and 0 where x2 is 0."""
    left, right = common(x1, x2, floating=True)
    right = as_tensor(right)
    zero = emit("eq", right, 0.0)
    # The divisor is made safe first, or the gradient of the branch not taken would be NaN.
    return where(zero, 0.0, binary("div", left, where(zero, 1.0, right)))


@operation
def floor_divide(x1: Any, x2: Any) -> Any:
    """Floor of x1 / x2."""
    return binary("floor_div", x1, x2, integers_from_bool=True)


@operation
def mod(x1: Any, x2: Any) -> Any:
    """Remainder with the sign of x2."""
    return binary("mod", x1, x2, integers_from_bool=True)


@operation
def power(x1: Any, x2: Any) -> Any:
    """x1 ** x2; small whole exponents are multiplications."""
    if is_number(x2):
        base = as_tensor(x1)
        if x2 == 2:
            return emit("mul", base, base) if base.dtype != "bool" else square(base)
        if x2 == 1 and not isinstance(x2, float):
            return base
        if is_float_dtype(base.dtype):
            if x2 == 1:
                return base
            if x2 == 0.5:
                return emit("sqrt", base)
            if x2 == 3:
                return emit("mul", emit("mul", base, base), base)
            if x2 == -1:
                return emit("div", 1.0, base)
    return binary("pow", x1, x2, integers_from_bool=True)


@operation
def maximum(x1: Any, x2: Any) -> Any:
    """The larger, element by element."""
    return binary("maximum", x1, x2)


@operation
def minimum(x1: Any, x2: Any) -> Any:
    """The smaller, element by element."""
    return binary("minimum", x1, x2)


@operation
def negative(x: Any) -> Any:
    """-x."""
    return unary("neg", x)


@operation
def abs(x: Any) -> Any:
    """|x|."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype == "bool" else unary("abs", tensor)


@operation
def absolute(x: Any) -> Any:
    """|x|."""
    return abs(x)


@operation
def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    return unary("sign", x)


@operation
def square(x: Any) -> Any:
    """`x` * x."""
    tensor = as_tensor(x)
    if tensor.dtype == "bool":
        tensor = cast_to(tensor, "int32")
    return emit("mul", tensor, tensor)


@operation
def sqrt(x: Any) -> Any:
    """Square root."""
    return unary("sqrt", x, floating=True)


@operation
def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return unary("rsqrt", x, floating=True)


@operation
def reciprocal(x: Any) -> Any:
    """1 / x."""
    return binary("div", 1.0, x, floating=True)


@operation
def exp(x: Any) -> Any:
    """`e` ** x."""
    return unary("exp", x, floating=True)


@operation
def expm1(x: Any) -> Any:
    """`e` ** x - 1, exact near 0."""
    return unary("expm1", x, floating=True)


@operation
def log(x: Any) -> Any:
    """Natural logarithm."""
    return unary("log", x, floating=True)


@operation
def log1p(x: Any) -> Any:
    """log(1 + x), exact near 0."""
    return unary("log1p", x, floating=True)


@operation
def log2(x: Any) -> Any:
    """Logarithm to base 2."""
    return binary("mul", unary("log", x, floating=True), 1.0 / _math.log(2.0))


@operation
def log10(x: Any) -> Any:
    """Logarithm to base 10."""
    return binary("mul", unary("log", x, floating=True), 1.0 / _math.log(10.0))


@operation
def logaddexp(x1: Any, x2: Any) -> Any:
    """log(e^x1 + e^x2), stable."""
    left, right = (as_tensor(x) for x in common(x1, x2, floating=True))
    top = maximum(left, right)
    return add(top, log1p(exp(negative(abs(subtract(left, right))))))


@operation
def sin(x: Any) -> Any:
    """Sine of x in radians."""
    return unary("sin", x, floating=True)


@operation
def cos(x: Any) -> Any:
    """Cosine of x in radians."""
    return unary("cos", x, floating=True)


@operation
def tan(x: Any) -> Any:
    """Tangent of x in radians."""
    return divide(sin(x), cos(x))


@operation
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return unary("tanh", x, floating=True)


@operation
def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    # (e^x - e^-x)/2 through expm1, exact near 0
    grown = expm1(x)
    return multiply(0.5, add(grown, divide(grown, add(grown, 1.0))))


@operation
def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return multiply(0.5, add(exp(x), exp(negative(x))))


@operation
def erf(x: Any) -> Any:
    """Gauss error function."""
    return unary("erf", x, floating=True)


@operation
def floor(x: Any) -> Any:
    """Largest whole number not above x."""
    return unary("floor", x, floating=True)


@operation
def ceil(x: Any) -> Any:
    """Smallest whole number not below x."""
    return unary("ceil", x, floating=True)


@operation
def round(x: Any, decimals: int = 0) -> Any:
    """Nearest whole number (halves to even), or nearest multiple of 10**-decimals."""
    tensor = as_tensor(x)
    if not is_float_dtype(tensor.dtype):
        return tensor
    if not decimals:
        return emit("round", tensor)
    factor = 10.0**decimals
    return divide(emit("round", emit("mul", tensor, factor)), factor)


@operation
def trunc(x: Any) -> Any:
    """`x` without its fraction."""
    tensor = as_tensor(x)
    if not is_float_dtype(tensor.dtype):
        return tensor
    return where(greater_equal(tensor, 0.0), emit("floor", tensor), emit("ceil", tensor))


@operation
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """`x` kept within [x_min, x_max]; equal to minimum(maximum(x, x_min), x_max), as `jax.numpy.clip`."""
    result = as_tensor(x)
    if x_min is not None:
        result = maximum(result, x_min)
    return result if x_max is None else minimum(result, x_max)


@operation
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, else x2."""
    if x1 is None or x2 is None:
        from kgraph.errors import UnsupportedError

        raise UnsupportedError(
            "where(condition) with one argument has a result of unknown shape", fix="give both values"
        )
    chosen = cast_to(as_tensor(condition), "bool")
    left, right = common(x1, x2)
    if isinstance(left, TracedTensor) and isinstance(right, TracedTensor):
        same_sizes([chosen.dims, left.dims, right.dims])
    return emit("select", chosen, left, right)


@operation
def isnan(x: Any) -> Any:
    """Whether an element is NaN."""
    tensor = as_tensor(x)
    return emit("is_nan", tensor) if is_float_dtype(tensor.dtype) else emit("ne", tensor, tensor)


@operation
def isfinite(x: Any) -> Any:
    """Whether an element is neither infinite nor NaN."""
    tensor = as_tensor(x)
    return emit("is_finite", tensor) if is_float_dtype(tensor.dtype) else emit("eq", tensor, tensor)


@operation
def isinf(x: Any) -> Any:
    """Whether an element is infinite."""
    return logical_not(logical_or(isfinite(x), isnan(x)))


@operation
def equal(x1: Any, x2: Any) -> Any:
    """x1 == x2, element by element."""
    return binary("eq", x1, x2)


@operation
def not_equal(x1: Any, x2: Any) -> Any:
    """x1 != x2, element by element."""
    return binary("ne", x1, x2)


@operation
def greater(x1: Any, x2: Any) -> Any:
    """x1 > x2, element by element."""
    return binary("gt", x1, x2, integers_from_bool=True)


@operation
def greater_equal(x1: Any, x2: Any) -> Any:
    """x1 >= x2, element by element."""
    return binary("ge", x1, x2, integers_from_bool=True)


@operation
def less(x1: Any, x2: Any) -> Any:
    """x1 < x2, element by element."""
    return binary("lt", x1, x2, integers_from_bool=True)


@operation
def less_equal(x1: Any, x2: Any) -> Any:
    """x1 <= x2, element by element."""
    return binary("le", x1, x2, integers_from_bool=True)


def _truth(x: Any) -> TracedTensor:
    return cast_to(as_tensor(x), "bool")


@operation
def logical_and(x1: Any, x2: Any) -> Any:
    """Both are true (not 0)."""
    return emit("logical_and", _truth(x1), _truth(x2))


@operation
def logical_or(x1: Any, x2: Any) -> Any:
    """At least one is true (not 0)."""
    return emit("logical_or", _truth(x1), _truth(x2))


@operation
def logical_xor(x1: Any, x2: Any) -> Any:
    """Exactly one is true (not 0)."""
    return emit("logical_xor", _truth(x1), _truth(x2))


@operation
def logical_not(x: Any) -> Any:
    """True where x is 0."""
    return emit("logical_not", _truth(x))


@operation
def stop_gradient(variable: Any) -> Any:
    """The same values; no gradient flows through."""
    return unary("stop_gradient", variable)


@operation
def cast(x: Any, dtype: Any) -> Any:
    """`x` in another element type."""
    active()
    return as_tensor(x, dtype)
