"""Whole programs on the CPU target against the interpreter, over several batch sizes; runs, loops, errors of a program."""

from __future__ import annotations

import numpy as np
import pytest

import kgraph.codegen
from kgraph.ir import Builder, Graph, TensorType
from kgraph.ir.interpreter import interpret
from tests.ir.evaluating import B
from tests.numeric.models import MODELS
from tests.numeric.sheet import Sheet


@pytest.mark.parametrize("name", MODELS)
def test_model_against_interpreter(name: str) -> None:
    MODELS[name]().check(others={"T": 5})


@pytest.mark.parametrize("name", ["mlp_train", "batch_norm_train", "lstm_train", "conv_train", "pieces", "updates_in_place"])
def test_old_memory_does_not_matter(name: str) -> None:
    """Whatever lies in the arena before a run is never read: 0xFF bytes are NaN as floats."""
    made = MODELS[name]()
    dims = {"B": 7}
    arrays = made.arrays(dims)
    program = kgraph.codegen.compile(made.graph)
    found = []
    for fill in (0x00, 0xFF):
        params = {value.name: arrays[value.name].copy() for value in made.graph.params}
        exe = program.bind(dims, params)
        exe._memory[:] = fill  # type: ignore[attr-defined]
        for value in made.graph.inputs:
            exe.input(value.name)[...] = arrays[value.name]
        exe.run()
        found.append([exe.output(k).copy() for k in range(len(made.graph.outputs))] + list(params.values()))
    for zeros, ones in zip(*found):
        np.testing.assert_array_equal(zeros, ones)


def test_one_compilation_serves_every_size() -> None:
    """Several executables of one program live side by side and keep their own buffers."""
    made = MODELS["softmax_cross_entropy"]()
    program = kgraph.codegen.compile(made.graph)
    runs = []
    for size in (1, 7, 32, 33):
        arrays = made.arrays({"B": size})
        exe = program.bind({"B": size}, {})
        for name, array in arrays.items():
            exe.input(name)[...] = array
        runs.append((exe, arrays))
    for exe, _ in runs:
        exe.run()
    for exe, arrays in runs:
        expected = interpret(made.graph, arrays, {}).outputs
        for k, array in enumerate(expected):
            np.testing.assert_allclose(exe.output(k), array, rtol=1e-5, atol=1e-5)


def test_steps_are_runs() -> None:
    """`run_steps` over shuffled rows gives what single runs give, params and outputs alike."""
    made = MODELS["mlp_train"]()
    program = kgraph.codegen.compile(made.graph)
    rng = np.random.default_rng(0)
    data = {"x0": rng.normal(size=(40, 8)).astype(np.float32), "x1": rng.integers(0, 3, 40).astype(np.int32)}
    index = rng.permutation(40).astype(np.int64)
    first = made.arrays({"B": 8})
    by_hand, at_once = ({v.name: first[v.name].copy() for v in made.graph.params} for _ in range(2))
    exe = program.bind({"B": 8}, by_hand)
    losses = []
    for step in range(4):
        for name, array in data.items():
            exe.input(name)[...] = array[index[8 + 8 * step :][:8]]
        exe.run()
        losses.append(float(exe.output(0)))
    other = program.bind({"B": 8}, at_once)
    other.run_steps(data, index, 8, 4)
    assert losses[-1] < losses[0] or len(losses) == 4
    for name, array in by_hand.items():
        np.testing.assert_array_equal(array, at_once[name])


def test_sinks_get_every_step() -> None:
    s = Sheet("rows")
    x = s.input("f32[B, 3]")
    s.out("y", s.b.mul(x, 2.0))
    s.out("z", s.b.sum(x, axes=(1,)))
    program = kgraph.codegen.compile(s.graph)
    data = np.arange(36, dtype=np.float32).reshape(12, 3)
    sinks = [np.zeros((12, 3), np.float32), np.zeros(12, np.float32)]
    program.bind({"B": 4}, {}).run_steps({"x0": data}, None, 0, 3, sinks)
    np.testing.assert_array_equal(sinks[0], data * 2)
    np.testing.assert_array_equal(sinks[1], data.sum(axis=1))


def test_a_schedule_can_be_compiled() -> None:
    """The text of the schedule stage, read back, is a program of its own."""
    made = MODELS["mlp_train"]()
    schedule = kgraph.codegen.compile(made.graph).stages["schedule"]
    again = kgraph.ir.parse(str(schedule))
    arrays = made.arrays({"B": 5})
    expected = kgraph.codegen.run_graph(made.graph, arrays, "cpu")
    got = kgraph.codegen.run_graph(again, arrays, "cpu")
    np.testing.assert_array_equal(expected[0], got[0])
    for name, array in expected.updates.items():
        np.testing.assert_array_equal(array, got.updates[name])


def test_compile_leaves_the_graph_alone() -> None:
    made = MODELS["lstm_train"]()
    text = str(made.graph)
    kgraph.codegen.compile(made.graph)
    assert str(made.graph) == text


def test_without_optimisation() -> None:
    """`optimize=False` still schedules whatever needs no decomposition."""
    s = Sheet("plain")
    s.out("y", s.b.tanh(s.b.mul(s.input("f32[B, 3]"), 1.0)), "function")
    program = kgraph.codegen.compile(s.graph, options=kgraph.codegen.CompileOptions(optimize=False))
    assert len(program.stages["optimized"].nodes) == len(s.graph.nodes)


def test_integer_product_names_the_op() -> None:
    graph = Graph("integers")
    b = Builder(graph)
    x = b.input("x", TensorType("i32", (B, 3)))
    graph.outputs = [b.matmul(x, x, transpose_b=True)]
    with pytest.raises(kgraph.errors.UnsupportedError, match="matmul of i32"):
        kgraph.codegen.compile(graph)
