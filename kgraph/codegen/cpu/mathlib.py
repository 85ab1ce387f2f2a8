"""The elementary functions of CPU kernels, as LLVM text.

Every function is straight-line (arithmetic, select, bit operations; no call, no branch, no table), so that LLVM
vectorises any loop around it. The text is added to a kernel's module as an ``internal alwaysinline`` function. Its
instructions carry no fast-math flags: what a kernel allows for its own sums must not reorder the error-compensated
steps here.

Accuracy, f32: at most 2 ulp over the whole range, subnormal arguments and results included, with the IEEE special
values (``exp(-inf) = 0``, ``log(0) = -inf``, ``log(-1) = NaN``, NaN in, NaN out). The coefficients are minimax fits
(Lawson's iteration) made for this file, rounded to f32 from the lowest order up with a refit after each rounding;
the error of each fit is below 0.08 ulp. f64 goes through libm (accuracy first).

Not here: how kernels call these (``intrinsics``) and how modules are put together (``compile``).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable

__all__ = ["FUNCTIONS", "PREFIX", "definitions", "fill_name", "function_name", "signature"]

PREFIX = "kgm_"
"""Functions of this library start with this in LLVM text."""

_LLVM = {"f32": "float", "f64": "double", "i1": "i1", "i32": "i32", "u32": "i32", "i64": "i64"}


class _Value:
    """An SSA value in a function that is being written; operators append one instruction each."""

    __slots__ = ("body", "text", "type")

    def __init__(self, body: _Body, type: str, text: str) -> None:
        self.body, self.type, self.text = body, type, text

    def _binary(self, float_op: str, integer_op: str, other: _Value | float, swap: bool = False) -> _Value:
        right = self.body.constant(self.type, other)
        left, right = (right, self) if swap else (self, right)
        operation = float_op if self.type in ("f32", "f64") else integer_op
        return self.body.emit(self.type, f"{operation} {_LLVM[self.type]} {left.text}, {right.text}")

    def __add__(self, other: _Value | float) -> _Value:
        return self._binary("fadd", "add", other)

    def __radd__(self, other: float) -> _Value:
        return self._binary("fadd", "add", other, swap=True)

    def __sub__(self, other: _Value | float) -> _Value:
        return self._binary("fsub", "sub", other)

    def __rsub__(self, other: float) -> _Value:
        return self._binary("fsub", "sub", other, swap=True)

    def __mul__(self, other: _Value | float) -> _Value:
        return self._binary("fmul", "mul", other)

    def __rmul__(self, other: float) -> _Value:
        return self._binary("fmul", "mul", other, swap=True)

    def __truediv__(self, other: _Value | float) -> _Value:
        return self._binary("fdiv", "", other)

    def __rtruediv__(self, other: float) -> _Value:
        return self._binary("fdiv", "", other, swap=True)

    def __and__(self, other: _Value | int) -> _Value:
        return self._binary("", "and", other)

    def __or__(self, other: _Value | int) -> _Value:
        return self._binary("", "or", other)

    def __xor__(self, other: _Value | int) -> _Value:
        return self._binary("", "xor", other)

    def __lshift__(self, other: int) -> _Value:
        return self._binary("", "shl", other)

    def __rshift__(self, other: int) -> _Value:
        return self._binary("", "lshr" if self.type == "u32" or self.type == "i64" else "ashr", other)

    def __neg__(self) -> _Value:
        return self.body.emit(self.type, f"fneg {_LLVM[self.type]} {self.text}")

    def compare(self, predicate: str, other: _Value | float) -> _Value:
        """``predicate``: LLVM's name, e.g. ``ogt`` (false for NaN), ``uno`` (either is NaN), ``eq`` for
        integers.
        """
        right = self.body.constant(self.type, other)
        operation = "fcmp" if self.type in ("f32", "f64") else "icmp"
        return self.body.emit("i1", f"{operation} {predicate} {_LLVM[self.type]} {self.text}, {right.text}")

    def __gt__(self, other: _Value | float) -> _Value:
        return self.compare("ogt", other)

    def __lt__(self, other: _Value | float) -> _Value:
        return self.compare("olt", other)

    def __ge__(self, other: _Value | float) -> _Value:
        return self.compare("oge", other)

    def select(self, yes: _Value | float, no: _Value | float) -> _Value:
        """``yes`` where this condition holds, else ``no``; at least one of them is a value."""
        kind = yes.type if isinstance(yes, _Value) else no.type if isinstance(no, _Value) else "f64"
        a, b = self.body.constant(kind, yes), self.body.constant(kind, no)
        llvm = _LLVM[kind]
        return self.body.emit(kind, f"select i1 {self.text}, {llvm} {a.text}, {llvm} {b.text}")

    def bits(self, type: str) -> _Value:
        return self.body.emit(type, f"bitcast {_LLVM[self.type]} {self.text} to {_LLVM[type]}")

    def convert(self, operation: str, type: str) -> _Value:
        return self.body.emit(type, f"{operation} {_LLVM[self.type]} {self.text} to {_LLVM[type]}")


class _Body:
    """The instructions of one function, and the external functions it calls."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declarations: set[str] = set()

    def emit(self, type: str, instruction: str) -> _Value:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return _Value(self, type, name)

    def constant(self, type: str, value: _Value | float) -> _Value:
        if isinstance(value, _Value):
            return value
        if type in ("f32", "f64"):
            number = struct.unpack("<f", struct.pack("<f", value))[0] if type == "f32" else value
            return _Value(self, type, "0x" + struct.pack(">d", number).hex().upper())
        return _Value(self, type, str(int(value)))

    def call(self, symbol: str, *arguments: _Value) -> _Value:
        """Call of a function whose result and arguments have one type."""
        kind = arguments[0].type
        llvm = _LLVM[kind]
        pure = "" if symbol.startswith("llvm.") else " nounwind willreturn memory(none)"
        self.declarations.add(f"declare {llvm} @{symbol}({', '.join([llvm] * len(arguments))}){pure}")
        return self.emit(kind, f"call {llvm} @{symbol}({', '.join(f'{llvm} {a.text}' for a in arguments)})")

    def intrinsic(self, name: str, *arguments: _Value) -> _Value:
        return self.call(f"llvm.{name}.{arguments[0].type}", *arguments)


def _fma(a: _Value | float, b: _Value | float, c: _Value | float) -> _Value:
    first = next(v for v in (a, b, c) if isinstance(v, _Value))
    body, kind = first.body, first.type
    return body.intrinsic("fma", body.constant(kind, a), body.constant(kind, b), body.constant(kind, c))


def _horner(x: _Value, coefficients: Iterable[float]) -> _Value:
    """The polynomial with ``coefficients`` from the constant term up."""
    highest, *rest = reversed(list(coefficients))
    total = x.body.constant(x.type, highest)
    for coefficient in rest:
        total = _fma(total, x, coefficient)
    return total


def _abs(x: _Value) -> _Value:
    return x.body.intrinsic("fabs", x)


def _copysign(magnitude: _Value, sign: _Value) -> _Value:
    return magnitude.body.intrinsic("copysign", magnitude, sign)


def _two_to(n: _Value) -> _Value:
    """2**n in f32 for an i32 in [-126, 127] (other n give other numbers, but nothing undefined)."""
    return ((n + 127) << 23).bits("f32")


# ------------------------------------------------------------------------------
# f32. ln 2 in two parts: the first has 10 trailing zero bits, so that n * _LN2_HI is exact for |n| < 2**9 (Cody and
# Waite, 1980).

_LOG2E = 1.4426950408889634
_LN2_HI, _LN2_LO = 0.693359375, -2.12194440e-4
_ROUND = 12582912.0  # 1.5 * 2**23: adding it to |x| < 2**22 rounds x to an integer, held in the low bits of the sum

_EXP = (0.5, 0.16666528582572937, 0.04166725277900696, 0.008368170820176601, 0.0013863955391570926)
_EXPM1 = (
    0.5,
    0.1666666567325592,
    0.041666485369205475,
    0.008333541452884674,
    0.0013933228328824043,
    0.00019766994228120893,
)
_LOG = (
    *(0.3333331048488617, -0.2499999850988388, 0.20002228021621704, -0.16668526828289032, 0.1421787291765213),
    *(-0.12396680563688278, 0.11892453581094742, -0.11726493388414383, 0.06794905662536621),
)
_TANH = (-0.3333328068256378, 0.1333140879869461, -0.05373706296086311, 0.020630907267332077, -0.005696354433894157)
_ERF = (
    *(0.12837916612625122, -0.3761262595653534, 0.11283578723669052, -0.026853347197175026, 0.005187162198126316),
    *(-0.0007997853099368513, 7.806903886375949e-05),
)
_ERFC_LOG = (
    *(-0.00034151296131312847, -1.127089262008667, -0.6381446719169617, -0.10310691595077515, 0.021838141605257988),
    *(-0.002947674598544836, 0.00018638017354533076),
)


def _reduce(x: _Value) -> tuple[_Value, _Value]:
    """(n, r): x = n ln 2 + r with |r| <= 0.347 and n an i32. NaN gives a NaN r and a meaningless n."""
    shifted = _fma(x, _LOG2E, _ROUND)
    whole = shifted - _ROUND
    remainder = _fma(whole, -_LN2_LO, _fma(whole, -_LN2_HI, x))
    return shifted.bits("i32") - 0x4B400000, remainder


def _exp32(x: _Value) -> _Value:
    # Beyond these bounds the result is inf or 0; the comparisons are false for NaN, which passes through.
    x = (x > 89.0).select(89.0, x)
    x = (x < -104.0).select(-104.0, x)
    n, r = _reduce(x)
    p = _fma(_horner(r, _EXP), r * r, r) + 1.0
    # Two factors: 2**n alone is no f32 for n = 128 and for subnormal results, and the second product rounds once.
    half = n >> 1
    return p * _two_to(half) * _two_to(n - half)


def _exp32_moderate(x: _Value) -> _Value:
    """Exp for x in [-87, 88], without the scaling of extreme results."""
    n, r = _reduce(x)
    return (_fma(_horner(r, _EXP), r * r, r) + 1.0) * _two_to(n)


def _expm1_32(x: _Value) -> _Value:
    clamped = (x > 89.0).select(89.0, x)
    clamped = (clamped < -20.0).select(-20.0, clamped)
    n, r = _reduce(clamped)
    q = _fma(_horner(r, _EXPM1), r * r, r)
    half = _two_to(n - 1)  # half of 2**n, which is no f32 for n = 128
    y = _fma(half, q, half - 0.5)
    y = y + y
    return (_abs(x) < 2.0**-26).select(x, y)  # halving a subnormal q would lose a bit, and -0.0 stays -0.0


def _split(x: _Value) -> tuple[_Value, _Value]:
    """(e as f32, m): a normal positive x = m 2**e with m in [sqrt(1/2), sqrt(2))."""
    offset = x.bits("i32") - 0x3F3504F3
    mantissa = ((offset & 0x007FFFFF) + 0x3F3504F3).bits("f32")
    return (offset >> 23).convert("sitofp", "f32"), mantissa


def _log_core(e: _Value, f: _Value) -> _Value:
    """E ln 2 + log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1], smallest terms first."""
    square = f * f
    y = _horner(f, _LOG) * f * square
    y = _fma(e, _LN2_LO, y)
    y = _fma(square, -0.5, y)
    return _fma(e, _LN2_HI, f + y)


def _log_special(x: _Value, y: _Value, zero: float) -> _Value:
    """``y`` with log's special values, which x takes at ``zero``, below it and at infinity."""
    y = x.compare("oeq", float("inf")).select(float("inf"), y)
    y = x.compare("oeq", zero).select(float("-inf"), y)
    return x.compare("ult", zero).select(float("nan"), y)  # ult: also where x is NaN


def _log32(x: _Value) -> _Value:
    tiny = x < 2.0**-126
    e, m = _split(tiny.select(x * 2.0**23, x))
    e = e - tiny.select(x.body.constant("f32", 23.0), 0.0)
    return _log_special(x, _log_core(e, m - 1.0), 0.0)


def _log1p_32(x: _Value) -> _Value:
    u = x + 1.0
    # What rounding u lost, brought back below (W. Kahan; the same device as in musl's log1pf).
    lost = (x > 1.0).select(1.0 - (u - x), x - (u - 1.0))
    offset = u.bits("i32") - 0x3F3504F3
    exponent = offset >> 23
    m = ((offset & 0x007FFFFF) + 0x3F3504F3).bits("f32")
    # 2**-e is no normal f32 for e = 127 and 128, where the lost part no longer matters
    inverse = exponent.compare("sgt", 126).select(x.body.constant("i32", 126), exponent)
    f = _fma(lost, ((127 - inverse) << 23).bits("f32"), m - 1.0)
    y = _log_special(x, _log_core(exponent.convert("sitofp", "f32"), f), -1.0)
    return (_abs(x) < 2.0**-26).select(x, y)


def _tanh32(x: _Value) -> _Value:
    t = _abs(x)
    s = t * t
    small = _fma(_horner(s, _TANH) * s, t, t)
    clamped = (t > 10.0).select(10.0, t)
    large = 1.0 - 2.0 / (_exp32_moderate(clamped + clamped) + 1.0)
    return _copysign((t > 0.625).select(large, small), x)


def _sigmoid32(x: _Value) -> _Value:
    e = _exp32(-_abs(x))  # never overflows
    whole = e + 1.0
    lost = e - (whole - 1.0)
    positive = x >= 0.0
    y = positive.select(1.0, e) / whole
    inverse = positive.select(y, 1.0 - y)  # 1 / whole, well enough to take back what rounding whole lost
    return _fma(-(y * lost), inverse, y)


def _softplus32(x: _Value) -> _Value:
    t = _abs(x)
    e = _exp32(-t)
    tail = _log_core_1p(e)
    return (x > 0.0).select(x, 0.0) + tail


def _log_core_1p(e: _Value) -> _Value:
    """log(1 + e) for e in [0, 1] or NaN."""
    u = e + 1.0
    lost = e - (u - 1.0)
    upper = u > 1.41421356
    m = upper.select(u * 0.5, u)
    f = _fma(lost, upper.select(e.body.constant("f32", 0.5), 1.0), m - 1.0)
    y = _log_core(upper.select(e.body.constant("f32", 1.0), 0.0), f)
    return (e < 2.0**-26).select(e, y)


def _erf32(x: _Value) -> _Value:
    t = _abs(x)
    small = _fma(_horner(t * t, _ERF), x, x)
    clamped = (t > 4.0).select(4.0, t)
    large = 1.0 - _exp32_moderate(_horner(clamped, _ERFC_LOG))
    return (t > 1.0).select(_copysign(large, x), small)


def _sqrt(x: _Value) -> _Value:
    return x.body.intrinsic("sqrt", x)


def _rsqrt(x: _Value) -> _Value:
    return 1.0 / _sqrt(x)


def _sign(x: _Value) -> _Value:
    one = x.body.constant(x.type, 1.0)
    y = (x > 0.0).select(one, x)  # keeps NaN, 0.0 and -0.0
    return (x < 0.0).select(-1.0, y)


# sin, cos and pow of f32 work in f64: half the lanes, but then no table, no double-double, and results within 0.51 ulp.

_TWO_OVER_PI = 0.6366197723675814
_PI_2 = (1.5707963267948966, 6.123233995736766e-17)
_ROUND64 = 6755399441055744.0  # 1.5 * 2**52
# Taylor, |r| <= pi/4: the first term left out is below 4e-11 of the result
_SIN = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800)
_COS = (1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800, 1 / 479001600)


def _sin_quadrant(x: _Value, quarter_turns: int) -> _Value:
    """sin(x + quarter_turns pi/2). The reduction keeps f32 accuracy for |x| < 2**40 at least; f32 neighbours there
    are 2**17 apart.
    """
    wide = x.convert("fpext", "f64")
    shifted = _fma(wide, _TWO_OVER_PI, _ROUND64)
    whole = shifted - _ROUND64
    r = _fma(whole, -_PI_2[1], _fma(whole, -_PI_2[0], wide))
    r = (r > 1.0).select(1.0, r)  # past 2**51 the result means nothing, but it stays in [-1, 1]
    r = (r < -1.0).select(-1.0, r)
    quadrant = shifted.bits("i64") + quarter_turns
    s = r * r
    sine, cosine = _horner(s, _SIN) * r, _horner(s, _COS)
    value = (quadrant & 1).compare("ne", 0).select(cosine, sine)
    negative = (quadrant & 2) << 62
    result = (value.bits("i64") ^ negative).bits("f64").convert("fptrunc", "f32")
    return result


def _sin32(x: _Value) -> _Value:
    y = _sin_quadrant(x, 0)
    return (_abs(x) < 2.0**-12).select(x, y)  # within 0.33 ulp there; keeps -0.0 and subnormals


def _cos32(x: _Value) -> _Value:
    return _sin_quadrant(x, 1)


def _pow32(x: _Value, y: _Value) -> _Value:
    body = x.body
    magnitude, wide_y = _abs(x).convert("fpext", "f64"), y.convert("fpext", "f64")
    # log2|x| = e + 2/ln 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716; every f32 is a normal f64
    offset = magnitude.bits("i64") - 0x3FE6A09E667F3BCD
    # an arithmetic shift right by 52, then to f64: exponents lie in [-149, 128], so going through i32 is exact
    exponent = body.emit("i64", f"ashr i64 {offset.text}, 52").convert("trunc", "i32").convert("sitofp", "f64")
    m = ((offset & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD).bits("f64")
    s = (m - 1.0) / (m + 1.0)
    log2 = _fma(_horner(s * s, [2 * _LOG2E / (2 * k + 1) for k in range(8)]), s, exponent)
    log2 = magnitude.compare("oeq", 0.0).select(float("-inf"), log2)
    log2 = magnitude.compare("oeq", float("inf")).select(float("inf"), log2)
    z = wide_y * log2
    z = (z > 200.0).select(200.0, z)
    z = (z < -200.0).select(-200.0, z)
    shifted = z + _ROUND64
    r = (z - (shifted - _ROUND64)) * 0.6931471805599453
    factorials = [1.0, 1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0, 40320.0, 362880.0]
    p = _horner(r, [1.0 / f for f in factorials])
    scale = ((shifted.bits("i64") + 1023) << 52).bits("f64")
    result = (p * scale).convert("fptrunc", "f32")
    result = body.emit("i1", f"fcmp uno float {x.text}, {y.text}").select(float("nan"), result)
    # signs: an odd integer y keeps the sign of x; a y that is no integer has no real power of x < 0 (0 and inf aside)
    half = y * 0.5
    integer = body.intrinsic("floor", y).compare("oeq", y)
    odd = integer & body.intrinsic("floor", half).compare("one", half) & (_abs(y) < 2.0**24)
    result = odd.select(_copysign(result, x), result)
    finite_negative = (x < 0.0) & x.compare("one", float("-inf"))
    result = (finite_negative & (integer ^ 1)).select(float("nan"), result)
    # 1**y and x**0 are 1 for every y and x, NaN too (C99 F.9.4.4); (-1)**(+-inf) is 1
    unit = x.compare("oeq", 1.0) | y.compare("oeq", 0.0)
    unit = unit | (x.compare("oeq", -1.0) & _abs(y).compare("oeq", float("inf")))
    return unit.select(1.0, result)


# atan(u) / u as a polynomial in u^2 for |u| <= tan(pi / 8): within 8e-13 of it (Chebyshev interpolation).
_ATAN = (
    *(0.9999999999992654, -0.3333333327802844, 0.19999993151565465, -0.14285389810533583, 0.11103508397480694),
    *(-0.08992970170879451, 0.06975871306516182, -0.037681416440507265),
)
_PI = 3.141592653589793


def _atan_of_quotient(low: _Value, high: _Value) -> _Value:
    """atan(low / high) in f64 for 0 <= low <= high: in [0, pi/4]; NaN where either is."""
    t = low / high.compare("oeq", 0.0).select(1.0, high)
    both_infinite = low.compare("oeq", float("inf")) & high.compare("oeq", float("inf"))
    t = both_infinite.select(1.0, t)
    steep = t > 0.41421356237309503
    u = steep.select((t - 1.0) / (t + 1.0), t)
    return _fma(_horner(u * u, _ATAN), u, steep.select(u.body.constant("f64", _PI / 4), 0.0))


def _atan2_32(y: _Value, x: _Value) -> _Value:
    up, across = _abs(y).convert("fpext", "f64"), _abs(x).convert("fpext", "f64")
    wide = across >= up
    # the comparison is false beside NaN, and then both of the pair are taken: the NaN gets into the quotient
    angle = _atan_of_quotient(wide.select(up, across), wide.select(across, up))
    angle = wide.select(angle, _PI / 2 - angle)
    backwards = x.bits("i32").compare("slt", 0)  # not x < 0: -0.0 is behind too
    angle = backwards.select(_PI - angle, angle).convert("fptrunc", "f32")
    return _copysign(angle, y)


def _atan32(x: _Value) -> _Value:
    y = _atan2_32(x, x.body.constant("f32", 1.0))
    return (_abs(x) < 2.0**-12).select(x, y)  # within 0.33 ulp there; keeps subnormals


def _erfc32(x: _Value) -> _Value:
    # the tail falls to 1e-38 and must keep its relative accuracy; rare in models, so a call will do
    return x.body.call("erfc", x.convert("fpext", "f64")).convert("fptrunc", "f32")


# ------------------------------------------------------------------------------
# f64 through libm


def _libm(name: str) -> Callable[..., _Value]:
    return lambda *arguments: arguments[0].body.call(name, *arguments)


def _sigmoid64(x: _Value) -> _Value:
    e = x.body.call("exp", -_abs(x))
    return x.compare("oge", 0.0).select(1.0, e) / (e + 1.0)


def _softplus64(x: _Value) -> _Value:
    return (x > 0.0).select(x, 0.0) + x.body.call("log1p", x.body.call("exp", -_abs(x)))


# ------------------------------------------------------------------------------
# Random numbers: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)

_PHILOX_M = (0xD2511F53, 0xCD9E8D57)
_PHILOX_W = (0x9E3779B9, 0xBB67AE85)


def _philox_text(lanes: int) -> tuple[list[str], list[str]]:
    """LLVM lines from ``%x0..%x3`` to ten rounds' output under ``%key0, %key1``, for ``lanes`` counters (1:
    scalars).

    Words live in i64 whose upper halves mean nothing until a product masks them off: x86 multiplies 32 by 32 to 64
    bits in just that layout, so a round is two products, two shifts and four exclusive ors.
    """
    kind = "i64" if lanes == 1 else f"<{lanes} x i64>"

    def splat(number: int) -> str:
        return str(number) if lanes == 1 else f"splat (i64 {number})"

    lines: list[str] = []
    words = ["%x0", "%x1", "%x2", "%x3"]
    for number in range(10):
        t = f"%r{number}"
        for k in (0, 1):
            lines += [
                f"  {t}k{k} = add {kind} %key{k}, {splat(number * _PHILOX_W[k] & 0xFFFFFFFF)}",
                f"  {t}m{k} = and {kind} {words[2 * k]}, {splat(0xFFFFFFFF)}",
                f"  {t}p{k} = mul {kind} {t}m{k}, {splat(_PHILOX_M[k])}",
                f"  {t}h{k} = lshr {kind} {t}p{k}, {splat(32)}",
            ]
        lines += [
            f"  {t}a = xor {kind} {t}h1, {words[1]}",
            f"  {t}x0 = xor {kind} {t}a, {t}k0",
            f"  {t}b = xor {kind} {t}h0, {words[3]}",
            f"  {t}x2 = xor {kind} {t}b, {t}k1",
        ]
        words = [f"{t}x0", f"{t}p1", f"{t}x2", f"{t}p0"]
    return lines, words


_PHILOX_KEYS = """  %seed.high = lshr i64 %seed, 32
  %key.first = xor i64 %seed, %seed.high
  %step.high = lshr i64 %step, 32"""


def _philox_uniform_text() -> str:
    lines, words = _philox_text(1)
    parameters = "i64 %seed, i64 %stream, i64 %index, i64 %step"
    return "\n".join(
        [
            f"define internal float @{PREFIX}philox_uniform({parameters}) alwaysinline nounwind {{",
            _PHILOX_KEYS,
            "  %key0 = or i64 %key.first, 0",
            "  %key1 = or i64 %stream, 0",
            "  %x0 = lshr i64 %index, 2",
            "  %x1 = lshr i64 %x0, 32",
            "  %x2 = or i64 %step, 0",
            "  %x3 = or i64 %step.high, 0",
            *lines,
            "  %lane = trunc i64 %index to i32",
            "  %bit0 = and i32 %lane, 1",
            "  %bit1 = and i32 %lane, 2",
            "  %odd = icmp ne i32 %bit0, 0",
            "  %upper = icmp ne i32 %bit1, 0",
            f"  %low.pair = select i1 %odd, i64 {words[1]}, i64 {words[0]}",
            f"  %high.pair = select i1 %odd, i64 {words[3]}, i64 {words[2]}",
            "  %word = select i1 %upper, i64 %high.pair, i64 %low.pair",
            "  %word.low = trunc i64 %word to i32",
            "  %top = lshr i32 %word.low, 8",
            "  %number = sitofp i32 %top to float",  # 24 bits: signed is exact, unsigned slow on AVX2
            "  %result = fmul float %number, 0x3E70000000000000",
            "  ret float %result",
            "}",
        ]
    )


_LANES = 16


def _philox_fill_text() -> str:
    """Blocks of 64 elements in vectors of 16 counters; elements before the first whole counter and after the last
    block one by one.
    """
    vector, wide, floats = f"<{_LANES} x i32>", f"<{_LANES} x i64>", f"<{_LANES} x float>"
    lines, words = _philox_text(_LANES)

    def splat(name: str, source: str) -> list[str]:
        return [
            f"  %{name}.one = insertelement {wide} poison, i64 {source}, i64 0",
            f"  %{name} = shufflevector {wide} %{name}.one, {wide} poison, {vector} zeroinitializer",
        ]

    def shuffle(length: int, indices: list[int]) -> str:
        return f"<{length} x i32> <" + ", ".join(f"i32 {i}" for i in indices) + ">"

    pair = shuffle(2 * _LANES, list(range(2 * _LANES)))
    four = shuffle(4 * _LANES, [word * _LANES + lane for lane in range(_LANES) for word in range(4)])
    numbers = []
    for i, word in enumerate(words):
        numbers += [
            f"  %word{i} = trunc {wide} {word} to {vector}",
            f"  %top{i} = lshr {vector} %word{i}, splat (i32 8)",
            f"  %number{i} = sitofp {vector} %top{i} to {floats}",
            f"  %u{i} = fmul {floats} %number{i}, splat (float 0x3E70000000000000)",
        ]

    def one_by_one(label: str, start: str, stop: str, origin: str, after: str) -> list[str]:
        value = f"%{label}.value"
        call = f"call float @{PREFIX}philox_uniform(i64 %seed, i64 %stream, i64 %{label}.i, i64 %step)"
        return [
            f"{label}:",
            f"  %{label}.any = icmp slt i64 {start}, {stop}",
            f"  br i1 %{label}.any, label %{label}.loop, label %{after}",
            f"{label}.loop:",
            f"  %{label}.i = phi i64 [ {start}, %{label} ], [ %{label}.next, %{label}.loop ]",
            f"  {value} = {call}",
            f"  %{label}.offset = sub i64 %{label}.i, {origin}",
            f"  %{label}.place = getelementptr float, ptr %to, i64 %{label}.offset",
            f"  store float {value}, ptr %{label}.place, align 4",
            f"  %{label}.next = add i64 %{label}.i, 1",
            f"  %{label}.more = icmp slt i64 %{label}.next, {stop}",
            f"  br i1 %{label}.more, label %{label}.loop, label %{after}, !llvm.loop !90000",
        ]

    parameters = "i64 %dst, i64 %first, i64 %count, i64 %seed, i64 %stream, i64 %step"
    return "\n".join(
        [
            f"define internal void @{fill_name()}({parameters}) noinline nounwind {{",
            "entry:",
            "  %to = inttoptr i64 %dst to ptr",
            "  %end = add i64 %first, %count",
            "  %first.up = add i64 %first, 3",
            "  %first.whole = and i64 %first.up, -4",
            "  %short = icmp slt i64 %end, %first.whole",
            "  %aligned = select i1 %short, i64 %end, i64 %first.whole",
            "  %rest = sub i64 %end, %aligned",
            f"  %rest.whole = and i64 %rest, {-4 * _LANES}",
            "  %vector.end = add i64 %aligned, %rest.whole",
            _PHILOX_KEYS,
            *splat("key0", "%key.first"),
            *splat("key1", "%stream"),
            *splat("x2", "%step"),
            *splat("x3", "%step.high"),
            "  br label %head",
            *one_by_one("head", "%first", "%aligned", "%first", "body"),
            "body:",
            "  %body.any = icmp slt i64 %aligned, %vector.end",
            "  br i1 %body.any, label %body.loop, label %tail",
            "body.loop:",
            "  %i = phi i64 [ %aligned, %body ], [ %i.next, %body.loop ]",
            "  %quad = lshr i64 %i, 2",
            f"  %quad.one = insertelement {wide} poison, i64 %quad, i64 0",
            f"  %quad.all = shufflevector {wide} %quad.one, {wide} poison, {vector} zeroinitializer",
            f"  %x0 = add {wide} %quad.all, <" + ", ".join(f"i64 {i}" for i in range(_LANES)) + ">",
            f"  %x1 = lshr {wide} %x0, splat (i64 32)",
            *lines,
            *numbers,
            f"  %u01 = shufflevector {floats} %u0, {floats} %u1, {pair}",
            f"  %u23 = shufflevector {floats} %u2, {floats} %u3, {pair}",
            f"  %u = shufflevector <{2 * _LANES} x float> %u01, <{2 * _LANES} x float> %u23, {four}",
            "  %offset = sub i64 %i, %first",
            "  %place = getelementptr float, ptr %to, i64 %offset",
            f"  store <{4 * _LANES} x float> %u, ptr %place, align 4",
            f"  %i.next = add i64 %i, {4 * _LANES}",
            "  %more = icmp slt i64 %i.next, %vector.end",
            "  br i1 %more, label %body.loop, label %tail",
            *one_by_one("tail", "%vector.end", "%end", "%first", "done"),
            "done:",
            "  ret void",
            "}",
            "!90000 = distinct !{!90000, !90001, !90002}",
            '!90001 = !{!"llvm.loop.vectorize.enable", i1 false}',
            '!90002 = !{!"llvm.loop.unroll.disable"}',
        ]
    )


# ------------------------------------------------------------------------------
# The table

FUNCTIONS: dict[tuple[str, str], Callable[..., _Value]] = {
    ("exp", "f32"): _exp32,
    ("log", "f32"): _log32,
    ("log1p", "f32"): _log1p_32,
    ("expm1", "f32"): _expm1_32,
    ("tanh", "f32"): _tanh32,
    ("sigmoid", "f32"): _sigmoid32,
    ("softplus", "f32"): _softplus32,
    ("erf", "f32"): _erf32,
    ("sin", "f32"): _sin32,
    ("cos", "f32"): _cos32,
    ("pow", "f32"): _pow32,
    ("atan", "f32"): _atan32,
    ("atan2", "f32"): _atan2_32,
    ("erfc", "f32"): _erfc32,
    **{(name, "f64"): _libm(name) for name in ("exp", "log", "log1p", "expm1", "tanh", "erf", "sin", "cos", "pow")},
    **{(name, "f64"): _libm(name) for name in ("atan", "atan2", "erfc")},
    ("sigmoid", "f64"): _sigmoid64,
    ("softplus", "f64"): _softplus64,
}
for _kind in ("f32", "f64"):
    FUNCTIONS["sqrt", _kind] = _sqrt
    FUNCTIONS["rsqrt", _kind] = _rsqrt
    FUNCTIONS["sign", _kind] = _sign
    FUNCTIONS["fma", _kind] = _fma
    FUNCTIONS["fabs", _kind] = _abs
    FUNCTIONS["floor", _kind] = lambda x: x.body.intrinsic("floor", x)
    FUNCTIONS["ceil", _kind] = lambda x: x.body.intrinsic("ceil", x)
    FUNCTIONS["rint", _kind] = lambda x: x.body.intrinsic("roundeven", x)

_ARITY = {"pow": 2, "atan2": 2, "fma": 3}


def function_name(name: str, kind: str) -> str:
    """The LLVM symbol of a function of :data:`FUNCTIONS`."""
    return f"{PREFIX}{name}_{kind}"


def fill_name() -> str:
    """The LLVM symbol of ``void (dst, first, count, seed, stream, step)``: uniform numbers of a range of elements,
    in vectors.
    """
    return f"{PREFIX}philox_fill"


def signature(name: str) -> int:
    """How many arguments a function takes; all have its type."""
    return _ARITY.get(name, 1)


@functools.cache
def _definition(symbol: str) -> tuple[str, frozenset[str]]:
    if symbol == f"{PREFIX}philox_uniform":
        return _philox_uniform_text(), frozenset()
    if symbol == fill_name():
        return _philox_fill_text(), frozenset()
    name, _, kind = symbol.removeprefix(PREFIX).rpartition("_")
    body = _Body()
    arguments = [_Value(body, kind, f"%x{i}") for i in range(signature(name))]
    result = FUNCTIONS[name, kind](*arguments)
    llvm = _LLVM[kind]
    parameters = ", ".join(f"{llvm} {a.text}" for a in arguments)
    head = f"define internal {llvm} @{symbol}({parameters}) alwaysinline nounwind {{"
    return "\n".join([head, *body.lines, f"  ret {llvm} {result.text}", "}"]), frozenset(body.declarations)


def definitions(symbols: Iterable[str]) -> tuple[str, frozenset[str]]:
    """LLVM text that defines ``symbols``, and the declarations (one line each) that it needs."""
    texts: list[str] = []
    declarations: frozenset[str] = frozenset()
    wanted = set(symbols)
    if fill_name() in wanted:
        wanted.add(f"{PREFIX}philox_uniform")
    for symbol in sorted(wanted):
        text, needed = _definition(symbol)
        texts.append(text)
        declarations |= needed
    return "\n\n".join(texts), declarations
