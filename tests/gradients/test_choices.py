"""What derivatives are where the mathematics leaves a choice: ties, kinks, NaN, padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph.ir import Builder, Graph, TensorType, dtype_of_numpy
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.autodiff import append_gradients

NAN, INF = np.nan, np.inf


def gradients(op: str, *arrays: Any, weights: Any = 1.0, **attrs: Any) -> list[np.ndarray]:
    """Gradients of sum(weights * op(...)) for all floating-point operands, in f32."""
    operands = [np.asarray(a, np.float32) if np.asarray(a).dtype.kind == "f" else np.asarray(a) for a in arrays]
    graph = Graph()
    b = Builder(graph)
    values = [b.input(f"x{i}", TensorType(dtype_of_numpy(a.dtype), a.shape)) for i, a in enumerate(operands)]
    y = b.op(op, *values, **attrs)
    scale = b.constant(value=np.broadcast_to(np.asarray(weights, np.float32), y.shape).copy())
    loss = b.sum(b.mul(y, scale), axes=tuple(range(len(y.shape))))
    grads = append_gradients(graph, loss, [v for v in values if v.dtype == "f32"])
    assert all(grad is not None for grad in grads)
    graph.outputs = [grad for grad in grads if grad is not None]
    graph.remove_dead()
    return interpret(graph, operands).outputs


@pytest.mark.parametrize(("op", "best"), [("max", 3.0), ("min", -3.0)])
def test_ties_share_the_gradient_of_an_extremum(op: str, best: float) -> None:
    (dx,) = gradients(op, [[best, 0.0, best], [0.0, best, 0.0]], axes=(1,), weights=[2.0, 5.0])
    np.testing.assert_array_equal(dx, [[1, 0, 1], [0, 5, 0]])


def test_ties_over_several_axes() -> None:
    (dx,) = gradients("max", np.ones((2, 1, 4)), axes=(0, 2), keepdims=True)
    np.testing.assert_array_equal(dx, np.full((2, 1, 4), 0.125))


def test_maximum_of_nan_gives_no_gradient_to_others() -> None:
    (dx,) = gradients("max", [1.0, NAN, 2.0], axes=(0,))
    np.testing.assert_array_equal(dx, [0, 0, 0])


@pytest.mark.parametrize("op", ["maximum", "minimum"])
def test_equal_operands_get_half_each(op: str) -> None:
    dx, dy = gradients(op, [1.0, 2.0], [1.0, 2.0])
    np.testing.assert_array_equal([dx, dy], np.full((2, 2), 0.5))


@pytest.mark.parametrize("op", ["relu", "abs"])
def test_derivative_at_the_kink_is_zero(op: str) -> None:
    np.testing.assert_array_equal(gradients(op, [0.0, -0.0])[0], [0, 0])


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2.0, 3.0, 4.0], [12, 8, 6]),
        ([2.0, 0.0, 4.0], [0, 8, 0]),
        ([0.0, 0.0, 4.0], [0, 0, 0]),
    ],
)
def test_product_beside_zeros(x: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(gradients("prod", x, axes=(0,))[0], expected)


def image(rows: Any) -> np.ndarray:
    return np.asarray(rows, np.float32)[None, :, :, None]


def test_first_greatest_element_of_a_window_takes_the_gradient() -> None:
    x = image([[1, 1, 0, 2], [1, 1, 2, 2]])
    (dx,) = gradients("max_pool", x, window=(2, 2), strides=(2, 2), weights=image([[3, 5]]))
    np.testing.assert_array_equal(dx, image([[3, 0, 0, 5], [0, 0, 0, 0]]))


def test_overlapping_windows_add_up() -> None:
    (dx,) = gradients("max_pool", image([[0, 9, 0]]), window=(1, 2), strides=(1, 1), weights=image([[3, 5]]))
    np.testing.assert_array_equal(dx, image([[0, 8, 0]]))


def test_padding_takes_no_gradient_even_where_all_is_minus_infinity() -> None:
    x = image([[-INF, -INF]])
    (dx,) = gradients("max_pool", x, window=(1, 2), strides=(1, 1), padding=((0, 0), (1, 0)), weights=image([[3, 5]]))
    np.testing.assert_array_equal(dx, image([[8, 0]]))


def test_repeated_ids_add_their_gradients() -> None:
    dtable, *rest = gradients("gather", np.zeros((3, 2)), np.array([2, 0, 2], np.int32), weights=[[1.0], [2.0], [4.0]])
    assert not rest
    np.testing.assert_array_equal(dtable, [[2, 2], [0, 0], [5, 5]])


def test_literal_pad_value_gets_no_gradient_node() -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType("f32", (2,)))
    loss = b.sum(b.pad(x, 0.0, low=(1,), high=(1,)), axes=(0,))
    append_gradients(graph, loss, [x])
    assert [node.op.name for node in graph.nodes] == ["pad", "sum", "broadcast_to", "slice"]


@pytest.mark.parametrize(("ta", "tb"), [(False, False), (False, True), (True, False), (True, True)])
def test_matmul_gradients_are_two_matmuls_input_first(ta: bool, tb: bool) -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType("f32", (3, 2) if ta else (2, 3)))
    w = b.input("w", TensorType("f32", (4, 3) if tb else (3, 4)))
    loss = b.sum(b.matmul(x, w, transpose_a=ta, transpose_b=tb), axes=(0, 1))
    dx, dw = append_gradients(graph, loss, [x, w])
    assert [node.op.name for node in graph.nodes[2:]] == ["broadcast_to", "matmul", "matmul"]
    assert [node.result for node in graph.nodes[3:]] == [dx, dw]


def test_unit_stride_convolution_needs_no_pad() -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType("f32", (2, 5, 5, 3)))
    k = b.input("k", TensorType("f32", (3, 3, 3, 4)))
    y = b.conv2d(x, k, padding=((1, 1), (1, 1)))
    append_gradients(graph, b.sum(y, axes=(0, 1, 2, 3)), [x, k])
    names = [node.op.name for node in graph.nodes[2:]]
    assert names == ["broadcast_to", "reverse", "transpose", "conv2d", "conv2d_kernel_grad"]
