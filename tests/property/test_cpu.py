"""Random small graphs: the CPU target gives what the interpreter gives, and its schedule is a graph like any other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kgraph.codegen
from kgraph.codegen import get_num_threads, set_num_threads
from kgraph.codegen.memory import plan_memory
from kgraph.codegen.program import Program
from kgraph.ir import Builder, Dim, Graph, TensorType, parse, verify
from kgraph.ir.interpreter import interpret
from kgraph.ir.types import is_float
from kgraph.ir.verifier import verify_graph
from tests.codegen.guarding import check_guarded, run
from tests.codegen.overlaps import check_plan
from tests.property.test_passes import Drawing, arrays

B = Dim.symbol("B")
SIZES = (1, 5)


class KernelDrawing(Drawing):
    """The grammar of the pass tests, with the ops that have kernels of their own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.values.append(self.b.input("m", TensorType("f32", (B, 4))))
        self.ids = self.b.cast(self.b.minimum(self.b.abs(self.values[0]), 2.0), dtype="i32")

    def gather(self) -> None:
        x = self.pick(rank=1)
        if x is not None and isinstance(x.shape[0], int) and x.shape[0] >= 3 and len(self.ids.shape) < 3:
            self.add(self.b.gather(x, self.ids))

    def scatter(self) -> None:
        x = self.pick(rank=2)
        if x is not None:
            ids = self.b.cast(self.b.iota(shape=x.shape[:1], axis=0), dtype="i32")
            self.add(self.b.scatter_add(self.b.minimum(ids, 2), x, rows=4))

    def join(self) -> None:
        """Pieces that are computed and have different sizes."""
        x = self.pick(rank=1)
        if x is None:
            return
        axis = self.draw(st.integers(0, len(x.shape) - 1))
        fitting = [
            v
            for v in self.values
            if v.dtype == x.dtype
            and len(v.shape) == len(x.shape)
            and all(d == e for k, (d, e) in enumerate(zip(v.shape, x.shape)) if k != axis)
        ]
        parts = self.draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3))
        self.add(self.b.concat(x, *parts, axis=axis))

    def window(self) -> None:
        """Slices with steps, padding with gaps and cropping."""
        x = self.pick(rank=1)
        if x is None:
            return
        starts, limits, strides, low, high, interior = [], [], [], [], [], []
        for dim in x.shape:
            known = isinstance(dim, int) and dim > 1
            starts.append(self.draw(st.integers(0, 1)) if known else 0)
            limits.append(dim)
            strides.append(self.draw(st.integers(1, 2)) if known else 1)
            low.append(self.draw(st.integers(-1 if known else 0, 2)))
            high.append(self.draw(st.integers(0, 2)))
            interior.append(self.draw(st.integers(0, 1)))
        self.add(self.b.slice(x, starts=tuple(starts), limits=tuple(limits), strides=tuple(strides)))
        self.add(self.b.pad(x, 0.5, low=tuple(low), high=tuple(high), interior=tuple(interior)))

    def running(self) -> None:
        x = self.pick(rank=1)
        if x is not None:
            axis = self.draw(st.integers(-1, len(x.shape) - 1))
            self.add(self.b.cumsum(x, axis=axis, reverse=self.draw(st.booleans()), exclusive=self.draw(st.booleans())))

    def position(self) -> None:
        x = self.pick(rank=1)
        if x is not None:
            op = self.draw(st.sampled_from(["argmax", "argmin"]))
            # Quarters tie: a copy that is no longer a multiple of rounding errors decides nothing.
            self.add(
                self.b.cast(
                    self.b.op(op, self.b.floor(x), axis=self.draw(st.integers(0, len(x.shape) - 1))), dtype="f32"
                )
            )

    def product(self) -> None:
        x = self.pick(rank=2)
        if x is None:
            return
        transpose_a, transpose_b = self.draw(st.booleans()), self.draw(st.booleans())
        inner = x.shape[-2 if transpose_a else -1]
        fitting = [
            v
            for v in self.values
            if v.dtype == x.dtype
            and len(v.shape) == len(x.shape)
            and v.shape[:-2] == x.shape[:-2]
            and v.shape[-1 if transpose_b else -2] == inner
        ]
        if fitting:
            y = self.draw(st.sampled_from(fitting))
            # Scaled down: products of products must not leave the range in which rounding is comparable.
            self.add(self.b.mul(self.b.matmul(x, y, transpose_a=transpose_a, transpose_b=transpose_b), 0.125))

    def recurrence(self) -> None:
        x = self.pick(rank=2)
        if x is None:
            return
        axis = self.draw(st.integers(0, 1))
        rest = (*x.shape[:axis], *x.shape[axis + 1 :])
        body = Graph("body")
        type = TensorType("f32", rest)
        slow, fast, item, rate = (body.add_input(name, type) for name in ("slow", "fast", "item", "rate"))
        inner = Builder(body)
        new = inner.tanh(inner.add(inner.mul(fast, inner.sigmoid(rate)), item))
        other = self.draw(st.sampled_from([fast, inner.add(slow, new), inner.mul(inner.tanh(slow), rate)]))
        pool = [new, slow, inner.add(new, item), item, inner.mul(rate, new)]
        body.outputs = [other, new, self.draw(st.sampled_from(pool))]
        body.remove_dead()
        init = self.b.broadcast_to(self.draw(st.sampled_from([0.0, 0.5])), shape=rest)
        invariant = self.b.sin(self.b.sum(x, axes=(axis,)))
        attrs = {"inits": 2, "sequences": 1, "axis": axis, "length": x.shape[axis], "reverse": self.draw(st.booleans())}
        results = self.b.node("scan", [init, invariant, x, invariant], attrs, [body]).results
        self.add(*results, self.b.add(results[0], invariant))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    drawing = KernelDrawing(draw)
    steps = [
        drawing.unary, drawing.binary, drawing.binary, drawing.select, drawing.reduce, drawing.reduce, drawing.softmax,
        drawing.transpose, drawing.reshape, drawing.broadcast, drawing.pieces, drawing.cut, drawing.matmul,
        drawing.gather, drawing.scatter, drawing.join, drawing.window, drawing.running, drawing.position,
        drawing.product, drawing.recurrence, drawing.counted,
    ]  # fmt: skip
    for _ in range(draw(st.integers(3, 16))):
        draw(st.sampled_from(steps))()
    graph = drawing.graph
    graph.declare_symbols((B,))
    # What was made last is always read, or most of what is drawn would be dead.
    graph.outputs = [*drawing.values[-2:], *draw(st.lists(st.sampled_from(drawing.values), max_size=3))]
    fitting = [v for v in drawing.values if v.type == graph.params[0].type]
    graph.updates = [(graph.params[0], draw(st.sampled_from(fitting)))]
    graph.remove_dead()
    return graph


def assert_close(expected: list[np.ndarray], got: list[np.ndarray]) -> None:
    for a, b in zip(expected, got, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if is_float(str(a.dtype).replace("float", "f")):
            # Long chains on quarters: a few ulp each, amplified by what follows (as in the tests of the passes).
            scale = np.abs(a[np.isfinite(a)]).max(initial=1.0)
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * scale)
        else:
            np.testing.assert_array_equal(a, b)


def run_reference(graph: Graph, size: int) -> list[np.ndarray]:
    values = arrays(graph, size)
    count = len(graph.inputs)
    params = {value.name: array for value, array in zip(graph.params, values[count:])}
    result = interpret(graph, values[:count], params, {"B": size})
    return [*result.outputs, *result.updates.values()]


def run_program(program: Program, size: int) -> list[np.ndarray]:
    graph = program.graph
    values = arrays(graph, size)
    count = len(graph.inputs)
    params = {value.name: array for value, array in zip(graph.params, values[count:])}
    exe = program.bind({"B": size}, params)
    for value, array in zip(graph.inputs, values):
        exe.input(value.name)[...] = array
    exe.run()
    outputs = [np.array(exe.output(k)) for k in range(len(graph.outputs))]
    return [*outputs, *(params[param.name] for param, _ in graph.updates)]


COMMON = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def _threads_as_before() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


def check_threads(program: Program) -> None:
    """The same bits on 1, 2, 3 and 8 threads, and between red zones, with enough rows for several tasks."""
    volumes = [value.type.volume for node in program.stages["schedule"].nodes for value in node.results]
    size = 9000
    while any((v.evaluate({"B": size}) if isinstance(v, Dim) else v) > 500_000 for v in volumes):
        size = size * 2 // 3  # a product of columns by rows has B x B elements
    values = arrays(program.graph, size)
    named = {value.name: array for value, array in zip((*program.graph.inputs, *program.graph.params), values)}
    set_num_threads(1)
    alone = [array.tobytes() for array in run(program, {"B": size}, named)]
    for threads in (2, 3, 8):
        set_num_threads(threads)
        assert [array.tobytes() for array in run(program, {"B": size}, named)] == alone
    check_guarded(program, {"B": size}, named)


@pytest.mark.usefixtures("_threads_as_before")
@given(graph=graphs())
@COMMON
def test_cpu_gives_what_the_interpreter_gives(graph: Graph) -> None:
    verify(graph)
    program = kgraph.codegen.compile(graph)
    check_plan(program.stages["schedule"], {"B": 5})
    for size in SIZES:
        assert_close(run_reference(graph, size), run_program(program, size))
    check_threads(program)


@given(graph=graphs())
@COMMON
def test_schedule_is_a_graph(graph: Graph) -> None:
    from kgraph.codegen.schedule import schedule_graph
    from kgraph.ir.passes import OPTIMIZE, run_passes

    optimized = graph.copy()
    run_passes(optimized, OPTIMIZE)
    scheduled = schedule_graph(optimized).graph
    verify_graph(scheduled, "schedule")
    text = str(scheduled)
    again = parse(text)
    assert str(again) == text
    plan_memory(again)
    for size in SIZES:
        assert_close(run_reference(optimized, size), run_reference(again, size))
