"""Traces: params, updates, locations, loops, randomness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgraph import ops, random
from kgraph.core import Layer, Trace, Variable, current_trace, eager_scope
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir import Dim, Graph, verify
from kgraph.ir.interpreter import interpret
from kgraph.layers import Dense
from kgraph.models import Input, Model

B = Dim.symbol("B")


def test_variables_become_params_and_assignments_updates() -> None:
    v, other = Variable(np.ones(3), name="w", path="a/w"), Variable(np.zeros(3), name="w", path="a/w")
    graph = Graph("g")
    with Trace(graph) as trace:
        first = trace.value_of(v)
        v.assign_add(np.ones(3))
        assert v.value is trace.value_of(v) and v.value is not first
        v.assign(v * 2)
        assert trace.value_of(other).shape == (3,)
        graph.outputs.append((v + other).value)
    assert list(trace.variables) == ["a/w", "a/w_1"]
    assert [param.name for param, _ in graph.updates] == ["a/w"]
    verify(graph)
    result = interpret(graph, {}, {name: var.array for name, var in trace.variables.items()})
    np.testing.assert_array_equal(result.updates["a/w"], [4, 4, 4])
    np.testing.assert_array_equal(v.numpy(), [1, 1, 1])
    assert current_trace() is None


def test_assignment_is_cast_and_checked() -> None:
    count = Variable(0, dtype="int64", name="n")
    wide = Variable(np.zeros((2, 2)), name="w")
    with Trace(Graph("g")):
        assert count.assign_add(1).dtype == "int64"
        with pytest.raises(ShapeError, match="'w'"):
            wide.assign(np.zeros(3))


def test_locations_are_the_users_line_and_the_layer_path() -> None:
    class Inner(Layer):
        def call(self, x: object) -> object:
            return ops.exp(x)

    class Outer(Layer):
        def __init__(self) -> None:
            super().__init__(name="outer")
            self.inner = Inner(name="inner")

        def call(self, x: object) -> object:
            return self.inner(x)

    graph = Graph("g")
    with Trace(graph) as trace:
        Outer()(trace.input("x", (B, 3)))
    loc = graph.nodes[0].loc
    assert loc.file == "test_tracing.py" and loc.layer == "outer/inner"
    source = Path(__file__).read_text().split("\n")
    assert "ops.exp(x)" in source[loc.line - 1]


def test_nodes_of_a_model_keep_the_line_that_recorded_them() -> None:
    x = Input((3,))
    y = Dense(2, name="head")(x)  # recorded here
    model = Model(x, y + 1.0)
    graph = Graph("g")
    with Trace(graph) as trace:
        model(trace.input("x", (B, 3)))
    source = Path(__file__).read_text().split("\n")
    assert all("# recorded here" in source[node.loc.line - 1] for node in graph.nodes if node.loc.layer == "head")
    assert sum(node.loc.layer == "head" for node in graph.nodes) >= 2
    assert "model = Model" in source[graph.nodes[-1].loc.line - 1]


def test_a_loop_body_captures_tensors_and_variables() -> None:
    w = Variable(np.eye(3) * 0.5, name="w")
    graph = Graph("g")
    with Trace(graph) as trace:
        x = trace.input("x", (B, 4, 3))
        shift = ops.mean(x, axis=1)

        def step(states: list, slices: list) -> tuple:
            return [states[0] @ w + slices[0] + shift], [states[0]]

        final, ys = ops.scan_region(step, [ops.zeros((B, 3))], [x], axis=1)
        graph.outputs = [final[0].value, ys[0].value]
    verify(graph)
    data = np.random.default_rng(0).standard_normal((2, 4, 3)).astype("float32")
    out = interpret(graph, {"x": data}, {"w": w.array}).outputs
    h = np.zeros((2, 3), "float32")
    for t in range(4):
        np.testing.assert_allclose(out[1][:, t], h, rtol=1e-5, atol=1e-6)
        h = h @ w.numpy() + data[:, t] + data.mean(1)
    np.testing.assert_allclose(out[0], h, rtol=1e-5)


def test_a_tensor_of_one_trace_is_refused_in_another() -> None:
    with Trace(Graph("a")) as first:
        x = first.input("x", (3,))
    with Trace(Graph("b")), pytest.raises(InvalidArgumentError, match="another"):
        ops.exp(x)


def test_eager_scope_computes_inside_a_trace() -> None:
    graph = Graph("g")
    with Trace(graph), eager_scope():
        assert isinstance(ops.add(np.ones(2), 1), np.ndarray)
    assert graph.nodes == []


class TestRandom:
    def test_seed_fixes_the_numbers_and_a_generator_advances(self) -> None:
        np.testing.assert_array_equal(random.uniform((5,), seed=3), random.uniform((5,), seed=3))
        generator = random.SeedGenerator(3)
        first, second = random.normal((5,), seed=generator), random.normal((5,), seed=generator)
        assert not np.array_equal(first, second)

    def test_set_random_seed(self) -> None:
        draws = []
        for _ in range(2):
            random.set_random_seed(11)
            draws.append([random.uniform((3,)), random.uniform((3,)), np.random.rand(3)])
        for a, b in zip(*draws):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(draws[0][0], draws[0][1])

    def test_distributions(self) -> None:
        n = 40000
        u, g, t = (f((n,), seed=1) for f in (random.uniform, random.normal, random.truncated_normal))
        assert abs(u.mean() - 0.5) < 0.01 and 0 <= u.min() and u.max() < 1
        assert abs(g.mean()) < 0.02 and abs(g.std() - 1) < 0.02 and np.isfinite(g).all()
        assert abs(t).max() <= 2.0001 and abs(t.std() - 0.8796) < 0.02 and abs(t.mean()) < 0.02
        r = random.randint((n,), 2, 7, seed=1)
        assert r.dtype == np.int32 and set(np.unique(r)) == {2, 3, 4, 5, 6}

    def test_dropout_scales_what_is_kept(self) -> None:
        y = random.dropout(np.ones((100, 100)), 0.25, seed=5)
        assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
        assert abs((y == 0).mean() - 0.25) < 0.02
        rows = random.dropout(np.ones((50, 4)), 0.5, noise_shape=(None, 1), seed=5)
        assert all(len(set(row)) == 1 for row in rows)

    def test_call_sites_have_their_own_streams(self) -> None:
        graph = Graph("g")
        seed, step = Variable(7, dtype="int64", name="seed"), Variable(0, dtype="int64", name="step")
        with Trace(graph, training=True, seed_step=(seed, step)):
            generator = random.SeedGenerator()
            random.uniform((2,), seed=generator)
            random.uniform((2,), seed=generator)
        streams = [node.attrs["stream"] for node in graph.nodes if node.op.name == "random_uniform"]
        assert streams == [0, 1] and [p.name for p in graph.params] == ["seed", "step"]


def test_locations_in_a_step() -> None:
    def own(y_true: Any, y_pred: Any) -> Any:
        return ops.square(y_true - y_pred)  # the loss

    model = Model(x := Input((4,)), Dense(1, name="head")(x))
    model.compile("adam", own, metrics=["mae"])  # compiled here
    trainer = model.trainer
    lines = Path(__file__).read_text().splitlines()
    found: dict[str, set[str]] = {}
    for node in trainer.ir("grad").nodes:
        found.setdefault(node.loc.layer, set()).add(lines[node.loc.line - 1].partition("  # ")[2])
    assert found["metrics"] == found[model.optimizer.name] == {"compiled here"}
    assert found["loss"] == {"the loss", "compiled here"}  # its reduction is what compile asked for
