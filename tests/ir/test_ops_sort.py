"""`argsort` and the ops on bits: values by hand, and operands that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir import Builder, Graph, TensorType
from kgraph.ir.interpreter import interpret

NAN = np.nan


def run(op: str, *arrays: Any, **attrs: Any) -> np.ndarray:
    graph = Graph()
    b = Builder(graph)
    types = {"float32": "f32", "int32": "i32", "uint8": "u8", "bool": "bool"}
    operands = [np.asarray(a) for a in arrays]
    values = [b.input(f"x{i}", TensorType(types[a.dtype.name], a.shape)) for i, a in enumerate(operands)]
    graph.outputs = [b.op(op, *values, **attrs)]
    return np.asarray(interpret(graph, operands).outputs[0])


@pytest.mark.parametrize(
    ("x", "descending", "expected"),
    [
        ([3.0, 1.0, NAN, 1.0, 2.0], False, [1, 3, 4, 0, 2]),
        ([3.0, 1.0, NAN, 1.0, 2.0], True, [2, 0, 4, 1, 3]),
        ([0.0, -0.0, 0.0], False, [0, 1, 2]),
        ([0.0, -0.0, 0.0], True, [0, 1, 2]),
        ([[2.0, 1.0], [1.0, 2.0]], False, [[1, 0], [0, 1]]),
        ([NAN, NAN], True, [0, 1]),
    ],
)
def test_argsort(x: Any, descending: bool, expected: Any) -> None:
    order = run("argsort", np.asarray(x, "float32"), descending=descending)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(order, expected)


def test_argsort_needs_numbers_along_an_axis() -> None:
    with pytest.raises(ShapeError, match="axis"):
        run("argsort", np.float32(1))
    with pytest.raises(DtypeError, match="numbers"):
        run("argsort", np.array([True]))


def test_bits() -> None:
    x, y = np.array([6, -3, 5], "int32"), np.array([3, 1, 40], "int32")
    np.testing.assert_array_equal(run("bit_and", x, y), [2, 1, 0])
    np.testing.assert_array_equal(run("bit_or", x, y), [7, -3, 45])
    np.testing.assert_array_equal(run("bit_xor", x, y), [5, -4, 45])
    np.testing.assert_array_equal(run("bit_not", x), [-7, 2, -6])
    np.testing.assert_array_equal(run("shift_left", x, y), [48, -6, 0])
    np.testing.assert_array_equal(run("shift_right", x, y), [0, -2, 0])
    assert run("bitcast", np.array([1.0], "float32"), dtype="i32")[0] == 0x3F800000


@pytest.mark.parametrize("op", ["bit_and", "shift_left"])
def test_bits_of_floats_are_refused(op: str) -> None:
    with pytest.raises(DtypeError, match="integers"):
        run(op, np.ones(2, "float32"), np.ones(2, "float32"))
    with pytest.raises(DtypeError, match="one type"):
        run(op, np.ones(2, "int32"), np.ones(2, "uint8"))


def test_bitcast_needs_one_width() -> None:
    with pytest.raises(DtypeError, match="width"):
        run("bitcast", np.ones(2, "float32"), dtype="f64")


def test_angles() -> None:
    zero, minus = np.zeros(2, "float32"), np.array([1.0, -1.0], "float32")
    np.testing.assert_allclose(run("atan2", zero, minus), [0, np.pi], rtol=1e-6)
    np.testing.assert_allclose(run("atan", minus), [np.pi / 4, -np.pi / 4], rtol=1e-6)
    with pytest.raises(DtypeError, match="floating"):
        run("atan2", np.ones(2, "int32"), np.ones(2, "int32"))
