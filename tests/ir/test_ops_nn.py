"""Convolution, pooling, softmax, lookups: types, errors, and the reference against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph.errors import DataError, DtypeError, ShapeError
from kgraph.ir import OPS, Builder, Graph, Location, TensorType
from kgraph.ir.interpreter import interpret
from tests.gradients.cases import CONVS, POOLS
from tests.ir.evaluating import B, T, apply, result_type

# -- types and errors -----------------------------------------------------------------------------------------------
POOL: dict[str, Any] = {"window": (2, 2), "strides": (2, 2)}


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "expected"),
    [
        ("conv2d", ["f32[B, 28, 28, 1]", "f32[3, 3, 1, 32]"], {}, "f32[B, 26, 26, 32]"),
        ("conv2d", ["f32[B, 28, 28, 1]", "f32[3, 3, 1, 32]"], {"padding": ((1, 1), (1, 1))}, "f32[B, 28, 28, 32]"),
        ("conv2d", ["f32[B, 7, 8, 4]", "f32[2, 3, 2, 6]"], {"strides": (2, 3), "groups": 2}, "f32[B, 3, 2, 6]"),
        ("conv2d", ["f32[B, 9, 9, 1]", "f32[3, 3, 1, 1]"], {"dilation": (2, 4)}, "f32[B, 5, 1, 1]"),
        ("conv2d", ["f32[1, T, 8, 1]", "f32[3, 3, 1, 1]"], {}, "f32[1, T - 2, 6, 1]"),
        ("conv2d", ["f32[1, 2*T, 8, 1]", "f32[2, 1, 1, 1]"], {"strides": (2, 1)}, "f32[1, T, 8, 1]"),
        ("conv2d", ["f32[1, 2*T, 8, 1]", "f32[1, 1, 1, 1]"], {"strides": (2, 1)}, "f32[1, T, 8, 1]"),
        (
            "conv2d_kernel_grad",
            ["f64[B, 5, 5, 2]", "f64[B, 4, 4, 3]"],
            {"kernel_shape": (2, 2, 2, 3)},
            "f64[2, 2, 2, 3]",
        ),
        ("max_pool", ["f32[B, 5, 4, 3]"], POOL, "f32[B, 2, 2, 3]"),
        ("sum_pool", ["f32[B, 5, 4, 3]"], {**POOL, "padding": ((1, 0), (0, 0))}, "f32[B, 3, 2, 3]"),
        ("max_pool_grad", ["f32[B, 5, 4, 3]", "f32[B, 2, 2, 3]", "f32[B, 2, 2, 3]"], POOL, "f32[B, 5, 4, 3]"),
        ("softmax", ["f32[B, 10]"], {}, "f32[B, 10]"),
        ("log_softmax", ["f64[B, 10, 2]"], {"axis": 1}, "f64[B, 10, 2]"),
        ("gather", ["f32[100, 8]", "i32[B, T]"], {}, "f32[B, T, 8]"),
        ("gather", ["i64[5]", "i64[]"], {}, "i64[]"),
        ("scatter_add", ["i32[B, T]", "f32[B, T, 8]"], {"rows": 100}, "f32[100, 8]"),
        ("scatter_add", ["i32[B]", "f32[B]"], {"rows": T}, "f32[T]"),
        ("one_hot", ["i32[B]"], {"depth": 10}, "f32[B, 10]"),
        ("one_hot", ["u8[B]"], {"depth": B, "dtype": "bool"}, "bool[B, B]"),
    ],
)
def test_types(op: str, operands: list[str], attrs: dict[str, Any], expected: str) -> None:
    assert result_type(op, *operands, **attrs) == expected


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "message"),
    [
        ("conv2d", ["f32[B, 8, 8, 3]", "f32[3, 3, 4, 8]"], {}, "axis 3 has size 3"),
        ("conv2d", ["f32[B, 8, 8, 3]", "f32[3, 3, 3, 8]"], {"groups": 3}, "needed  9"),
        ("conv2d", ["f32[B, 8, 8, 4]", "f32[3, 3, 2, 5]"], {"groups": 2}, "5 filters out to 2 groups"),
        ("conv2d", ["f32[B, 2, 8, 1]", "f32[3, 3, 1, 1]"], {}, "does not fit on axis 1"),
        ("conv2d", ["f32[B, 8, 4, 1]", "f32[3, 3, 1, 1]"], {"dilation": (1, 2)}, "does not fit on axis 2"),
        ("conv2d", ["f32[8, 8, 1]", "f32[3, 3, 1, 1]"], {}, "needs images of shape"),
        ("conv2d", ["f32[B, 8, 8, 1]", "f32[3, 1, 1]"], {}, "needs a kernel of shape"),
        ("conv2d", ["f32[B, T, 8, 1]", "f32[3, 3, 1, 1]"], {"strides": (2, 2)}, "the output size of axis 1"),
        ("conv2d", ["f32[B, 8, 8, 1]", "f32[3, 3, 1, 1]"], {"strides": (0, 1)}, "two positive numbers as strides"),
        ("conv2d", ["f32[B, 8, 8, 1]", "f32[3, 3, 1, 1]"], {"padding": ((0, -1), (0, 0))}, "two pairs of widths"),
        (
            "conv2d_kernel_grad",
            ["f32[B, 5, 5, 2]", "f32[B, 5, 5, 3]"],
            {"kernel_shape": (2, 2, 2, 3)},
            r"needed  f32\[B, 4, 4, 3\]",
        ),
        ("max_pool", ["f32[B, 1, 4, 3]"], POOL, "does not fit on axis 1"),
        ("max_pool", ["f32[B, 4, 4, 3]"], {"window": (2,), "strides": (2, 2)}, "two positive numbers as window"),
        ("sum_pool", ["f32[B, 4, 4]"], POOL, "needs images"),
        ("max_pool_grad", ["f32[B, 4, 4, 3]", "f32[B, 2, 2, 3]", "f32[B, 2, 2, 1]"], POOL, "twice"),
        ("softmax", ["f32[]"], {}, "needs an axis"),
        ("softmax", ["f32[2, 0]"], {}, "axis 1 has size 0"),
        ("softmax", ["f32[2]"], {"axis": 1}, "axis 1 is out of range"),
        ("gather", ["f32[]", "i32[2]"], {}, "a table with rows"),
        ("scatter_add", ["i32[B, 2]", "f32[B, 3]"], {"rows": 4}, "one update for each index"),
        ("scatter_add", ["i32[2]", "f32[2]"], {"rows": -1}, "negative number of rows"),
        ("one_hot", ["i32[2]"], {"depth": -1}, "negative length"),
    ],
)
def test_shape_errors(op: str, operands: list[str], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        result_type(op, *operands, **attrs)


@pytest.mark.parametrize(
    ("op", "operands", "attrs"),
    [
        ("conv2d", ["f32[B, 8, 8, 1]", "f64[3, 3, 1, 1]"], {}),
        ("conv2d", ["i32[B, 8, 8, 1]", "i32[3, 3, 1, 1]"], {}),
        ("max_pool", ["i32[B, 4, 4, 1]"], POOL),
        ("softmax", ["i32[2]"], {}),
        ("gather", ["f32[4]", "f32[2]"], {}),
        ("scatter_add", ["bool[2]", "f32[2]"], {"rows": 3}),
        ("scatter_add", ["i32[2]", "bool[2]"], {"rows": 3}),
        ("one_hot", ["f32[2]"], {"depth": 3}),
        ("one_hot", ["i32[2]"], {"depth": 3, "dtype": "float32"}),
    ],
)
def test_dtype_errors(op: str, operands: list[str], attrs: dict[str, Any]) -> None:
    with pytest.raises(DtypeError):
        result_type(op, *operands, **attrs)


# -- references against loops ---------------------------------------------------------------------------------------
def places(x: np.ndarray, window: Any, strides: Any, padding: Any, dilation: Any, fill: float) -> Any:
    """Yield (row, column, window [N, KH, KW, C]) for each place of the window, by counting."""
    padded = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation)]
    for row, top in enumerate(range(0, padded.shape[1] - reach[0] + 1, strides[0])):
        for column, left in enumerate(range(0, padded.shape[2] - reach[1] + 1, strides[1])):
            rows = [top + i * dilation[0] for i in range(window[0])]
            columns = [left + j * dilation[1] for j in range(window[1])]
            yield row, column, padded[:, rows][:, :, columns]


def conv_by_loops(
    x: np.ndarray,
    kernel: np.ndarray,
    strides: Any = (1, 1),
    padding: Any = ((0, 0), (0, 0)),
    dilation: Any = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    filters, inner = kernel.shape[3], kernel.shape[2]
    spots = list(places(x, kernel.shape[:2], strides, padding, dilation, 0.0))
    y = np.zeros((x.shape[0], spots[-1][0] + 1, spots[-1][1] + 1, filters), x.dtype)
    for row, column, seen in spots:
        for o in range(filters):
            group = o // (filters // groups)
            part = seen[..., group * inner : (group + 1) * inner]
            y[:, row, column, o] = (part * kernel[..., o]).sum(axis=(1, 2, 3))
    return y


@pytest.mark.parametrize(("name", "x", "kernel", "attrs"), CONVS, ids=[case[0] for case in CONVS])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_convolution(
    name: str, x: Any, kernel: Any, attrs: dict[str, Any], dtype: str, rng: np.random.Generator
) -> None:
    image = rng.integers(-3, 4, size=x).astype(dtype)
    weights = rng.integers(-3, 4, size=kernel).astype(dtype)
    got = apply("conv2d", image, weights, **attrs)
    assert got.dtype == image.dtype
    np.testing.assert_array_equal(got, conv_by_loops(image, weights, **attrs))


@pytest.mark.parametrize(("name", "x", "kernel", "attrs"), CONVS, ids=[case[0] for case in CONVS])
def test_kernel_gradient_is_the_adjoint(
    name: str, x: Any, kernel: Any, attrs: dict[str, Any], rng: np.random.Generator
) -> None:
    image, weights = (rng.integers(-3, 4, size=shape).astype(np.float32) for shape in (x, kernel))
    y = apply("conv2d", image, weights, **attrs)
    dy = rng.integers(-3, 4, size=y.shape).astype(np.float32)
    dk = apply("conv2d_kernel_grad", image, dy, kernel_shape=kernel, **attrs)
    assert (y * dy).sum() == (weights * dk).sum()


@pytest.mark.parametrize(("name", "shape", "attrs"), POOLS, ids=[case[0] for case in POOLS])
@pytest.mark.parametrize(("op", "fold", "fill"), [("max_pool", np.max, -np.inf), ("sum_pool", np.sum, 0.0)])
def test_pooling(
    name: str, shape: Any, attrs: dict[str, Any], op: str, fold: Any, fill: float, rng: np.random.Generator
) -> None:
    x = rng.integers(-9, 10, size=shape).astype(np.float32)
    got = apply(op, x, **attrs)
    padding = attrs.get("padding", ((0, 0), (0, 0)))
    for row, column, seen in places(x, attrs["window"], attrs["strides"], padding, (1, 1), fill):
        np.testing.assert_array_equal(got[:, row, column], fold(seen, axis=(1, 2)))


@pytest.mark.parametrize(("name", "shape", "attrs"), POOLS, ids=[case[0] for case in POOLS])
def test_pooling_gradient(name: str, shape: Any, attrs: dict[str, Any], rng: np.random.Generator) -> None:
    x = rng.integers(0, 3, size=shape).astype(np.float32)  # many ties
    y = apply("max_pool", x, **attrs)
    dy = rng.integers(1, 9, size=y.shape).astype(np.float32)
    padding = attrs.get("padding", ((0, 0), (0, 0)))
    padded = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-np.inf)
    expected = np.zeros_like(padded)
    for n, row, column, c in np.ndindex(y.shape):
        top, left = row * attrs["strides"][0], column * attrs["strides"][1]
        seen = padded[n, top : top + attrs["window"][0], left : left + attrs["window"][1], c]
        i, j = np.unravel_index(np.argmax(seen), seen.shape)
        expected[n, top + i, left + j, c] += dy[n, row, column, c]
    (top, _), (left, _) = padding
    expected = expected[:, top : top + x.shape[1], left : left + x.shape[2]]
    np.testing.assert_array_equal(apply("max_pool_grad", x, y, dy, **attrs), expected)


def test_softmax_does_not_overflow() -> None:
    x = np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32)
    np.testing.assert_array_equal(apply("softmax", x), [[1, 0], [0.5, 0.5]])
    expected = np.array([[0, -1000], [-np.log(2), -np.log(2)]], np.float32)
    np.testing.assert_allclose(apply("log_softmax", x), expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_softmax_decomposition_has_the_same_bits(op: str, axis: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 4)).astype(np.float64)
    graph = Graph()
    b = Builder(graph)
    whole = b.op(op, b.input("x", TensorType("f64", (3, 4))), axis=axis)
    decompose = OPS[op].decompose
    assert decompose is not None
    (parts,) = decompose(b, whole.producer)
    graph.outputs = [whole, parts]
    one, other = interpret(graph, [x]).outputs
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose((np.exp(one) if op == "log_softmax" else one).sum(axis), 1.0, rtol=1e-12)


# -- lookups --------------------------------------------------------------------------------------------------------
def test_lookups() -> None:
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    ids = np.array([[3, 0], [3, 3]], np.int32)
    np.testing.assert_array_equal(apply("gather", table, ids), table[ids])
    added = apply("scatter_add", ids, np.ones((2, 2, 3), np.float32), rows=4)
    np.testing.assert_array_equal(added, [[1] * 3, [0] * 3, [0] * 3, [3] * 3])
    np.testing.assert_array_equal(apply("one_hot", ids[0], depth=4), [[0, 0, 0, 1], [1, 0, 0, 0]])


@pytest.mark.parametrize("wrong", [-1, 4])
def test_one_hot_out_of_range_is_a_row_of_zeros(wrong: int) -> None:
    got = apply("one_hot", np.array([1, wrong], np.int64), depth=4, dtype="i32")
    np.testing.assert_array_equal(got, [[0, 1, 0, 0], [0, 0, 0, 0]])


def test_scatter_rows() -> None:
    """Sums as of `scatter_add`, and which rows they belong to."""
    ids = np.array([[1, 3], [1, 0]], np.int32)
    sums, hit = apply("scatter_rows", ids, np.ones((2, 2, 3), np.float32), rows=5)
    np.testing.assert_array_equal(sums[:, 0], [1, 2, 0, 1, 0])
    np.testing.assert_array_equal(hit, [True, True, False, True, False])


@pytest.mark.parametrize("wrong", [-1, 4])
@pytest.mark.parametrize("op", ["gather", "scatter_add"])
def test_index_out_of_range_names_the_place(op: str, wrong: int) -> None:
    graph = Graph()
    b = Builder(graph)
    ids = b.input("ids", TensorType("i32", (2,)))
    table = b.input("table", TensorType("f32", (4, 3) if op == "gather" else (2, 3)))
    with b.location(Location("model.py", 12, "embedding")):
        graph.outputs = [b.gather(table, ids) if op == "gather" else b.scatter_add(ids, table, rows=4)]
    with pytest.raises(DataError) as caught:
        interpret(graph, {"ids": np.array([0, wrong], np.int32), "table": np.zeros(table.shape, np.float32)})
    assert caught.value.where == f"{op} at model.py:12, embedding"
    assert caught.value.got == str(wrong)
    assert caught.value.needed == "0 to 3"
