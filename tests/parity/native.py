"""An op three ways: on arrays, recorded on symbolic tensors, compiled; compared with Keras and one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import kgraph
import kgraph.ops
from kgraph import ir
from kgraph.core.tensors import TracedTensor
from kgraph.core.trace import Trace
from kgraph.core.tree import flatten
from kgraph.ir.passes.autodiff import append_gradients
from tests.parity.comparing import keras

Array = np.ndarray


@dataclass(frozen=True)
class Call:
    """A function of `kgraph.ops` and `keras.ops` by its name, tensors, and settings.

    Attributes:
        name: the function.
        arrays: its tensors, the leading arguments.
        settings: its other arguments.
        known: sizes are known when it is compiled; else the first axis of each tensor is an unknown batch.
        rtol, atol: bounds of the comparison with Keras.
        smooth: compare the gradients too.
    """

    name: str
    arrays: Sequence[Any]
    settings: dict[str, Any] = field(default_factory=dict)
    known: bool = False
    rtol: float = 2e-5
    atol: float = 2e-6
    smooth: bool = False

    def of(self, module: Any, tensors: Sequence[Any]) -> list[Any]:
        result = getattr(module, self.name)(*tensors, **self.settings)
        return flatten(result)

    def __str__(self) -> str:
        settings = (f"{k}={np.asarray(v).tolist()}" for k, v in self.settings.items() if np.size(v) < 5)
        return "-".join([self.name, *settings])


def inputs_of(trace: Trace, call: Call) -> list[TracedTensor]:
    found = []
    for number, array in enumerate(call.arrays):
        dims = array.shape if call.known or not array.ndim else (ir.Dim.symbol("B"), *array.shape[1:])
        found.append(trace.input(f"x{number}", dims, array.dtype.name))
    return found


def traced(call: Call, gradients: bool = False) -> list[Array]:
    """The results of native code; with `gradients`, those of the sum of results times a wave, for each float tensor."""
    trace = Trace(ir.Graph("op"))
    with trace:
        tensors = inputs_of(trace, call)
        results = call.of(kgraph.ops, tensors)
        assert all(isinstance(result, TracedTensor) for result in results)
        if gradients:
            loss = kgraph.ops.sum(kgraph.ops.stack([weighted(kgraph.ops, r) for r in results if is_float(r)]))
    graph = trace.graph
    graph.outputs = [trace.operand(result) for result in results]
    if gradients:
        wanted = [trace.operand(t) for t in tensors if is_float(t)]
        found = append_gradients(graph, trace.operand(loss), wanted)
        graph.outputs = [g for g in found if g is not None]
        assert len(graph.outputs) == len(wanted)
        graph.remove_dead()
    feeds = {f"x{number}": array for number, array in enumerate(call.arrays)}
    return list(ir.run(graph, feeds, target="cpu").outputs)


def is_float(x: Any) -> bool:
    return "float" in str(x.dtype)


def weighted(module: Any, result: Any) -> Any:
    """Sum of a result's elements times weights that differ from each other."""
    flat = module.reshape(result, (-1,))
    return module.sum(module.multiply(flat, module.cos(module.multiply(module.cumsum(module.ones_like(flat)), 0.7))))


def keras_gradients(call: Call) -> list[Array]:
    import jax

    places = [i for i, array in enumerate(call.arrays) if is_float(array)]

    def loss(*floats: Any) -> Any:
        tensors = list(call.arrays)
        for place, value in zip(places, floats, strict=True):
            tensors[place] = value
        return sum(weighted(keras.ops, result) for result in call.of(keras.ops, tensors) if is_float(result))

    return [np.asarray(g) for g in jax.grad(loss, tuple(range(len(places))))(*(call.arrays[i] for i in places))]


def assert_equal(ours: Any, theirs: Any, call: Call) -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    if theirs.dtype.kind in "fb" or ours.dtype.kind in "fb":
        assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.astype("float64"), theirs.astype("float64"), rtol=call.rtol, atol=call.atol)


def check(call: Call) -> None:
    """On arrays as Keras; compiled as on arrays; recorded with the right shapes and types."""
    expected = [np.asarray(x) for x in call.of(keras.ops, call.arrays)]
    eager = call.of(kgraph.ops, call.arrays)
    assert len(eager) == len(expected)
    assert all(isinstance(x, np.ndarray) for x in eager)
    for ours, theirs in zip(eager, expected, strict=True):
        assert_equal(ours, theirs, call)
    symbols = [kgraph.Input(batch_shape=a.shape, dtype=a.dtype.name) for a in call.arrays]
    recorded = call.of(kgraph.ops, symbols)
    assert [(tuple(s.shape), s.dtype) for s in recorded] == [(e.shape, e.dtype.name) for e in eager]
    for ours, theirs in zip(traced(call), eager, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=call.rtol, atol=call.atol)
    if call.smooth:
        for ours, theirs in zip(traced(call, gradients=True), keras_gradients(call), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=10 * call.rtol, atol=10 * call.atol)
