"""Directional derivatives of whole small models: the rules fit together, also with symbolic sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph.ir import Builder, Dim, Graph, TensorType, Value, verify
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.autodiff import append_gradients
from tests.gradients.cases import draw

B, T = Dim.symbol("B"), Dim.symbol("T")
BATCH, TIME = 3, 4

Model = Callable[[Builder], Value]  # declares inputs x, ids and params; returns the loss


def _param(b: Builder, name: str, *shape: int) -> Value:
    return b.param(name, TensorType("f64", shape))


def _cross_entropy(b: Builder, logits: Value, ids: Value) -> Value:
    target = b.op("one_hot", ids, depth=logits.shape[-1], dtype="f64")
    terms = b.mul(target, b.log_softmax(logits))
    axes = tuple(range(len(logits.shape)))
    count = b.dim_size(dim=_count(logits), dtype="f64")
    loss: Value = b.neg(b.div(b.sum(terms, axes=axes), count))
    return loss


def _count(value: Value) -> Any:
    total: Any = 1
    for dim in value.shape[:-1]:
        total = total * dim
    return total


def mlp(b: Builder) -> Value:
    x, ids = b.input("x", TensorType("f64", (B, 5))), b.input("ids", TensorType("i32", (B,)))
    h = b.relu(b.add(b.matmul(x, _param(b, "w1", 5, 4)), _param(b, "b1", 4)))
    return _cross_entropy(b, b.add(b.matmul(h, _param(b, "w2", 4, 3)), _param(b, "b2", 3)), ids)


def convolution(b: Builder) -> Value:
    x, ids = b.input("x", TensorType("f64", (B, 6, 6, 2))), b.input("ids", TensorType("i32", (B,)))
    h = b.tanh(b.conv2d(x, _param(b, "k1", 3, 3, 2, 4), padding=((1, 1), (1, 1)), strides=(2, 2)))
    h = b.conv2d(h, _param(b, "k2", 2, 2, 2, 4), groups=2, padding=((0, 1), (1, 0)))
    h = b.max_pool(h, window=(2, 2), strides=(1, 1))
    h = b.sum_pool(h, window=(2, 2), strides=(2, 2), padding=((1, 1), (1, 1)))
    flat = b.reshape(h, shape=(B, h.shape[1] * h.shape[2] * h.shape[3]))
    return _cross_entropy(b, b.matmul(flat, _param(b, "w", flat.shape[1], 3)), ids)


def batch_normalised(b: Builder) -> Value:
    x, ids = b.input("x", TensorType("f64", (B, 5))), b.input("ids", TensorType("i32", (B,)))
    h = b.matmul(x, _param(b, "w", 5, 3))
    count = b.dim_size(dim=B, dtype="f64")
    mean = b.div(b.sum(h, axes=(0,)), count)
    centred = b.sub(h, mean)
    variance = b.div(b.sum(b.mul(centred, centred), axes=(0,)), count)
    h = b.mul(centred, b.rsqrt(b.add(variance, 1e-3)))
    return _cross_entropy(b, b.add(b.mul(h, _param(b, "gamma", 3)), _param(b, "beta", 3)), ids)


def attention(b: Builder) -> Value:
    x, ids = b.input("x", TensorType("f64", (B, T, 4))), b.input("ids", TensorType("i32", (B, T)))
    flat = b.reshape(x, shape=(B * T, 4))
    parts = b.split(b.matmul(flat, _param(b, "w", 4, 12)), axis=1, sizes=(4, 4, 4))
    heads = [b.transpose(b.reshape(p, shape=(B, T, 2, 2)), perm=(0, 2, 1, 3)) for p in parts]
    scores = b.matmul(heads[0], heads[1], transpose_b=True)
    causal = b.ge(b.iota(shape=(T, T), axis=0), b.iota(shape=(T, T), axis=1))
    mixed = b.matmul(b.softmax(b.select(causal, scores, -1e9)), heads[2])
    return _cross_entropy(b, b.reshape(b.transpose(mixed, perm=(0, 2, 1, 3)), shape=(B, T, 4)), ids)


def embedding_rnn(b: Builder) -> Value:
    x, ids = b.input("x", TensorType("f64", (B, T, 4))), b.input("ids", TensorType("i32", (B, T)))
    table, w, u = _param(b, "table", 4, 4), _param(b, "w", 4, 3), _param(b, "u", 3, 3)
    sequence = b.add(b.gather(table, ids), x)
    z = b.reshape(b.matmul(b.reshape(sequence, shape=(B * T, 4)), w), shape=(B, T, 3))
    body = Graph("body")
    inner = Builder(body)
    h, step = body.add_input("h", TensorType("f64", (B, 3))), body.add_input("z", TensorType("f64", (B, 3)))
    kernel = body.add_input("u", TensorType("f64", (3, 3)))
    new = inner.tanh(inner.add(step, inner.matmul(h, kernel)))
    body.outputs = [new, new]
    start = b.broadcast_to(_param(b, "start", 1, 3), shape=(B, 3))
    attrs = {"inits": 1, "sequences": 1, "axis": 1, "length": T}
    _, outputs = b.node("scan", [start, z, u], attrs, [body]).results
    last = b.slice(outputs, starts=(0, T - 1, 0), limits=(B, T, 3))
    logits = b.concat(outputs, b.pad(last, 0.5, low=(0, 0, 0), high=(0, T - 1, 0)), axis=2)
    return _cross_entropy(b, b.matmul(logits, b.broadcast_to(_param(b, "v", 1, 6, 4), shape=(B, 6, 4))), ids)


@pytest.mark.parametrize("model", [mlp, convolution, batch_normalised, attention, embedding_rnn])
def test_directional_derivative(model: Model) -> None:
    graph = Graph()
    loss = model(Builder(graph))
    leaves = [graph.inputs[0], *graph.params]
    grads = append_gradients(graph, loss, leaves)
    assert all(grad is not None and grad.type == leaf.type for grad, leaf in zip(grads, leaves))
    graph.outputs = [loss, *(grad for grad in grads if grad is not None)]
    graph.remove_dead()
    verify(graph)

    sizes = {"B": BATCH, "T": TIME}
    values = [draw(*_numbers(leaf, sizes), low=-1, high=1, seed=i) for i, leaf in enumerate(leaves)]
    ids = np.random.default_rng(0).integers(0, 3, size=_numbers(graph.inputs[1], sizes)).astype(np.int32)
    directions = [np.random.default_rng(i).normal(size=value.shape) for i, value in enumerate(values)]

    def run(shift: float) -> list[np.ndarray]:
        moved = [value + shift * direction for value, direction in zip(values, directions)]
        params = {leaf.name: value for leaf, value in zip(graph.params, moved[1:])}
        return interpret(graph, [moved[0], ids], params).outputs

    step = 1e-6
    expected = (float(run(step)[0]) - float(run(-step)[0])) / (2 * step)
    got = sum(float((grad * direction).sum()) for grad, direction in zip(run(0.0)[1:], directions))
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-8)


def _numbers(value: Value, sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple(dim.evaluate(sizes) if isinstance(dim, Dim) else dim for dim in value.shape)
