"""Elementwise ops: types and broadcasting with symbolic sizes, errors, and values, also NaN and infinite ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir import OPS
from tests.ir.evaluating import apply, result_type

NAN, INF = math.nan, math.inf
POINTS = (-INF, -100.0, -1.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.5, 100.0, INF, NAN)


def guarded(function: Callable[[float], float]) -> Callable[[float], float]:
    """A function of `math` with the IEEE answers where Python raises."""

    def call(x: float) -> float:
        if math.isnan(x):
            return NAN
        try:
            return function(x)
        except OverflowError:
            return INF
        except ValueError:
            return NAN

    return call


UNARY: dict[str, Callable[[float], float]] = {
    "neg": lambda x: -x,
    "abs": abs,
    "sign": lambda x: x if x == 0 else math.copysign(1, x),
    "exp": math.exp,
    "expm1": math.expm1,
    "log": lambda x: -INF if x == 0 else math.log(x),
    "log1p": lambda x: -INF if x == -1 else math.log1p(x),
    "sqrt": math.sqrt,
    "rsqrt": lambda x: math.copysign(INF, x) if x == 0 else 1 / math.sqrt(x),
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
    "softplus": lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
    "erf": math.erf,
    "erfc": math.erfc,
    "atan": math.atan,
    "floor": lambda x: x if math.isinf(x) else math.floor(x),
    "ceil": lambda x: x if math.isinf(x) else math.ceil(x),
    "round": lambda x: x if math.isinf(x) else round(x),
    "relu": lambda x: max(x, 0.0),
    "stop_gradient": lambda x: x,
}


@pytest.mark.parametrize(("dtype", "tolerance"), [("f4", 3e-7), ("f8", 1e-15)])
@pytest.mark.parametrize("op", UNARY)
def test_unary_values(op: str, dtype: str, tolerance: float) -> None:
    x = np.array(POINTS, dtype)
    got = apply(op, x)
    assert got.dtype == x.dtype
    with np.errstate(over="ignore"):
        expected = np.array([guarded(UNARY[op])(float(v)) for v in x]).astype(dtype)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance / 10)


BINARY: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": np.mod,
    "floor_div": np.floor_divide,
    "atan2": np.arctan2,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "pow": np.power,
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("op", BINARY)
def test_binary_values(op: str, dtype: str) -> None:
    x, y = (array.astype(dtype) for array in np.meshgrid(POINTS, POINTS))
    with np.errstate(all="ignore"):
        expected = BINARY[op](x, y)
    got = apply(op, x, y)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["i4", "i8", "u1", "u4"])
@pytest.mark.parametrize("op", [op for op in BINARY if op != "atan2"])
def test_binary_values_of_integers(op: str, dtype: str) -> None:
    x, y = (array.astype(dtype) for array in np.meshgrid([1, 2, 7], [1, 2, 3]))
    got = apply(op, x, y)
    np.testing.assert_array_equal(got, (x // y) if op == "div" else BINARY[op](x, y))
    assert got.dtype in (x.dtype, np.bool_)


BITS: dict[str, Any] = {
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
}


@pytest.mark.parametrize("dtype", ["i4", "i8", "u1"])
@pytest.mark.parametrize("op", BITS)
def test_bits(op: str, dtype: str) -> None:
    x, y = np.array([0, 1, 6, 100, 127], dtype), np.array([3, 0, 5, 1, 7], dtype)
    np.testing.assert_array_equal(apply(op, x, y), BITS[op](x, y))


def test_bits_of_one_operand() -> None:
    np.testing.assert_array_equal(apply("bit_not", np.array([0, 5, -1], np.int32)), [-1, -6, 0])
    np.testing.assert_array_equal(
        apply("bitcast", np.array([1.0, -0.0], np.float32), dtype="i32"), [0x3F800000, -(2**31)]
    )


def test_every_elementwise_op_is_tested() -> None:
    others = {"logical_not", "is_nan", "is_finite", "cast", "select", "bit_not", "bitcast"}
    assert {*UNARY, *BINARY, *BITS, *others} == {name for name, op in OPS.items() if "elementwise" in op.traits}


def test_predicates() -> None:
    x = np.array([0.0, 1.0, INF, NAN], np.float32)
    assert apply("is_nan", x).tolist() == [False, False, False, True]
    assert apply("is_finite", x).tolist() == [True, True, False, False]
    assert apply("logical_not", x).tolist() == [True, False, False, False]


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "i64", "u8", "bool"])
def test_cast(dtype: str) -> None:
    got = apply("cast", np.array([0.0, 0.7, 2.9], np.float32), dtype=dtype)
    values = {"bool": [False, True, True]}.get(
        dtype, [0, 0, 2] if dtype[0] in "iu" else [0, np.float32(0.7), np.float32(2.9)]
    )
    np.testing.assert_array_equal(got, values)
    assert result_type("cast", "f32[B]", dtype=dtype) == f"{dtype}[B]"


def test_cast_truncates_toward_zero() -> None:
    assert apply("cast", np.array([-1.7, 1.7]), dtype="i32").tolist() == [-1, 1]


def test_select() -> None:
    cond = np.array([[True], [False]])
    got = apply("select", cond, np.float32([1, 2, 3]), np.float32(9))
    np.testing.assert_array_equal(got, [[1, 2, 3], [9, 9, 9]])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ("f32[B, 3]", "f32[3]", "f32[B, 3]"),
        ("f32[B, 1]", "f32[1, T]", "f32[B, T]"),
        ("f32[]", "f32[B*T]", "f32[B*T]"),
        ("f32[0, 3]", "f32[1, 1]", "f32[0, 3]"),
    ],
)
def test_broadcasting(x: str, y: str, expected: str) -> None:
    assert result_type("add", x, y) == result_type("add", y, x) == expected
    assert result_type("lt", x, y) == expected.replace("f32", "bool")
    assert result_type("select", "bool[]", x, y) == expected


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ("f32[B, 3]", "f32[B, 4]", "axis -1 has sizes 3 and 4"),
        ("f32[B]", "f32[T]", "axis -1 has sizes B and T"),
        ("f32[B, 2]", "f32[2*B, 2]", r"axis -2 has sizes B and 2\*B"),
    ],
)
@pytest.mark.parametrize("op", ["add", "lt", "select"])
def test_shape_errors(op: str, x: str, y: str, message: str) -> None:
    with pytest.raises(ShapeError, match=f"{op} cannot combine(.|\n)*{message}"):
        result_type(op, *(["bool[]"] if op == "select" else []), x, y)


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        ("add", ["f32[2]", "f64[2]"]),
        ("add", ["bool[2]", "bool[2]"]),
        ("lt", ["f32[2]", "i32[2]"]),
        ("exp", ["i32[2]"]),
        ("select", ["f32[2]", "f32[2]", "f32[2]"]),
        ("select", ["bool[2]", "f32[2]", "f64[2]"]),
        ("cast", ["f32[2]"]),
    ],
)
def test_dtype_errors(op: str, operands: list[str]) -> None:
    with pytest.raises(DtypeError):
        result_type(op, *operands, **({"dtype": "float32"} if op == "cast" else {}))
