"""Whole programs on the CPU target against the interpreter, over several batch sizes; runs and errors of a program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import kgraph.codegen
from kgraph.codegen.cpu.frontend import FAST_MATH
from kgraph.codegen.cpu.target import FLOATS
from kgraph.ir import Builder, Graph, TensorType, Value
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.autodiff import append_gradients
from tests.ir.evaluating import B
from tests.numeric.models import MODELS
from tests.numeric.sheet import Sheet, integers, scan, values


@pytest.mark.parametrize("name", MODELS)
def test_model_against_interpreter(name: str) -> None:
    MODELS[name]().check(others={"T": 5})


@pytest.mark.parametrize(
    "name", ["mlp_train", "batch_norm_train", "lstm_train", "conv_train", "pieces", "updates_in_place"]
)
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
    assert len(set(losses)) == 4, "each step sees other rows and other weights"
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


def test_denormals_are_flushed_in_a_run_and_come_back_after_it() -> None:
    """Also when it ends with an error; the header of the schedule says what holds for floats."""
    s = Sheet("small")
    x, table, ids = s.input("f32[B]"), s.param("f32[3, 2]"), s.input("i32[B]", integers(0, 3))
    s.out("scaled", [s.b.mul(x, 0.5), s.b.gather(table, s.b.mul(ids, 1))])
    program = kgraph.codegen.compile(s.graph)
    assert program.stages["schedule"].attrs["floats"] == FLOATS
    assert set(FLOATS) == {*FAST_MATH, "flush_denormals"}
    exe = program.bind({"B": 4}, {table.name: np.ones((3, 2), np.float32)})
    least = np.full(4, np.finfo(np.float32).tiny, np.float32)
    exe.input(x.name)[...] = least
    for bad in (0, 7):
        exe.input(ids.name)[...] = bad
        if bad:
            with pytest.raises(kgraph.errors.DataError):
                exe.run()
        else:
            exe.run()
            assert (exe.output(0) == 0).all()
        assert (least * np.float32(0.5) > 0).all(), "NumPy on this thread still sees them"


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


# -- small programs that once went wrong, or still do -----------------------------------------------------------------
PROGRAMS: dict[str, Callable[[Sheet], None]] = {}

Body = tuple[list[Value], list[Value]]


def program(write: Callable[[Sheet], None]) -> Callable[[Sheet], None]:
    """A program to compare; most of them once failed."""
    PROGRAMS[write.__name__] = write
    return write


@program
def reversed_row_sums(s: Sheet) -> None:
    x = s.input("f32[B, 4]")
    s.out("subtracted", s.b.sub(x, s.b.reverse(s.b.sum(x, axes=(1,), keepdims=True), axes=(0,))), "sum")


@program
def reversed_row_sums_alone(s: Sheet) -> None:
    s.out("y", s.b.tanh(s.b.reverse(s.b.sum(s.input("f32[B, 4]"), axes=(1,)), axes=(0,))), "sum")


@program
def reversed_column_sums(s: Sheet) -> None:
    total = s.b.sum(s.input("f32[B, 4]"), axes=(0,))
    s.out("y", [total, s.b.reverse(total, axes=(0,))], "sum")


@program
def first_row_sum(s: Sheet) -> None:
    total = s.b.sum(s.input("f32[B, 4]"), axes=(1,), keepdims=True)
    s.out("y", s.b.sub(s.b.slice(total, starts=(0, 0), limits=(1, 1)), total), "sum")


@program
def row_sums_along_columns(s: Sheet) -> None:
    x = s.input("f32[4, 4]")
    s.out("y", s.b.tanh(s.b.broadcast_to(s.b.sum(x, axes=(1,)), shape=(4, 4))), "sum")


@program
def gathered_row_sums(s: Sheet) -> None:
    total = s.b.sum(s.input("f32[3, 4]"), axes=(1,), keepdims=True)
    s.out("y", s.b.gather(s.b.minimum(total, 1.0), s.input("i32[3]", integers(0, 3))), "sum")


@program
def row_sums_of_nothing(s: Sheet) -> None:
    x = s.input("f32[0, 3]")
    s.out("y", s.b.reshape(s.b.mul(s.b.sum(x, axes=(1,)), 2.0), shape=(0, 3)))


@program
def column_products_of_nothing(s: Sheet) -> None:
    x = s.input("f32[0, 3]")
    s.out("y", [s.b.prod(x, axes=(0,)), s.b.add(s.b.sum(x, axes=(0,)), 1.0)])


@program
def stacked_products(s: Sheet) -> None:
    x, y = s.input("f32[B, 2, 3, 3]"), s.input("f32[B, 2, 3, 3]")
    s.out("y", s.b.sum(s.b.concat(s.b.matmul(x, y), s.b.matmul(y, x), axis=1), axes=(3,)), "sum")


@program
def product_of_a_piece(s: Sheet) -> None:
    x, y = s.b.tanh(s.input("f32[B, 2, 3, 3]")), s.input("f32[B, 2, 3, 3]")
    s.out("y", [s.b.tanh(s.b.concat(x, y, axis=1)), s.b.matmul(x, y)], "sum")


@program
def products_in_a_loop_over_axis_1(s: Sheet) -> None:
    def body(b: Builder, state: Value, item: Value) -> Body:
        return [b.tanh(b.matmul(state, item))], [b.matmul(item, item, transpose_a=True)]

    s.out("y", scan(s.b, [s.input("f32[B, 2, 3, 3]"), s.input("f32[B, 4, 2, 3, 3]")], body, 1, 1, axis=1), "model")


@program
def reshaped_output_of_a_loop(s: Sheet) -> None:
    def body(b: Builder, state: Value, item: Value) -> Body:
        out = b.tanh(item)
        return [b.add(state, b.sum(b.reshape(out, shape=(B, 2, 2)), axes=(2,)))], [out]

    s.out("y", scan(s.b, [s.input("f32[B, 2]"), s.input("f32[B, 3, 4]")], body, 1, 1, axis=1), "model")


@program
def scattered_output_of_a_loop(s: Sheet) -> None:
    def body(b: Builder, state: Value, item: Value, ids: Value) -> Body:
        out = b.tanh(item)
        return [b.add(state, b.scatter_add(ids, out, rows=3))], [out]

    operands = [s.input("f32[3, 4]"), s.input("f32[B, 3, 4]"), s.input("i32[B]", integers(0, 3))]
    s.out("y", scan(s.b, operands, body, 1, 1, axis=1), "model")


@program
def pooled_output_of_a_loop(s: Sheet) -> None:
    pool = {"window": (2, 2), "strides": (2, 2)}

    def body(b: Builder, item: Value) -> Body:
        out = b.tanh(item)
        pooled = b.max_pool(out, **pool)
        return [], [out, b.max_pool_grad(out, pooled, pooled, **pool)]

    s.out("y", scan(s.b, [s.input("f32[B, 3, 4, 4, 2]")], body, 0, 1, axis=1), "model")


def _inner(b: Builder, state: Value, item: Value) -> Body:
    return [b.tanh(b.add(state, item))], [b.add(state, item)]


@program
def inner_loop_from_a_slice(s: Sheet) -> None:
    def body(b: Builder, state: Value, rows: Value, start: Value) -> Body:
        last, steps = scan(b, [start, rows], _inner, 1, 1, axis=1)
        return [b.add(last, state)], [steps]

    s.out(
        "y", scan(s.b, [s.input("f32[B, 2]"), s.input("f32[3, B, 4, 2]"), s.input("f32[3, B, 2]")], body, 1, 2), "model"
    )


@program
def inner_loop_from_an_output(s: Sheet) -> None:
    def body(b: Builder, state: Value, rows: Value, item: Value) -> Body:
        start = b.tanh(item)
        last, _ = scan(b, [start, rows], _inner, 1, 1, axis=1)
        return [b.add(last, state)], [start]

    operands = [s.input("f32[B, 2]"), s.input("f32[B, 3, 4, 2]"), s.input("f32[B, 3, 2]")]
    s.out("y", scan(s.b, operands, body, 1, 2, axis=1), "model")


@program
def pooling_gradient_of_nan(s: Sheet) -> None:
    x = s.input("f32[B, 2, 4, 1]", values(np.nan, 1.0, 2.0, 3.0, 4.0))
    pool = {"window": (2, 2), "strides": (2, 2)}
    y = s.b.max_pool(x, **pool)
    s.out("y", s.b.max_pool_grad(x, y, s.b.broadcast_to(1.0, shape=y.shape), **pool))


@program
def remainder_of_infinity(s: Sheet) -> None:
    x = s.input("f32[B, 4]", values(7.0, -7.0, 2.5))
    y = s.input("f32[4]", values(np.inf, -np.inf, 3.0, -3.0))
    s.out("mod", s.b.mod(x, y), "arithmetic")


@program
def quotient_by_infinity(s: Sheet) -> None:
    x, y = s.input("f32[B, 2]", values(7.0, -7.0, 2.5)), s.input("f32[2]", values(np.inf, -np.inf))
    s.out("floor_div", s.b.floor_div(x, y))


@program
def invariants_of_a_loop(s: Sheet) -> None:
    """What a loop reads in every turn is not free memory in the first."""
    b = s.b

    def body(i: Builder, state: Value, item: Value, rate: Value, kernel: Value) -> Body:
        mixed = i.add(i.add(i.matmul(i.tanh(rate), kernel), item), state)
        new = i.matmul(mixed, kernel)
        return [new], [i.add(new, item)]

    operands = [
        b.tanh(s.input("f32[B, 3]")),
        b.tanh(s.input("f32[4, B, 3]")),
        b.exp(s.input("f32[B, 3]")),
        s.param("f32[3, 3]"),
    ]
    s.out("y", scan(b, operands, body, 1, 1), "model")


@program
def swapped_states(s: Sheet) -> None:
    def body(b: Builder, first: Value, second: Value, item: Value) -> Body:
        return [second, b.add(first, item)], [b.mul(first, second)]

    same = s.input("f32[B, 2]")
    s.out("y", scan(s.b, [same, s.input("f32[B, 2]"), s.input("f32[3, B, 2]")], body, 2, 1), "model")
    s.out("from one value", scan(s.b, [same, same, s.input("f32[3, B, 2]")], body, 2, 1), "model")


@program
def state_that_is_also_an_output(s: Sheet) -> None:
    def body(b: Builder, state: Value, item: Value, rate: Value) -> Body:
        return [rate], [rate, state]

    s.out("y", scan(s.b, [s.input("f32[B, 2]"), s.input("f32[3, B, 2]"), s.input("f32[B, 2]")], body, 1, 1))


@program
def moved_state_that_is_also_an_output(s: Sheet) -> None:
    def body(b: Builder, state: Value, item: Value) -> Body:
        turned = b.transpose(state, perm=(1, 0))
        return [turned], [turned, b.add(item, 1.0)]

    s.out("y", scan(s.b, [s.input("f32[3, 3]"), s.input("f32[3, B, 2]")], body, 1, 1), "arithmetic")


@program
def inner_state_that_is_also_an_output(s: Sheet) -> None:
    def body(b: Builder, state: Value, rows: Value) -> Body:
        last, _ = scan(b, [state, rows], _inner, 1, 1, axis=1)
        return [last], [last]

    s.out("y", scan(s.b, [s.input("f32[B, 2]"), s.input("f32[B, 3, 4, 2]")], body, 1, 1, axis=1), "model")


@program
def pieces_of_two_concatenations(s: Sheet) -> None:
    x = s.input("f32[B, 4]")
    shared = s.b.tanh(x)
    for first in (s.b.exp(x), s.b.sin(x)):
        s.out("y", s.b.mul(s.b.concat(first, shared, axis=1), 2.0), "function")
    s.out("twice", s.b.mul(s.b.concat(shared, shared, axis=0), 2.0), "function")


@program
def positions_of_nan(s: Sheet) -> None:
    """The first NaN is the greatest and the least."""
    x = s.input("f32[B, 6]", values(np.nan, np.inf, -np.inf, 0.0, 1.0, 2.0, 3.0))
    for op in ("argmax", "argmin"):
        for axis in (0, 1):
            s.out(f"{op} {axis}", s.b.op(op, x, axis=axis))


@program
def small_unsigned_integers(s: Sheet) -> None:
    for dtype, top in (("u8", 256), ("u32", 1 << 32)):
        x = s.input(f"{dtype}[B, 3]", integers(0, top))
        for op in ("add", "sub", "mul", "div", "mod", "maximum", "gt"):
            s.out(f"{op} {dtype}", s.b.op(op, x, 7))
        s.out(f"fold {dtype}", [s.b.sum(x, axes=(1,)), s.b.min(x, axes=(1,)), s.b.max(x, axes=(0,))])
        s.out(f"to float {dtype}", s.b.cast(x, dtype="f64"))


@program
def buffer_read_under_two_shapes(s: Sheet) -> None:
    """The sums die in the last kernel, which also reads them regrouped: it must not write over them."""
    sums = s.b.cumsum(s.input("f32[4, 4]"), axis=1)
    turned = s.b.transpose(s.b.reshape(sums, shape=(8, 2)), perm=(1, 0))
    mixed = s.b.add(s.b.tanh(sums), s.b.slice(turned, starts=(0, 0), limits=(1, 4)))
    s.out("y", s.b.matmul(mixed, s.param("f32[4, 4]")), "sum")


@program
def more_buffers_than_alias_scopes(s: Sheet) -> None:
    total = s.input("f32[B, 3]")
    for _ in range(80):
        total = s.b.add(total, s.input("f32[B, 3]"))
    s.out("y", total, "sum")


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_program_against_interpreter(name: str) -> None:
    s = Sheet(name)
    PROGRAMS[name](s)
    s.check(sizes=(1, 5))


def test_gradient_of_nested_loops() -> None:
    s = Sheet("nested")

    def body(b: Builder, state: Value, rows: Value) -> Body:
        last, steps = scan(b, [state, rows], _inner, 1, 1, axis=1, reverse=True)
        return [last], [steps]

    operands = [s.input("f32[B, 2]"), s.input("f32[3, B, 4, 2]")]
    results = scan(s.b, operands, body, 1, 1)
    grads = append_gradients(s.graph, s.b.sum(s.b.tanh(results[1]), axes=(0, 1, 2, 3)), operands)
    s.out("gradients", [grad for grad in grads if grad is not None], "model")
    s.check(sizes=(1, 5))


def test_reference_target_runs_a_schedule() -> None:
    made = MODELS["mlp_train"]()
    schedule = kgraph.codegen.compile(made.graph).stages["schedule"]
    kgraph.codegen.run_graph(schedule, made.arrays({"B": 2}), "reference")


def test_half_precision_is_refused_by_name() -> None:
    s = Sheet("half")
    s.out("y", s.b.cast(s.b.cast(s.input("f32[B]"), dtype="f16"), dtype="f32"))
    with pytest.raises(kgraph.errors.UnsupportedError, match="f16"):
        kgraph.codegen.compile(s.graph)
