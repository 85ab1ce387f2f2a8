"""Convolutions with few filters, and their gradients: the numbers of the interpreter, from products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kgraph.codegen
from kgraph.codegen.cpu.emit import kernels_of
from kgraph.codegen.normalise import normalise
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.autodiff import append_gradients
from kgraph.ir.verifier import verify_graph
from tests.numeric.sheet import Sheet

CASES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int, int], dict[str, Any]]] = {
    "same": ((5, 6, 16), (3, 3, 16, 1), {"padding": ((1, 1), (1, 1))}),
    "valid": ((5, 6, 17), (3, 2, 17, 3), {}),
    "one row": ((1, 9, 16), (1, 4, 16, 4), {"padding": ((0, 0), (2, 1))}),
    "dilation": ((9, 7, 20), (3, 3, 20, 2), {"dilation": (2, 3), "padding": ((2, 1), (3, 0))}),
    "wide padding": ((4, 4, 16), (2, 2, 16, 1), {"padding": ((3, 0), (2, 4))}),
}
OTHERS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int, int], dict[str, Any]]] = {
    "strides": ((6, 6, 16), (3, 3, 16, 1), {"strides": (2, 1)}),
    "groups": ((6, 6, 32), (3, 3, 16, 2), {"groups": 2}),
    "pointwise": ((6, 6, 16), (1, 1, 16, 1), {}),
    "few channels": ((6, 6, 3), (3, 3, 3, 1), {}),
    "many filters": ((6, 6, 16), (3, 3, 16, 5), {}),
    "many taps": ((8, 8, 16), (7, 7, 16, 1), {}),
}


def made(
    image: tuple[int, int, int], kernel: tuple[int, int, int, int], attrs: dict[str, Any], dtype: str = "f32"
) -> Sheet:
    s = Sheet("few")
    b = s.b
    x = s.input(f"{dtype}[B, {', '.join(map(str, image))}]")
    k, bias = s.param(f"{dtype}[{', '.join(map(str, kernel))}]"), s.param(f"{dtype}[{kernel[3]}]")
    y = b.sigmoid(b.add(b.conv2d(x, k, **attrs), bias))
    loss = b.sum(b.mul(y, y), axes=(0, 1, 2, 3))
    grads = append_gradients(s.graph, loss, [x, k, bias])
    s.out("y", y, "model")
    s.out("gradients", [grad for grad in grads if grad is not None], "model")
    return s


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", CASES)
def test_few_filters_against_the_interpreter(name: str, dtype: str) -> None:
    program = made(*CASES[name], dtype).check(sizes=(1, 5))
    named = {node.op.name for kernel in kernels_of(program.stages["schedule"]) for node in kernel.regions[0].nodes}
    assert "conv2d_kernel_grad" not in named
    assert "matmul" in named


@pytest.mark.parametrize("name", OTHERS)
def test_other_convolutions_are_left_alone(name: str) -> None:
    graph = made(*OTHERS[name]).graph.copy()
    normalise(graph)
    assert "conv2d_kernel_grad" in {node.op.name for node in graph.nodes}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_rewritten_graph_means_the_same(data: st.DataObject) -> None:
    """On the interpreter in f64, over drawn sizes, padding and dilation."""
    size, step = st.integers(1, 4), st.integers(1, 2)
    kernel = (data.draw(size), data.draw(size), 16, data.draw(st.integers(1, 2)))
    dilation = (data.draw(step), data.draw(step))
    reach = [(kernel[axis] - 1) * dilation[axis] + 1 for axis in (0, 1)]
    padding = tuple((data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in reach)
    least = [max(1, extent - sum(pads)) for extent, pads in zip(reach, padding)]
    image = (data.draw(st.integers(least[0], least[0] + 4)), data.draw(st.integers(least[1], least[1] + 4)), 16)
    graph = made(image, kernel, {"padding": padding, "dilation": dilation}, "f64").graph
    rng = np.random.default_rng(0)
    inputs = {value.name: rng.normal(size=(3, *value.shape[1:])) for value in graph.inputs}
    params = {value.name: rng.normal(size=value.shape) for value in graph.params}
    expected = interpret(graph, inputs, params).outputs
    rewritten = graph.copy()
    normalise(rewritten)
    verify_graph(rewritten)
    for got, wanted in zip(interpret(rewritten, inputs, params).outputs, expected):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("op", ["sum", "max", "min", "prod"])
def test_a_fold_of_everything_has_a_task_for_each_row(op: str) -> None:
    """Where rows are long; short ones stay one kernel."""
    s = Sheet("everything")
    for shape in ("B, 40, 20", "B, 1, 700", "B, 3, 5", "4, 600", "1, 800", "900"):
        x = s.input(f"f32[{shape}]", lambda rng, shape: rng.uniform(0.99, 1.01, size=shape))
        y = s.b.op(op, s.b.add(x, 0.001), axes=tuple(range(shape.count(",") + 1)))
        s.out(shape, y, "model" if op == "prod" else "sum" if op == "sum" else "exact")
        kept = s.b.op(op, x, axes=tuple(range(shape.count(",") + 1)), keepdims=True)
        s.out(f"{shape} with its axes", kept, "model" if op == "prod" else "sum" if op == "sum" else "exact")
    program = s.check(sizes=(1, 33))
    exe = program.bind({"B": 64}, {})
    assert max(launch.tasks for launch in exe.launches()) > 1


def test_a_row_times_a_large_matrix_has_work_for_two_threads() -> None:
    s = Sheet("row")
    s.out("y", s.b.matmul(s.input("f32[B, 1000]"), s.param("f32[1000, 130]")), "sum")
    program = s.check(sizes=(1, 2))
    (launch,) = program.bind({"B": 1}, {p.name: np.zeros(p.shape, "f4") for p in s.graph.params}).launches()
    assert launch.tasks == 1
    big = Sheet("big")
    big.out("y", big.b.matmul(big.input("f32[B, 9216]"), big.param("f32[9216, 128]")), "sum")
    program = kgraph.codegen.compile(big.graph)
    (launch,) = program.bind({"B": 1}, {p.name: np.zeros(p.shape, "f4") for p in big.graph.params}).launches()
    assert launch.tasks == 4
    big.check(sizes=(1,))
