"""Random numbers in fused loops: made by blocks where they are consecutive, the same bits wherever they are read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import kgraph.codegen
from kgraph.codegen.cpu.draws import BLOCK, MAX_STREAMS
from kgraph.ir import Graph, Value
from kgraph.ir.interpreter import interpret
from tests.numeric.sheet import Sheet, integers

Program = Callable[[Sheet, Callable[..., Value]], None]
PROGRAMS: dict[str, Program] = {}
WIDTHS = (1, 7, 64, BLOCK - 1, BLOCK, BLOCK + 1)


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def made(function: Program) -> Sheet:
    s = Sheet(function.__name__)
    seed, step = s.input("i64[]", integers(-(1 << 40), 1 << 40)), s.input("i64[]", integers(0, 1 << 40))
    count = 0

    def draw(*shape: object) -> Value:
        nonlocal count
        count += 1
        return s.b.random_uniform(seed, step, shape=shape, stream=count)

    function(s, draw)
    return s


@program
def dropout(s: Sheet, draw: Callable[..., Value]) -> None:
    for width in WIDTHS:
        x = s.input(f"f32[B, {width}]")
        kept = s.b.ge(draw(x.shape[0], width), 0.4)
        s.out(f"{width}", s.b.select(kept, s.b.mul(x, 1.5), 0.0), "arithmetic")
        s.out(f"{width} kept", kept)


@program
def nests_of_loops(s: Sheet, draw: Callable[..., Value]) -> None:
    """Rows shorter and longer than a block, apart in memory; the loop over them does not merge with the inner one."""
    for height, width in ((3, 5), (5, 66), (2, BLOCK + 3)):
        x = s.input(f"f32[B, {height}, {2 * width}]")
        half = s.b.slice(x, starts=(0, 0, width), limits=(x.shape[0], height, 2 * width))
        s.out(f"{height} x {width}", s.b.mul(half, draw(x.shape[0], height, width)), "arithmetic")


@program
def noise_before_rows_are_folded(s: Sheet, draw: Callable[..., Value]) -> None:
    x = s.input("f32[B, 70]")
    y = s.b.add(x, draw(x.shape[0], 70))
    s.out("rows", s.b.mul(y, s.b.max(y, axes=(1,), keepdims=True)), "arithmetic")
    s.out("columns", s.b.sum(y, axes=(0,)), "sum")


@program
def noise_after_a_product(s: Sheet, draw: Callable[..., Value]) -> None:
    y = s.b.matmul(s.input("f32[B, 5]"), s.param("f32[5, 33]"))
    s.out("y", s.b.select(s.b.lt(draw(y.shape[0], 33), 0.5), y, 0.0), "sum")


@program
def more_streams_than_blocks(s: Sheet, draw: Callable[..., Value]) -> None:
    total = s.input("f32[B, 9]")
    for _ in range(MAX_STREAMS + 2):
        total = s.b.add(total, draw(total.shape[0], 9))
    s.out("y", total, "sum")


@program
def turned(s: Sheet, draw: Callable[..., Value]) -> None:
    """Made in an order of their own, and read in another."""
    x = s.input("f32[9, B]")
    s.out("y", s.b.add(x, s.b.transpose(draw(x.shape[1], 9), perm=(1, 0))), "arithmetic")


@program
def one_number_for_a_row(s: Sheet, draw: Callable[..., Value]) -> None:
    x = s.input("f32[B, 40]")
    s.out("y", s.b.mul(x, draw(x.shape[0], 1)), "arithmetic")


@pytest.mark.parametrize("name", PROGRAMS)
def test_numbers_are_those_of_the_interpreter(name: str) -> None:
    text = "".join(made(PROGRAMS[name]).check(sizes=(1, 3, 50)).sources().values())
    assert "philox_fill(" in text
    assert ("philox_uniform(" in text) is (name == "more_streams_than_blocks")


def test_numbers_do_not_depend_on_tasks() -> None:
    """Many tasks, whose first numbers are not those that a vector begins with."""

    def many(s: Sheet, draw: Callable[..., Value]) -> None:
        s.out("u", s.b.mul(draw(s.input("f32[B, 3]").shape[0], 3, 37), 1.0))

    graph: Graph = made(many).graph
    compiled = kgraph.codegen.compile(graph)
    dims = {"B": 2000}
    exe = compiled.bind(dims, {})
    arrays = {graph.inputs[0].name: np.int64(-5), graph.inputs[1].name: np.int64(7)}
    arrays[graph.inputs[2].name] = np.zeros((2000, 3), "float32")
    for name, array in arrays.items():
        exe.input(name)[...] = array
    (expected,) = interpret(graph, {name: np.asarray(array) for name, array in arrays.items()}, {}).outputs
    threads = kgraph.codegen.get_num_threads()
    try:
        for count in (1, 2, 3):
            kgraph.codegen.set_num_threads(count)
            exe.run()
            np.testing.assert_array_equal(exe.output(0), expected)
    finally:
        kgraph.codegen.set_num_threads(threads)
