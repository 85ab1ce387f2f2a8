"""Random small graphs: every pass keeps the numbers and the rules, and the text form reads back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgraph.ir import Builder, Dim, Graph, TensorType, Value, parse, verify
from kgraph.ir.dims import evaluate_shape
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes import BEFORE_GRADIENTS, OPTIMIZE, PASSES, PassContext, run_passes
from kgraph.ir.passes.autodiff import append_gradients
from kgraph.ir.types import is_float, numpy_dtype

B = Dim.symbol("B")
UNARY = ["neg", "abs", "tanh", "sigmoid", "relu", "softplus", "stop_gradient", "floor", "sign"]
BINARY = ["add", "sub", "mul", "maximum", "minimum", "div"]
COMPARE = ["gt", "lt", "eq", "ne"]
NUMBERS = [0.0, 1.0, -1.0, 0.5, 2.0, 3.0, 4.0]
SHAPES = [(), (3,), (B, 3), (B, 1), (1, 3), (B, 2, 3), (2, 3), (3, 2)]


@dataclass
class Drawing:
    """Draws nodes on the values there are; floats are kept small, so that rounding stays comparable."""

    draw: st.DrawFn
    graph: Graph = field(default_factory=lambda: Graph("random"))

    def __post_init__(self) -> None:
        self.b = Builder(self.graph)
        self.values: list[Value] = []
        for k in range(self.draw(st.integers(1, 3))):
            shape = self.draw(st.sampled_from(SHAPES))
            self.values.append(self.b.input(f"x{k}", TensorType("f32", shape)))
        self.values.append(self.b.param("w", TensorType("f32", (3, 2))))

    def pick(self, dtype: str = "f32", rank: int = 0) -> Value | None:
        fitting = [v for v in self.values if v.dtype == dtype and len(v.shape) >= rank]
        return self.draw(st.sampled_from(fitting)) if fitting else None

    def add(self, *values: Value) -> None:
        self.values += values

    # -- one node each --------------------------------------------------------------------------------------------
    def unary(self) -> None:
        x = self.pick()
        assert x is not None
        self.add(self.b.op(self.draw(st.sampled_from(UNARY)), x))

    def binary(self) -> None:
        x = self.pick()
        assert x is not None
        op = self.draw(st.sampled_from(BINARY))
        number = self.draw(st.sampled_from(NUMBERS))
        kind = self.draw(st.integers(0, 3))
        if kind == 0:
            self.add(self.b.op(op, x, number))
        elif kind == 1:
            self.add(self.b.op(op, number, x))
        else:
            y = self.alike(x)
            self.add(self.b.op(op, x, y))

    def alike(self, x: Value) -> Value:
        """Something that combines with x: of its shape, a repeated number, or a value that broadcasts to it."""
        shape = list(x.shape)
        fitting = [v for v in self.values if v.dtype == x.dtype and self.fits(v, shape)]
        if self.draw(st.booleans()):
            return self.b.broadcast_to(self.draw(st.sampled_from(NUMBERS)), shape=tuple(shape))
        return self.draw(st.sampled_from(fitting))

    @staticmethod
    def fits(value: Value, shape: list[object]) -> bool:
        tail = shape[len(shape) - len(value.shape) :]
        return len(value.shape) <= len(shape) and all(d in (1, s) for d, s in zip(value.shape, tail))

    def power(self) -> None:
        x = self.pick()
        assert x is not None
        self.add(self.b.pow(self.b.abs(x), self.draw(st.sampled_from([0.0, 1.0, 2.0, 3.0, 0.5, 1.5]))))

    def select(self) -> None:
        x = self.pick()
        assert x is not None
        y = self.alike(x)
        cond = self.b.op(self.draw(st.sampled_from(COMPARE)), x, y)
        if self.draw(st.booleans()):
            cond = self.b.logical_not(cond)
        if self.draw(st.booleans()):
            cond = self.b.logical_and(cond, self.draw(st.booleans()))
        self.add(self.b.select(cond, y, x))

    def cast(self) -> None:
        x = self.pick()
        assert x is not None
        wide = self.b.cast(x, dtype=self.draw(st.sampled_from(["f32", "f64"])))
        self.add(self.b.cast(wide, dtype="f32"))

    def reduce(self) -> None:
        x = self.pick(rank=1)
        if x is not None:
            rank = len(x.shape)
            axes = self.draw(st.lists(st.integers(0, rank - 1), unique=True, max_size=rank))
            axes = [axis - rank if self.draw(st.booleans()) else axis for axis in axes]
            op = self.draw(st.sampled_from(["sum", "max", "min"]))
            self.add(self.b.op(op, x, axes=tuple(axes), keepdims=self.draw(st.booleans())))

    def softmax(self) -> None:
        x = self.pick(rank=1)
        if x is not None:
            y = self.b.op("softmax", x, axis=self.draw(st.integers(-1, len(x.shape) - 1)))
            if self.draw(st.booleans()):
                y = self.b.log(self.b.minimum(self.b.maximum(y, 1e-7), 1 - 1e-7))
            self.add(y)

    def transpose(self) -> None:
        x = self.pick()
        assert x is not None
        self.add(self.b.transpose(x, perm=tuple(self.draw(st.permutations(range(len(x.shape)))))))

    def reshape(self) -> None:
        x = self.pick()
        assert x is not None
        shape = list(x.shape)
        kind = self.draw(st.integers(0, 3))
        if kind == 0 and len(shape) >= 2:
            at = self.draw(st.integers(0, len(shape) - 2))
            shape[at : at + 2] = [shape[at] * shape[at + 1]]
        elif kind == 1:
            shape.insert(self.draw(st.integers(0, len(shape))), 1)
        elif kind == 2:
            shape = [dim for dim in shape if dim != 1]
        elif kind == 3:
            for at, dim in enumerate(shape):
                if isinstance(dim, Dim) and dim.divides(6 * B):
                    shape[at : at + 1] = [B, dim // B]
                    break
        self.add(self.b.reshape(x, shape=tuple(shape)))

    def broadcast(self) -> None:
        x = self.pick()
        assert x is not None
        if len(x.shape) < 3:
            shape = [2 if dim == 1 and self.draw(st.booleans()) else dim for dim in x.shape]
            lead = self.draw(st.sampled_from([(), (1,), (B,)]))
            self.add(self.b.broadcast_to(x, shape=(*lead, *shape)))

    def pieces(self) -> None:
        x = self.pick(rank=1)
        if x is None:
            return
        axis = self.draw(st.integers(0, len(x.shape) - 1))
        size = x.shape[axis]
        if not isinstance(size, int) or size < 2 or self.draw(st.booleans()):
            self.add(self.b.concat(*[x] * self.draw(st.integers(1, 2)), axis=axis))
            return
        cut = self.draw(st.integers(1, size - 1))
        parts = self.b.op("split", x, axis=axis, sizes=(cut, size - cut))
        self.add(*parts, self.b.concat(*parts, axis=axis - len(x.shape)))

    def cut(self) -> None:
        x = self.pick(rank=1)
        if x is not None:
            rank = len(x.shape)
            step = self.draw(st.sampled_from([0, 0, 1]))
            self.add(self.b.slice(x, starts=(0,) * rank, limits=tuple(x.shape)))
            self.add(self.b.pad(x, 0.0, low=(step,) * rank, high=(0,) * rank))
            axes = tuple(self.draw(st.lists(st.integers(0, rank - 1), unique=True)))
            self.add(self.b.reverse(x, axes=axes))

    def matmul(self) -> None:
        x, w = self.pick(rank=2), self.graph.params[0]
        if x is None or len(x.shape) != 2:
            return
        if x.shape[1] in (2, 3):
            turned = self.b.transpose(w, perm=(1, 0))
            y = self.b.matmul(x, w if x.shape[1] == 3 else turned)
            bias = self.draw(st.sampled_from(NUMBERS))
            self.add(y, self.b.add(y, bias), self.b.transpose(y, perm=(1, 0)))

    def counted(self) -> None:
        self.add(self.b.dim_size(dim=self.draw(st.sampled_from([B, 2 * B, 3]))))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    drawing = Drawing(draw)
    steps = [
        drawing.unary, drawing.binary, drawing.binary, drawing.power, drawing.select, drawing.cast, drawing.reduce,
        drawing.reduce, drawing.softmax, drawing.transpose, drawing.reshape, drawing.reshape, drawing.broadcast,
        drawing.pieces, drawing.cut, drawing.matmul, drawing.counted,
    ]  # fmt: skip
    for _ in range(draw(st.integers(1, 12))):
        draw(st.sampled_from(steps))()
    graph = drawing.graph
    graph.declare_symbols((B,))
    graph.outputs = draw(st.lists(st.sampled_from(drawing.values), min_size=1, max_size=3))
    graph.updates = [(graph.params[0], graph.params[0])]
    return graph


def arrays(graph: Graph, size: int) -> list[np.ndarray]:
    rng = np.random.default_rng(size)

    def array(value: Value) -> np.ndarray:
        # Quarters: sums and products of them are exact for a while, so ties and zeros do occur.
        return (rng.integers(-8, 9, evaluate_shape(value.shape, {"B": size})) / 4).astype(numpy_dtype(value.dtype))

    return [array(value) for value in (*graph.inputs, *graph.params)]


def run(graph: Graph, size: int) -> list[np.ndarray]:
    values = arrays(graph, size)
    count = len(graph.inputs)
    params = {value.name: array for value, array in zip(graph.params, values[count:])}
    with np.errstate(all="ignore"):
        result = interpret(graph, values[:count], params, {"B": size})
    return [*result.outputs, *result.updates.values()]


def assert_same(before: Graph, after: Graph, size: int) -> None:
    for a, b in zip(run(before, size), run(after, size), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if is_float(str(a.dtype).replace("float", "f")):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4)
        else:
            np.testing.assert_array_equal(a, b)


COMMON = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(graph=graphs())
@COMMON
def test_text_round_trip(graph: Graph) -> None:
    verify(graph)
    text = str(graph)
    again = parse(text)
    verify(again)
    assert str(again) == text
    assert_same(graph, again, 2)


@pytest.mark.parametrize("kind", PASSES, ids=lambda kind: kind.name)
@given(graph=graphs())
@COMMON
def test_each_pass_keeps_the_numbers(kind: type, graph: Graph) -> None:
    after = graph.copy()
    changed = run_passes(after, [kind()], PassContext(verify=True))
    assert changed or str(after) == str(graph)
    for size in (1, 2):
        assert_same(graph, after, size)
    once = str(after)
    run_passes(after, [kind()], PassContext(verify=True))
    assert str(after) == once


@given(graph=graphs())
@COMMON
def test_pipeline_keeps_the_numbers(graph: Graph) -> None:
    after = graph.copy()
    run_passes(after, [*BEFORE_GRADIENTS, *OPTIMIZE], PassContext(verify=True))
    for size in (1, 3):
        assert_same(graph, after, size)


@given(graph=graphs())
@COMMON
def test_simplified_graphs_have_the_same_gradients(graph: Graph) -> None:
    def with_gradients(graph: Graph, simplified: bool) -> Graph:
        graph = graph.copy()
        builder = Builder(graph)
        loss = graph.outputs[0]
        if loss.shape:
            loss = builder.sum(loss, axes=tuple(range(len(loss.shape))))
        graph.outputs = [loss]
        if simplified:
            run_passes(graph, [p for p in BEFORE_GRADIENTS if p.name != "stabilise"], PassContext(verify=True))
        wrt = [*graph.inputs, *graph.params]
        gradients = append_gradients(graph, graph.outputs[0], wrt)
        zeros = [Builder(graph).broadcast_to(0.0, shape=value.shape) for value in wrt]
        graph.outputs = [zero if grad is None else grad for grad, zero in zip(gradients, zeros)]
        run_passes(graph, OPTIMIZE if simplified else [], PassContext(verify=True))
        return graph

    plain = run(with_gradients(graph, False), 2)
    if all(np.isfinite(array).all() for array in plain):
        for a, b in zip(plain, run(with_gradients(graph, True), 2), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(a).max(initial=0.0))))
