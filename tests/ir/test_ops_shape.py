"""Ops that move or make elements: types with symbolic sizes, errors, and the reference against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir import Builder, Dim, Graph, TensorType
from kgraph.ir.interpreter import interpret
from tests.ir.evaluating import B, T, apply, result_type

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "expected"),
    [
        ("reshape", ["f32[B, 4, 5]"], {"shape": (B, 20)}, "f32[B, 20]"),
        ("reshape", ["f32[B, T, 5]"], {"shape": (B * T, 5)}, "f32[B*T, 5]"),
        ("reshape", ["f32[B, 6]"], {"shape": (2 * B, 3)}, "f32[2*B, 3]"),
        ("reshape", ["i32[]"], {"shape": (1, 1)}, "i32[1, 1]"),
        ("reshape", ["f32[0, 3]"], {"shape": (7, 0)}, "f32[7, 0]"),
        ("transpose", ["f32[B, 2, 3]"], {"perm": (2, 0, 1)}, "f32[3, B, 2]"),
        ("broadcast_to", ["f32[]"], {"shape": (B, 3)}, "f32[B, 3]"),
        ("broadcast_to", ["f32[B, 1]"], {"shape": (2, B, T)}, "f32[2, B, T]"),
        ("concat", ["f32[B, 2]", "f32[B, 3]"], {"axis": 1}, "f32[B, 5]"),
        ("concat", ["f32[B, 2]", "f32[3, 2]", "f32[2*B, 2]"], {"axis": 0}, "f32[3*B + 3, 2]"),
        ("split", ["f32[B, 5]"], {"axis": -1, "sizes": (2, 3)}, "f32[B, 2] and f32[B, 3]"),
        ("split", ["f32[3*B]"], {"axis": 0, "sizes": (B, 2 * B)}, "f32[B] and f32[2*B]"),
        ("slice", ["f32[B, 5]"], {"starts": (0, 1), "limits": (B, 5), "strides": (1, 3)}, "f32[B, 2]"),
        ("slice", ["f32[T]"], {"starts": (T - 1,), "limits": (T,)}, "f32[1]"),
        ("slice", ["f32[2*T]"], {"starts": (1,), "limits": (2 * T,), "strides": (2,)}, "f32[T]"),
        ("slice", ["f32[2*T + 1]"], {"starts": (0,), "limits": (2 * T + 1,), "strides": (2,)}, "f32[T + 1]"),
        ("pad", ["f32[B, 3]", "f32[]"], {"low": (1, 0), "high": (0, 2)}, "f32[B + 1, 5]"),
        ("pad", ["f32[B]", "f32[]"], {"low": (0,), "high": (1,), "interior": (2,)}, "f32[3*B - 1]"),
        ("pad", ["f32[5]", "f32[]"], {"low": (-2,), "high": (-3,)}, "f32[0]"),
        ("pad", ["f32[0]", "f32[]"], {"low": (1,), "high": (1,), "interior": (9,)}, "f32[2]"),
        ("reverse", ["f32[B, 3]"], {"axes": (0, -1)}, "f32[B, 3]"),
        ("iota", [], {"shape": (B, 3), "axis": 1}, "i32[B, 3]"),
        ("iota", [], {"shape": (T,), "dtype": "f32"}, "f32[T]"),
        ("dim_size", [], {"dim": B * T, "dtype": "f64"}, "f64[]"),
        ("dim_size", [], {"dim": 3}, "f32[]"),
        ("constant", [], {"value": np.zeros((2, 3), np.int64)}, "i64[2, 3]"),
    ],
)
def test_types(op: str, operands: list[str], attrs: dict[str, Any], expected: str) -> None:
    assert result_type(op, *operands, **attrs) == expected


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "message"),
    [
        ("reshape", ["f32[B, 4]"], {"shape": (B, 5)}, r"4\*B elements for 5\*B places"),
        ("reshape", ["f32[B, 4]"], {"shape": (8,)}, r"4\*B elements for 8 places"),
        ("reshape", ["f32[4]"], {"shape": (2, -1)}, "-1 as size of axis 1"),
        ("reshape", ["f32[4]"], {"shape": (2.0, 2)}, "2.0 as size of axis 0"),
        ("transpose", ["f32[2, 3]"], {"perm": (0, 0)}, "each of the axes 0 to 1 once"),
        ("transpose", ["f32[2, 3]"], {"perm": (0,)}, "each of the axes"),
        ("broadcast_to", ["f32[B, 2]"], {"shape": (B, 3)}, "axis 1 of size 2 for size 3"),
        ("broadcast_to", ["f32[B]"], {"shape": (T,)}, "axis 0 of size B for size T"),
        ("broadcast_to", ["f32[1, 2]"], {"shape": (2,)}, "never drops axes"),
        ("concat", ["f32[B, 2]", "f32[T, 3]"], {"axis": 1}, "axis 0 has sizes B and T"),
        ("concat", ["f32[2]", "f32[2, 1]"], {"axis": 0}, "one rank"),
        ("concat", ["f32[]"], {"axis": 0}, "an axis to join along"),
        ("concat", [], {"axis": 0}, "at least one operand"),
        ("concat", ["f32[2]"], {"axis": 1}, "axis 1 is out of range"),
        ("split", ["f32[B, 5]"], {"axis": 1, "sizes": (2, 2)}, "sizes that add up to 4"),
        ("split", ["f32[5]"], {"axis": 0, "sizes": ()}, "sizes that add up to 0"),
        ("split", ["f32[5]"], {"axis": 0, "sizes": (-1, 6)}, "-1 as size"),
        ("split", ["f32[]"], {"axis": 0, "sizes": (1,)}, "an axis to cut along"),
        ("slice", ["f32[4]"], {"starts": (1,), "limits": (5,)}, r"1:5:1 from axis 0"),
        ("slice", ["f32[4]"], {"starts": (-1,), "limits": (4,)}, "0 <= start"),
        ("slice", ["f32[4]"], {"starts": (3,), "limits": (2,)}, "start <= limit"),
        ("slice", ["f32[4]"], {"starts": (0,), "limits": (4,), "strides": (0,)}, "a stride of 1 or more"),
        ("slice", ["f32[T]"], {"starts": (0,), "limits": (T + 1,)}, "limit <= T"),
        ("slice", ["f32[T]"], {"starts": (0,), "limits": (T,), "strides": (2,)}, "no size that can be written"),
        ("slice", ["f32[2, 3]"], {"starts": (0,), "limits": (2,)}, "for each of its 2 axes"),
        ("pad", ["f32[4]", "f32[]"], {"low": (-3,), "high": (-2,)}, "cannot widen axis 0"),
        ("pad", ["f32[4]", "f32[]"], {"low": (0,), "high": (0,), "interior": (-1,)}, "cannot widen axis 0"),
        ("pad", ["f32[4]", "f32[]"], {"low": (0, 0), "high": (0,)}, "for each of its 1 axes"),
        ("reverse", ["f32[4]"], {"axes": (1,)}, "axis 1 is out of range"),
        ("iota", [], {"shape": ()}, "an axis to count along"),
        ("iota", [], {"shape": (2,), "axis": 1}, "axis 1 is out of range"),
        ("dim_size", [], {"dim": -1}, "-1 as size"),
        ("reshape", ["f32[2]", "f32[2]"], {"shape": (4,)}, "takes 1 operands"),
    ],
)
def test_shape_errors(op: str, operands: list[str], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        result_type(op, *operands, **attrs)


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "message"),
    [
        ("concat", ["f32[2]", "f64[2]"], {"axis": 0}, r"operand 1"),
        ("pad", ["f32[2]", "f64[]"], {"low": (0,), "high": (0,)}, "scalar of the tensor's element type"),
        ("pad", ["f32[2]", "f32[1]"], {"low": (0,), "high": (0,)}, "scalar of the tensor's element type"),
        ("iota", [], {"shape": (2,), "dtype": "bool"}, "a type of numbers"),
        ("iota", [], {"shape": (2,), "dtype": "float"}, "unknown element type"),
        ("constant", [], {"value": [1.0]}, "needs a NumPy array"),
        ("constant", [], {"value": np.zeros(2, np.complex64)}, "not supported"),
    ],
)
def test_dtype_errors(op: str, operands: list[str], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(DtypeError, match=message):
        result_type(op, *operands, **attrs)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u1", "?"])
def test_movers_against_numpy(dtype: str) -> None:
    x = X.astype(dtype)
    fill = np.ones((), dtype)
    for got, expected in (
        (apply("reshape", x, shape=(4, 6)), x.reshape(4, 6)),
        (apply("transpose", x, perm=(2, 0, 1)), x.transpose(2, 0, 1)),
        (apply("broadcast_to", x[:, :1], shape=(5, 2, 3, 4)), np.broadcast_to(x[:, :1], (5, 2, 3, 4))),
        (apply("concat", x, x[:, :1], axis=1), np.concatenate([x, x[:, :1]], 1)),
        (apply("slice", x, starts=(0, 1, 0), limits=(1, 3, 4), strides=(1, 1, 3)), x[0:1, 1:3, 0:4:3]),
        (
            apply("pad", x, fill, low=(1, 0, 2), high=(0, 1, 0)),
            np.pad(x, ((1, 0), (0, 1), (2, 0)), constant_values=fill),
        ),
        (apply("reverse", x, axes=(0, 2)), x[::-1, :, ::-1]),
    ):
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, expected)


def test_split_gives_a_result_for_each_size() -> None:
    parts = apply("split", X, axis=1, sizes=(2, 0, 1))
    for part, expected in zip(parts, np.split(X, [2, 2], axis=1), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("interior", [0, 1, 2])
@pytest.mark.parametrize("high", [-2, 0, 3])
@pytest.mark.parametrize("low", [-4, -1, 0, 2])
@pytest.mark.parametrize("size", [0, 1, 4])
def test_pad_against_widening_then_cropping(size: int, low: int, high: int, interior: int) -> None:
    wide = size + max(size - 1, 0) * interior
    x = np.arange(1, size + 1, dtype=np.float32)
    if wide + low + high < 0:
        with pytest.raises(ShapeError, match="cannot widen axis 0"):
            apply("pad", x, np.float32(9), low=(low,), high=(high,), interior=(interior,))
        return
    # Element i of the widened axis sits at place low + i; everything else is the padding value.
    expected = np.full(wide + low + high, 9, np.float32)
    for i in range(size):
        place = low + i * (interior + 1)
        if 0 <= place < len(expected):
            expected[place] = x[i]
    np.testing.assert_array_equal(
        apply("pad", x, np.float32(9), low=(low,), high=(high,), interior=(interior,)), expected
    )


def test_makers() -> None:
    np.testing.assert_array_equal(apply("iota", shape=(2, 3), axis=1), [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(apply("iota", shape=(2, 3), axis=-2, dtype="f64"), [[0, 0, 0], [1, 1, 1]])
    assert apply("dim_size", dim=7, dtype="i64").dtype == np.int64
    np.testing.assert_array_equal(apply("constant", value=X), X)


def test_symbolic_sizes_in_attributes_are_evaluated() -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType("f32", (B, T)))
    graph.outputs = [
        b.reshape(x, shape=(B * T,)),
        b.slice(x, starts=(0, T - 1), limits=(B, T)),
        b.broadcast_to(b.dim_size(dim=B * T), shape=(B,)),
        b.iota(shape=(T,)),
        b.pad(x, 0.0, low=(B, 0), high=(0, 0)),
    ]
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    flat, last, sizes, counts, padded = interpret(graph, [array]).outputs
    np.testing.assert_array_equal(flat, array.reshape(6))
    np.testing.assert_array_equal(last, array[:, 2:])
    np.testing.assert_array_equal(sizes, [6, 6])
    np.testing.assert_array_equal(counts, [0, 1, 2])
    np.testing.assert_array_equal(padded, np.pad(array, ((2, 0), (0, 0))))


def test_slice_past_a_symbolic_size_is_found_at_run_time() -> None:
    graph = Graph()
    b = Builder(graph)
    graph.outputs = [b.slice(b.input("x", TensorType("f32", (Dim.symbol("T"),))), starts=(0,), limits=(4,))]
    with pytest.raises(ShapeError, match="0:4 from axis 0 of size 3"):
        interpret(graph, [np.zeros(3, np.float32)])
