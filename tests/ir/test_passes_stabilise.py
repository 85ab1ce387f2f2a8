"""Cross-entropies after `stabilise`: Keras's numbers where the clip acts, full precision elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph.ir import Builder, Dim, Graph, TensorType, parse
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes import BEFORE_GRADIENTS, OPTIMIZE, PassContext, parse_pipeline, run_passes
from kgraph.ir.passes.autodiff import append_gradients

EPSILON = 1e-7
B = Dim.symbol("B")


def categorical(b: Builder, z, labels):
    p = b.softmax(z)
    p = b.div(p, b.sum(p, axes=(1,), keepdims=True))
    p = b.minimum(b.maximum(p, EPSILON), 1 - EPSILON)
    return b.neg(b.sum(b.mul(labels, b.log(p)), axes=(1,)))


def binary(b: Builder, z, labels):
    p = b.minimum(b.maximum(b.sigmoid(z), EPSILON), 1 - EPSILON)
    terms = b.add(b.mul(labels, b.log(p)), b.mul(b.sub(1.0, labels), b.log(b.sub(1.0, p))))
    return b.neg(b.sum(terms, axes=(1,)))


def traced(loss, columns: int, dtype: str = "f32") -> Graph:
    graph = Graph("loss")
    b = Builder(graph)
    z, labels = (b.input(name, TensorType(dtype, (B, columns))) for name in ("z", "labels"))
    graph.outputs = [loss(b, z, labels)]
    return graph


def with_gradient(graph: Graph, stable: bool) -> Graph:
    graph = graph.copy()
    passes = [each for each in BEFORE_GRADIENTS if stable or each.name != "stabilise"]
    run_passes(graph, passes, PassContext(verify=True))
    b = Builder(graph)
    total = b.sum(graph.outputs[0], axes=(0,))
    graph.outputs += append_gradients(graph, total, [graph.inputs[0]])
    run_passes(graph, OPTIMIZE, PassContext(verify=True))
    return graph


def run(graph: Graph, *arrays: np.ndarray) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        return interpret(graph, list(arrays)).outputs


@pytest.mark.parametrize("loss", [categorical, binary])
def test_no_probability_is_left_under_the_logarithm(loss) -> None:
    graph = traced(loss, 4)
    run_passes(graph, BEFORE_GRADIENTS, PassContext(verify=True))
    assert not {"softmax", "sigmoid", "log", "div"} & {node.op.name for node in graph.nodes}


@pytest.mark.parametrize("loss", [categorical, binary])
def test_same_numbers_and_gradients_in_the_ordinary_range(loss, rng: np.random.Generator) -> None:
    z = rng.standard_normal((64, 4)).astype(np.float32) * 3
    labels = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 64)]
    plain, stable = (run(with_gradient(traced(loss, 4), flag), z, labels) for flag in (False, True))
    np.testing.assert_allclose(stable[0], plain[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stable[1], plain[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", [categorical, binary])
def test_where_the_clip_acts(loss) -> None:
    """Confident and wrong: the loss stops at -log(1e-7) and the gradient is zero, as with Keras."""
    z = np.array([[60.0, -60.0], [-60.0, 60.0]], np.float32)
    labels = np.array([[0, 1], [0, 1]], np.float32)
    plain, stable = (run(with_gradient(traced(loss, 2), flag), z, labels) for flag in (False, True))
    np.testing.assert_allclose(stable[0], plain[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(stable[1], np.zeros_like(z))
    np.testing.assert_array_equal(plain[1], np.zeros_like(z))


def test_more_digits_than_the_plain_form() -> None:
    """At z = 14 the probability rounds to 1 - 8.3e-7 with two digits; log space keeps all."""
    z = np.array([[14.0]], np.float32)
    labels = np.ones((1, 1), np.float32)
    (exact,) = run(traced(binary, 1, "f64"), z.astype(np.float64), labels.astype(np.float64))
    stable = run(with_gradient(traced(binary, 1), True), z, labels)[0]
    plain = run(with_gradient(traced(binary, 1), False), z, labels)[0]
    np.testing.assert_allclose(stable, exact, rtol=1e-6)
    assert abs(plain - exact) > 1e-3 * exact


def test_literals_of_any_order() -> None:
    graph = parse(
        """kgraph 1 graph @g { inputs %z: f32[4]
        %0: f32[4] = sigmoid(%z)
        %1: f32[4] = minimum(0.9, %0)
        %2: f32[4] = maximum(0.1, %1)
        %3: f32[4] = sub(1.0, %2)
        %4: f32[4] = maximum(%3, 0.2)
        %5: f32[4] = log(%4)
        return %5 }"""
    )
    z = np.linspace(-6, 6, 4).astype(np.float32)
    before = run(graph, z)
    run_passes(graph, parse_pipeline("stabilise,dce"), PassContext(verify=True))
    assert [node.op.name for node in graph.nodes] == ["softplus", "neg", "maximum", "minimum", "maximum"]
    np.testing.assert_allclose(run(graph, z)[0], before[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bound", ["nan", "-1.0", "0.0"])
def test_upper_bounds_without_a_logarithm_stay(bound: str) -> None:
    graph = parse(
        f"""kgraph 1 graph @g {{ inputs %z: f32[4]
        %0: f32[4] = sigmoid(%z) %1: f32[4] = minimum(%0, {bound}) %2: f32[4] = log(%1) return %2 }}"""
    )
    assert not run_passes(graph, parse_pipeline("stabilise"), PassContext(verify=True))
