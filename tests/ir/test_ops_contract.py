"""matmul: types with symbolic sizes, errors, and the reference against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph.errors import DtypeError, ShapeError
from tests.ir.evaluating import apply, result_type


@pytest.mark.parametrize(
    ("a", "b", "attrs", "expected"),
    [
        ("f32[B, 784]", "f32[784, 10]", {}, "f32[B, 10]"),
        ("f32[B, 784]", "f32[B, 10]", {"transpose_a": True}, "f32[784, 10]"),
        ("f32[B, 10]", "f32[784, 10]", {"transpose_b": True}, "f32[B, 784]"),
        ("f64[10, B]", "f64[7, 10]", {"transpose_a": True, "transpose_b": True}, "f64[B, 7]"),
        ("f32[B*T, 5]", "f32[5, 0]", {}, "f32[B*T, 0]"),
        ("f32[B, T, 5]", "f32[B, 5, T]", {}, "f32[B, T, T]"),
        ("f32[B, 4, T, 5]", "f32[B, 4, T, 5]", {"transpose_b": True}, "f32[B, 4, T, T]"),
        ("i32[2, 3]", "i32[3, 2]", {}, "i32[2, 2]"),
    ],
)
def test_types(a: str, b: str, attrs: dict[str, Any], expected: str) -> None:
    assert result_type("matmul", a, b, **attrs) == expected


@pytest.mark.parametrize(
    ("a", "b", "attrs", "message"),
    [
        ("f32[B, 64]", "f32[128, 10]", {}, "axis 1 of the left side has size 64, axis 0 of the right side 128"),
        (
            "f32[64, B]",
            "f32[10, T]",
            {"transpose_b": True},
            "axis 1 of the left side has size B, axis 1 of the right side T",
        ),
        (
            "f32[2, 3, 4]",
            "f32[2, 5, 4]",
            {"transpose_a": True},
            "axis 1 of the left side has size 3, axis 1 of the right",
        ),
        ("f32[B, 3, 4]", "f32[T, 4, 5]", {}, "axis 0 has sizes B and T"),
        ("f32[B, 3, 4]", "f32[4, 5]", {}, "ranks 3 and 2"),
        ("f32[3]", "f32[3]", {}, "ranks 1 and 1"),
    ],
)
def test_shape_errors(a: str, b: str, attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        result_type("matmul", a, b, **attrs)


@pytest.mark.parametrize(("a", "b"), [("f32[2, 3]", "f64[3, 2]"), ("bool[2, 3]", "bool[3, 2]")])
def test_dtype_errors(a: str, b: str) -> None:
    with pytest.raises(DtypeError, match="numbers of one element type"):
        result_type("matmul", a, b)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_against_einsum(
    dtype: str, lead: tuple[int, ...], transpose_a: bool, transpose_b: bool, rng: np.random.Generator
) -> None:
    a = rng.integers(-3, 4, size=(*lead, *((4, 5) if transpose_a else (5, 4)))).astype(dtype)
    b = rng.integers(-3, 4, size=(*lead, *((6, 4) if transpose_b else (4, 6)))).astype(dtype)
    subscripts = f"...{'km' if transpose_a else 'mk'},...{'nk' if transpose_b else 'kn'}->...mn"
    got = apply("matmul", a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    assert got.dtype == a.dtype
    np.testing.assert_array_equal(got, np.einsum(subscripts, a, b))


def test_empty_sum_is_zero() -> None:
    got = apply("matmul", np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32))
    np.testing.assert_array_equal(got, np.zeros((2, 3)))
