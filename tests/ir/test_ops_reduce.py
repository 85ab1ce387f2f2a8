"""Reductions, index reductions and running sums: types, errors, and the reference against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir import OPS
from tests.ir.evaluating import apply, result_type

NUMPY = {"sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}


@pytest.mark.parametrize(
    ("operand", "attrs", "expected"),
    [
        ("f32[B, 3]", {"axes": (0,)}, "f32[3]"),
        ("f32[B, 3]", {"axes": (1,)}, "f32[B]"),
        ("f32[B, 3]", {"axes": (-1,), "keepdims": True}, "f32[B, 1]"),
        ("f64[B, T, 3]", {"axes": (0, 2)}, "f64[T]"),
        ("i32[2, 3]", {"axes": (0, 1)}, "i32[]"),
        ("f32[2, 3]", {"axes": ()}, "f32[2, 3]"),
        ("f32[]", {"axes": ()}, "f32[]"),
    ],
)
@pytest.mark.parametrize("op", NUMPY)
def test_types(op: str, operand: str, attrs: dict[str, Any], expected: str) -> None:
    assert result_type(op, operand, **attrs) == expected


def test_index_types() -> None:
    assert result_type("argmax", "f32[B, 3, 2]", axis=1) == "i32[B, 2]"
    assert result_type("argmin", "i64[B]", axis=-1) == "i32[]"
    assert result_type("cumsum", "f32[B, T]", axis=1) == "f32[B, T]"
    assert result_type("max", "bool[B]", axes=(0,)) == "bool[]"


@pytest.mark.parametrize("op", [*NUMPY, "argmax", "argmin", "cumsum"])
@pytest.mark.parametrize("axis", [2, -3])
def test_axis_out_of_range(op: str, axis: int) -> None:
    attrs: dict[str, Any] = {"axes": (axis,)} if op in NUMPY else {"axis": axis}
    with pytest.raises(ShapeError, match=f"{op}: axis {axis} is out of range for a tensor of rank 2"):
        result_type(op, "f32[B, 3]", **attrs)


def test_axis_twice() -> None:
    with pytest.raises(ShapeError, match="name an axis twice"):
        result_type("sum", "f32[2, 3]", axes=(1, -1))


@pytest.mark.parametrize("op", ["max", "min", "argmax", "argmin"])
def test_no_element_to_choose(op: str) -> None:
    attrs: dict[str, Any] = {"axes": (1,)} if op in NUMPY else {"axis": 1}
    with pytest.raises(ShapeError, match="axis 1 has size 0"):
        result_type(op, "f32[2, 0]", **attrs)


@pytest.mark.parametrize(("op", "attrs"), [("sum", {"axes": (0,)}), ("prod", {"axes": (0,)}), ("cumsum", {"axis": 0})])
def test_no_arithmetic_on_bool(op: str, attrs: dict[str, Any]) -> None:
    with pytest.raises(DtypeError, match="needs numbers"):
        result_type(op, "bool[3]", **attrs)


@pytest.mark.parametrize("op", ["argmax", "cumsum"])
def test_scalar_has_no_axis(op: str) -> None:
    with pytest.raises(ShapeError, match="needs an axis"):
        result_type(op, "f32[]", axis=0)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [(0,), (1, 2), (-1, 0), (0, 1, 2), ()])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u1"])
@pytest.mark.parametrize("op", NUMPY)
def test_against_numpy(op: str, dtype: str, axes: tuple[int, ...], keepdims: bool, rng: np.random.Generator) -> None:
    x = rng.integers(0, 3, size=(2, 3, 4)).astype(dtype)
    got = apply(op, x, axes=axes, keepdims=keepdims)
    assert got.dtype == x.dtype
    more = {"dtype": x.dtype} if op in ("sum", "prod") else {}
    np.testing.assert_array_equal(got, NUMPY[op](x, axis=axes, keepdims=keepdims, **more))


def test_sum_accumulates_in_double() -> None:
    x = np.full(10_000_000 // 64, 0.1, np.float32)
    assert apply("sum", x, axes=(0,)) == np.float32(np.float64(np.float32(0.1)) * x.size)


def test_empty_sum_and_product() -> None:
    x = np.zeros((0, 2), np.float32)
    np.testing.assert_array_equal(apply("sum", x, axes=(0,)), [0, 0])
    np.testing.assert_array_equal(apply("prod", x, axes=(0,)), [1, 1])


@pytest.mark.parametrize("op", ["sum", "max", "min", "prod"])
def test_nan_wins(op: str) -> None:
    assert np.isnan(apply(op, np.array([1.0, np.nan, 3.0], np.float32), axes=(0,)))


def test_extremum_of_bool_is_logic() -> None:
    x = np.array([[True, False], [False, False]])
    assert apply("max", x, axes=(1,)).tolist() == [True, False]
    assert apply("min", x, axes=(0,)).tolist() == [False, False]


@pytest.mark.parametrize("op", ["argmax", "argmin"])
def test_first_index_wins(op: str) -> None:
    best = 2.0 if op == "argmax" else -2.0
    got = apply(op, np.array([[0.0, best, best], [best, 0.0, best], [0.0, np.nan, best]], np.float32), axis=-1)
    assert got.dtype == np.int32
    assert got.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({}, [1, 3, 6]),
        ({"exclusive": True}, [0, 1, 3]),
        ({"reverse": True}, [6, 5, 3]),
        ({"reverse": True, "exclusive": True}, [5, 3, 0]),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
def test_cumsum(attrs: dict[str, bool], expected: list[int], dtype: str) -> None:
    x = np.array([1, 2, 3], dtype)
    np.testing.assert_array_equal(apply("cumsum", x, axis=0, **attrs), expected)
    columns = np.stack([x, 2 * x], axis=1)
    np.testing.assert_array_equal(apply("cumsum", columns, axis=0, **attrs)[:, 1], 2 * np.array(expected))
    np.testing.assert_array_equal(apply("cumsum", columns.T, axis=-1, **attrs)[0], expected)


def test_exclusive_cumsum_beside_infinity() -> None:
    got = apply("cumsum", np.array([1, np.inf, 1], np.float32), axis=0, exclusive=True)
    np.testing.assert_array_equal(got, [0, 1, np.inf])


def test_traits() -> None:
    assert all("reduction" in OPS[op].traits for op in NUMPY)
