"""Loops cut by rows: which may be, that they give what the interpreter gives, and the same bits always."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kgraph.codegen
from kgraph.codegen.cpu import pool as pools
from kgraph.codegen.cpu.driver import Driver, ScheduleBuilder, load_driver
from kgraph.codegen.cpu.row_loops import RowLoop, rows_per_block
from kgraph.codegen.loop_rows import independent_rows
from kgraph.codegen.memory import plan_memory
from kgraph.ir import Builder, Graph, Value
from kgraph.ir.interpreter import interpret
from tests.codegen.cpu.test_driver import KERNELS, NativeModule, emit_object, load_object, table
from tests.ir.evaluating import B
from tests.numeric.models import MODELS, gru_step, lstm_step
from tests.numeric.sheet import Sheet, integers, scan

Body = tuple[list[Value], list[Value]]
BATCHES = (1, 2, 7, 8, 9, 16, 31, 33, 150)


@pytest.fixture(autouse=True)
def default_threads() -> Iterator[None]:
    before = pools.get_num_threads()
    yield
    pools.set_num_threads(before)


def loops_of(graph: Graph) -> list[Any]:
    return [node for node in kgraph.codegen.compile(graph).stages["schedule"].nodes if node.op.name == "scan"]


# ----------------------------------------------------------------------------------------------------------------------
# Which loops may be cut


@pytest.mark.parametrize("name", ["lstm_train", "lstm", "gru_train"])
def test_recurrent_layers_are_cut(name: str) -> None:
    found = loops_of(MODELS[name]().graph)
    assert found and all(independent_rows(loop) == B for loop in found)


def _step(body: Any, *invariants: str, state: str = "f32[B, 4]") -> Any:
    s = Sheet("loop")
    operands = [s.input(state), s.input("f32[B, 5, 4]"), *(s.input(kind) for kind in invariants)]

    def wrapped(b: Builder, h: Value, x: Value, *rest: Value) -> Body:
        return [body(b, h, x, *rest)], []

    s.out("y", scan(s.b, operands, wrapped, 1, 1, axis=1), "model")
    s.check(sizes=(1, 7, 33))
    (loop,) = loops_of(s.graph)
    return independent_rows(loop)


def test_rows_of_weights_and_sequences_may_be_read_in_any_way() -> None:
    assert _step(lambda b, h, x, w: b.tanh(b.add(b.matmul(h, w), b.reverse(x, axes=(0,)))), "f32[4, 4]") == B
    assert _step(lambda b, h, x, w: b.tanh(b.add(h, b.matmul(w, x))), "f32[B, B]") == B
    assert _step(lambda b, h, x: b.softmax(b.add(h, x), axis=1)) == B
    assert _step(lambda b, h, x: b.reverse(b.add(h, x), axes=(1,))) == B
    # Rows are those of the state, whatever they are of.
    assert _step(lambda b, h, x: b.tanh(b.add(b.matmul(x, x, transpose_a=True), h)), state="f32[4, 4]") == 4

    def shifted(b: Builder, h: Value, x: Value) -> Value:
        pieces = b.slice(h, starts=(0, 1), limits=(B, 4)), b.sum(x, axes=(1,), keepdims=True)
        joined: Value = b.concat(*pieces, axis=1)
        return joined

    assert _step(shifted) == B


def test_rows_that_meet_keep_a_loop_whole() -> None:
    assert _step(lambda b, h, x: b.tanh(b.add(b.reverse(h, axes=(0,)), x))) is None
    assert _step(lambda b, h, x: b.tanh(b.sub(x, b.sum(h, axes=(0,), keepdims=True)))) is None
    assert _step(lambda b, h, x: b.tanh(b.matmul(b.matmul(h, h, transpose_b=True), x))) is None
    assert _step(lambda b, h, x, w: b.tanh(b.add(b.matmul(w, h), x)), "f32[B, B]") is None
    assert _step(lambda b, h, x: b.add(h, b.sum(x, axes=(0, 1))), state="f32[]") is None


def test_an_operand_of_smaller_rank_has_its_rows_elsewhere() -> None:
    """A state b[4] added to x[4, 4] goes along axis 1."""
    s = Sheet("ranks")

    def body(b: Builder, h: Value, x: Value) -> Body:
        return [b.sum(b.add(x, h), axes=(1,))], []

    s.out("y", scan(s.b, [s.input("f32[4]"), s.input("f32[4, 5, 4]")], body, 1, 1, axis=1), "model")
    (loop,) = loops_of(s.graph)
    assert independent_rows(loop) is None
    s.check(sizes=(1,))


def test_values_of_a_turn_share_no_memory() -> None:
    """One row may be at the end of a turn while another is at its start."""
    schedule = kgraph.codegen.compile(MODELS["gru_train"]().graph).stages["schedule"]
    plan = plan_memory(schedule)
    assert plan.row_loops
    for loop in plan.row_loops:
        values = [value for node in loop.regions[0].nodes for value in node.results]
        buffers = {plan.places[value].buffer for value in values if plan.places[value].buffer.kind == "arena"}
        assert max(buffer.first for buffer in buffers) <= min(buffer.last for buffer in buffers)


@given(st.integers(1, 5000), st.integers(0, 1 << 26))
def test_blocks_cover_the_rows(rows: int, weights: int) -> None:
    block = rows_per_block(rows, weights)
    assert 1 <= block <= rows
    assert block >= min(rows, 8) and -(-rows // block) <= 16


# ----------------------------------------------------------------------------------------------------------------------
# What comes out


def _masked_step(b: Builder, h: Value, z: Value, mask: Value, u: Value, v: Value) -> Body:
    """A GRU that keeps its state where the mask says so, normalised over its units."""
    (new,), _ = gru_step(b, h, z, u, v)
    new = b.div(new, b.add(b.sum(b.mul(new, new), axes=(1,), keepdims=True), 1.0))
    kept = b.select(b.broadcast_to(b.reshape(mask, shape=(B, 1)), shape=new.shape), new, h)
    return [kept], [kept]


@st.composite
def recurrences(draw: st.DrawFn) -> Sheet:
    s = Sheet("recurrence")
    b = s.b
    units, length, axis = draw(st.sampled_from([1, 3, 16, 40])), draw(st.integers(1, 5)), draw(st.sampled_from([0, 1]))
    kind, dtype = draw(st.sampled_from(["lstm", "gru", "masked"])), draw(st.sampled_from(["f32", "f64"]))
    shape = f"B, {length}" if axis else f"{length}, B"
    gates = 4 if kind == "lstm" else 3
    zero = b.broadcast_to(s.input(f"{dtype}[1]"), shape=(B, units))
    sequences = [s.input(f"{dtype}[{shape}, {gates * units}]")]
    options = {"axis": axis, "reverse": draw(st.booleans())}
    if kind == "lstm":
        found = scan(b, [zero, zero, *sequences, s.param(f"{dtype}[{units}, {4 * units}]")], lstm_step, 2, 1, **options)
    else:
        weights = [s.param(f"{dtype}[{units}, {2 * units}]"), s.param(f"{dtype}[{units}, {units}]")]
        step: Any = gru_step
        if kind == "masked":
            sequences.append(s.input(f"bool[{shape}]", integers(0, 2)))
            step = _masked_step
        found = scan(b, [zero, *sequences, *weights], step, 1, len(sequences), **options)
    s.out("states and outputs", list(found), "model")
    return s


@given(recurrences(), st.lists(st.sampled_from(BATCHES), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_recurrences_against_the_interpreter(sheet: Sheet, sizes: list[int]) -> None:
    sheet.check(sizes=sizes)


@pytest.mark.parametrize("name", ["lstm_train", "lstm", "gru_train"])
def test_any_number_of_threads_gives_the_same_bits(name: str) -> None:
    made = MODELS[name]()
    program = kgraph.codegen.compile(made.graph)
    arrays = made.arrays({"B": 150})
    results = []
    for threads in (1, 2, 3, 8):
        pools.set_num_threads(threads)
        params = {value.name: arrays[value.name].copy() for value in made.graph.params}
        exe: Any = program.bind({"B": 150}, params)
        assert exe._table.row_blocks
        for value in made.graph.inputs:
            exe.input(value.name)[...] = arrays[value.name]
        exe.run()
        results.append([*(exe.output(k).copy() for k in range(len(made.graph.outputs))), *params.values()])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_blocks_run_one_after_another_give_the_same() -> None:
    """The hardest order: a thread ends all turns of one block before the next block begins."""
    made = MODELS["gru_train"]()
    program: Any = kgraph.codegen.compile(made.graph)
    arrays = made.arrays({"B": 64})
    params = {value.name: arrays[value.name].copy() for value in made.graph.params}
    inputs = {value.name: arrays[value.name] for value in made.graph.inputs}
    expected = interpret(made.graph, inputs, params, {"B": 64})
    pools.set_num_threads(2)  # two shares of several blocks, taken one by one
    exe = program.bind({"B": 64}, params)
    for name, array in inputs.items():
        exe.input(name)[...] = array
    exe.run()
    np.testing.assert_allclose(exe.output(0), expected.outputs[0], rtol=1e-4, atol=1e-5)


def test_large_weights_are_not_read_once_for_each_block() -> None:
    s = Sheet("wide")
    zero = s.b.broadcast_to(0.0, shape=(B, 1024))
    operands = [zero, zero, s.input("f32[B, 2, 4096]"), s.param("f32[1024, 4096]")]
    s.out("y", list(scan(s.b, operands, lstm_step, 2, 1, axis=1)), "model")
    params = {value.name: np.zeros((1024, 4096), np.float32) for value in s.graph.params}
    exe: Any = kgraph.codegen.compile(s.graph).bind({"B": 32}, params)
    assert not exe._table.row_blocks


# ----------------------------------------------------------------------------------------------------------------------
# Times


def test_times_of_the_kernels_are_those_of_the_loop() -> None:
    made = MODELS["lstm_train"]()
    program: Any = kgraph.codegen.compile(made.graph)
    arrays = made.arrays({"B": 64})
    exe = program.bind({"B": 64}, {value.name: arrays[value.name].copy() for value in made.graph.params})
    clock = exe.time_kernels()
    for _ in range(3):
        exe.run()
    times, timings = clock.kernels(), exe._table.schedule.timings
    for entry, parts in exe._table.parts.items():
        nodes = [exe._table.nodes[part] for part in parts]
        assert all(times[node].calls == 3 * 5 for node in nodes)
        total = sum(times[node].ns for node in nodes)
        assert 0 < total <= timings[entry, 0] <= total + len(nodes)
    launches = {launch.node: launch for launch in exe.launches()}
    assert all(launches[node].tasks == blocks for node, (_, blocks) in exe._table.row_blocks.items())
    clock.stop()


# ----------------------------------------------------------------------------------------------------------------------
# The driver's entry


@pytest.fixture(scope="module")
def kernels() -> NativeModule:
    return load_object(emit_object(KERNELS))


@pytest.fixture(scope="module")
def driver() -> Driver:
    return load_driver()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("turns", [0, 1, 4])
def test_every_block_walks_all_turns(driver: Driver, kernels: NativeModule, threads: int, turns: int) -> None:
    """Two kernels: total += x[turn], then seen[turn] += total; a state is carried over in blocks."""
    pools.set_num_threads(threads)
    rows = 40
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (max(turns, 1), rows)).astype(float)
    total, seen, kept = np.zeros(rows), np.zeros_like(x), np.full(rows, -1.0)
    first, second = table(x, total), table(total, seen)
    builder = ScheduleBuilder()
    loop = RowLoop(turns, rows)
    entries = [builder.part(), builder.part()]
    at = loop.call(kernels.address("test_add"), first, 0, entries[0])
    loop.move(at, x.strides[0])
    at = loop.call(kernels.address("test_add"), second, 0, entries[1])
    loop.move(at + 1, seen.strides[0])
    loop.carry(kept.ctypes.data, total.ctypes.data, 8, 8 * rows)
    loop.close()
    builder.rows(loop, parallel=True)
    schedule = builder.finish(scratch=loop.skip)
    timings = schedule.time_entries()
    driver.run(schedule)
    if turns:
        np.testing.assert_array_equal(seen, np.cumsum(x, axis=0))
        np.testing.assert_array_equal(kept, total)
        np.testing.assert_array_equal(total, x.sum(axis=0))
    else:
        assert (kept == -1).all() and not seen.any()
    assert timings[entries, 1].tolist() == [turns, turns]


def test_a_loop_around_moves_the_start(driver: Driver, kernels: NativeModule) -> None:
    x, total = np.arange(24.0).reshape(3, 2, 4), np.zeros(4)
    pointers = table(x, total)
    builder = ScheduleBuilder()
    outer = builder.begin_loop(3)
    loop = RowLoop(2, 4)
    at = loop.call(kernels.address("test_add"), pointers, 0, builder.part())
    loop.close()
    loop.move(at, x.strides[1])
    outer.slot(loop.start.ctypes.data, x.ctypes.data, x.strides[0])
    builder.rows(loop)
    builder.end_loop()
    driver.run(builder.finish(scratch=loop.skip), steps=2)
    np.testing.assert_array_equal(total, 2 * x.sum(axis=(0, 1)))
