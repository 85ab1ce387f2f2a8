"""Gradients of rows: what no index names is neither written nor read, and the result is that of the dense gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import kgraph
from kgraph.codegen.program import Program
from kgraph.ir import Builder, Graph, Value
from kgraph.ir.interpreter import interpret
from tests.numeric.sheet import tensor

ROWS, WIDTH = 40, 16
Update = Callable[[Builder, Value, Value, Value], dict[str, Value]]


def sgd(b: Builder, w: Value, state: Value, g: Value) -> dict[str, Value]:
    return {"w": b.sub(w, b.mul(g, 0.1))}


def momentum(b: Builder, w: Value, state: Value, g: Value) -> dict[str, Value]:
    m = b.sub(b.mul(state, 0.9), b.mul(g, 0.1))
    return {"w": b.add(w, m), "state": m}


def rmsprop(b: Builder, w: Value, state: Value, g: Value) -> dict[str, Value]:
    v = b.add(b.mul(state, 0.9), b.mul(b.mul(g, g), 0.1))
    return {"w": b.sub(w, b.div(b.mul(g, 0.01), b.sqrt(b.add(v, 1e-7)))), "state": v}


def no_epsilon(b: Builder, w: Value, state: Value, g: Value) -> dict[str, Value]:
    v = b.add(b.mul(state, 0.9), b.mul(b.mul(g, g), 0.1))
    return {"w": b.sub(w, b.div(b.mul(g, 0.01), b.sqrt(v))), "state": v}


def scaled(b: Builder, w: Value, state: Value, g: Value) -> dict[str, Value]:
    """Clipped by the norm of all: a scalar that is known only at run time."""
    norm = b.sqrt(b.sum(b.mul(g, g), axes=(0, 1)))
    return {"w": b.sub(w, b.mul(g, b.div(1.0, norm)))}


UPDATES: dict[str, Update] = {f.__name__: f for f in (sgd, momentum, rmsprop, no_epsilon, scaled)}


def made(update: Update) -> Graph:
    graph = Graph("step")
    b = Builder(graph)
    ids, dy = b.input("ids", tensor("i32[B]")), b.input("dy", tensor(f"f32[B, {WIDTH}]"))
    w, state = b.param("w", tensor(f"f32[{ROWS}, {WIDTH}]")), b.param("state", tensor(f"f32[{ROWS}, {WIDTH}]"))
    new = update(b, w, state, b.scatter_add(ids, dy, rows=ROWS))
    graph.updates = [(graph.param(name), value) for name, value in new.items()]
    return graph


def optimizer_text(program: Program) -> str:
    (text,) = [text for text in program.sources().values() if "select ->" in text and "updates" not in text][-1:]
    return text


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
@pytest.mark.parametrize("special", ["numbers", "nan", "inf", "zeros", "one hit"])
def test_rows_are_those_of_the_dense_gradient(update: Update, special: str) -> None:
    """Also where gradients are not finite, and with a quotient of zeros, and a scale of 1 / 0."""
    rng = np.random.default_rng(3)
    graph = made(update)
    program = kgraph.codegen.compile(graph)
    params = {
        "w": rng.normal(size=(ROWS, WIDTH)).astype(np.float32),
        "state": np.zeros((ROWS, WIDTH), np.float32),
    }
    count = 1 if special == "one hit" else 12
    with np.errstate(all="ignore"):
        for step in range(3):
            ids = rng.integers(0, ROWS // 2, count).astype(np.int32)
            dy = rng.normal(size=(count, WIDTH)).astype(np.float32)
            if special == "zeros":
                dy[...] = 0
            elif step == 1 and special in ("nan", "inf"):
                dy[0, 0] = float(special)
            expected = interpret(graph, {"ids": ids, "dy": dy}, params).updates
            exe = program.bind({"B": count}, {name: array.copy() for name, array in params.items()})
            exe.input("ids")[...], exe.input("dy")[...] = ids, dy
            exe.run()
            for name, array in expected.items():
                np.testing.assert_allclose(exe.params[name], array, rtol=1e-5, atol=1e-6)
                params[name] = array


@pytest.mark.parametrize(("update", "kept"), [(sgd, 0), (rmsprop, 1), (momentum, 2)])
def test_rows_without_a_hit_cost_what_they_must(update: Update, kept: int) -> None:
    """SGD leaves them alone; RMSprop decays its mean square; momentum goes on moving them."""
    text = optimizer_text(kgraph.codegen.compile(made(update)))
    _, _, missed = text.partition("else:")
    assert missed.count("store_f32") == kept
    assert "if v" in text and "scatter_add" not in text


def test_a_dense_reader_gets_the_dense_gradient() -> None:
    """Whatever reads whole rows, or hands the gradient out, keeps `scatter_add`."""
    graph = Graph("dense")
    b = Builder(graph)
    ids, dy = b.input("ids", tensor("i32[B]")), b.input("dy", tensor(f"f32[B, {WIDTH}]"))
    graph.outputs = [b.scatter_add(ids, dy, rows=ROWS)]
    assert "scatter_rows" not in str(kgraph.codegen.compile(graph).stages["schedule"])
