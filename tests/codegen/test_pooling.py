"""Pooling and its gradient over drawn windows: what is chosen, what shares a kernel, and that ties and NaN keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kgraph.codegen
from kgraph.codegen.cpu.emit import kernels_of
from kgraph.ir import Graph
from kgraph.ir.interpreter import interpret
from tests.numeric.sheet import Sheet, integers

Attrs = dict[str, tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]]


def pooled(attrs: Attrs, shape: tuple[int, int, int], dtype: str = "f32") -> Graph:
    """Pooling with the gradient that goes on through a ReLU to the bias before it, as in most models of pictures."""
    s = Sheet("pooled")
    b = s.b
    height, width, channels = shape
    x = s.input(f"{dtype}[B, {height}, {width}, {channels}]")
    y = b.max_pool(x, **attrs)
    dy = s.input(f"{dtype}[B, {y.shape[1]}, {y.shape[2]}, {channels}]")
    grad = b.select(b.gt(x, 0.0), b.max_pool_grad(x, y, dy, **attrs), 0.0)
    s.out("y", y)
    s.out("gradient", grad)
    s.out("bias", b.sum(grad, axes=(0, 1, 2)))
    s.out("averages", b.sum_pool(x, **attrs))
    return s.graph


def compare(graph: Graph, rows: int, seed: int, nan: bool) -> None:
    rng = np.random.default_rng(seed)
    x, dy = graph.inputs
    program = kgraph.codegen.compile(graph)
    exe = program.bind({"B": rows}, {})
    arrays = {}
    for value, low, high in ((x, -1, 4), (dy, -9, 10)):  # few values: many ties
        drawn = rng.integers(low, high, (rows, *value.shape[1:])).astype("f4" if value.dtype == "f32" else "f8")
        if nan and value is x:
            drawn[rng.random(drawn.shape) < 0.1] = np.nan
        arrays[value.name] = exe.input(value.name)[...] = drawn
    exe.run()
    for k, expected in enumerate(interpret(graph, arrays, {}).outputs):
        np.testing.assert_array_equal(exe.output(k), expected)  # whole numbers: every order of a sum gives the same


@st.composite
def pools(draw: st.DrawFn) -> tuple[Attrs, tuple[int, int, int]]:
    window = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    strides = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = [draw(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))) for size in window]
    least = [max(1, size - sum(pads)) for size, pads in zip(window, padding)]
    height, width = (draw(st.integers(low, low + 8)) for low in least)
    attrs: Attrs = {"window": window, "strides": strides, "padding": (padding[0], padding[1])}
    return attrs, (height, width, draw(st.sampled_from([1, 3, 16, 33])))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(pools(), st.sampled_from(["f32", "f64"]), st.integers(1, 3), st.integers(0, 9), st.booleans())
def test_pooling_is_that_of_the_interpreter(
    pool: tuple[Attrs, tuple[int, int, int]], dtype: str, rows: int, seed: int, nan: bool
) -> None:
    compare(pooled(*pool, dtype), rows, seed, nan)


@pytest.mark.parametrize("rows", [1, 70])
@pytest.mark.parametrize(
    ("window", "strides", "channels"),
    [((2, 2), (2, 2), 64), ((3, 3), (2, 2), 64), ((1, 5), (1, 5), 64), ((4, 3), (5, 4), 3), ((2, 3), (1, 2), 515)],
)
def test_pooling_of_many_rows(rows: int, window: tuple[int, int], strides: tuple[int, int], channels: int) -> None:
    """Several tasks; a window along one axis only; large windows apart; sizes that leave a rest; many channels."""
    compare(pooled({"window": window, "strides": strides}, (11, 11, channels)), rows, 1, False)


@pytest.mark.parametrize(
    ("window", "strides", "families"),
    [
        ((2, 2), (2, 2), ["map", "cols"]),
        ((2, 2), (3, 2), ["map", "cols"]),
        ((3, 2), (2, 2), ["map", "pool_grad", "cols"]),
        ((3, 4), (3, 4), ["map", "pool_grad", "cols"]),
    ],
)  # fmt: skip
def test_gradient_of_windows_apart_shares_its_kernel(
    window: tuple[int, int], strides: tuple[int, int], families: list[str]
) -> None:
    """With the ReLU before it and the column sums of the bias."""
    s = Sheet("apart")
    x = s.input("f32[B, 6, 6, 8]", integers(0, 9))
    y = s.b.max_pool(x, window=window, strides=strides)
    grad = s.b.max_pool_grad(x, y, s.b.mul(y, 2.0), window=window, strides=strides)
    grad = s.b.select(s.b.gt(x, 0.0), grad, 0.0)
    s.out("gradient", grad)
    s.out("bias", s.b.sum(grad, axes=(0, 1, 2)), "sum")
    program = kgraph.codegen.compile(s.graph)
    found = [node.attrs["family"] for node in kernels_of(program.stages["schedule"])]
    assert found[0] == "map" and found[-len(families) + 1 :] == families[1:]
    s.check()
