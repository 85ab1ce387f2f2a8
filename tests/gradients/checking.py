"""Central differences in f64 against the derivative that the ops' vjp rules write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kgraph.ir import Builder, Graph, TensorType, Value, dtype_of_numpy, verify
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.autodiff import append_gradients

# f64: the error of a central difference is about eps^(2/3) = 4e-11 of the values' size at this step.
STEP = 1e-5
TOLERANCE = 2e-7

Write = Callable[..., Any]  # (builder, *operands) -> value or tuple of values
Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """One call of an op: how to write it, and its operands.

    Integer operands take no part in differentiation.  `ignore` names floating-point operands through which, by the op's
    own doc, no gradient flows although the value depends on them.  `second` also checks the derivative's derivative.
    """

    name: str
    write: Write
    operands: Sequence[Array]
    ignore: tuple[int, ...] = ()
    second: bool = True
    use: tuple[int, ...] | None = field(default=None)  # which results the loss reads; all by default

    def __str__(self) -> str:
        return self.name


def check(case: Case) -> None:
    """Raise AssertionError where a derivative differs from its central difference."""
    graph, operands, loss = _loss_graph(case)
    wrt = [i for i, v in enumerate(operands) if v.dtype == "f64" and i not in case.ignore]
    assert wrt, "a gradient case needs an operand to differentiate for"
    grads = append_gradients(graph, loss, [operands[i] for i in wrt])
    assert all(grad is not None for grad in grads), f"no gradient flows to operands {wrt}"
    for position, grad in zip(wrt, grads):
        assert grad is not None
        assert grad.type == operands[position].type
    verify(graph)
    _compare(graph, case.operands, wrt, loss, [grad for grad in grads if grad is not None])
    if case.second:
        _check_second(case, wrt)


def _loss_graph(case: Case) -> tuple[Graph, list[Value], Value]:
    """Loss: a fixed quadratic function of the results.

    Each result element has a gradient of its own, and that gradient depends on the operands even when the op is linear,
    so that the second derivative runs through the op's derivative rule.
    """
    graph = Graph("case")
    b = Builder(graph)
    operands = [
        b.input(f"x{i}", TensorType(dtype_of_numpy(array.dtype), array.shape)) for i, array in enumerate(case.operands)
    ]
    results = case.write(b, *operands)
    results = list(results) if isinstance(results, tuple) else [results]
    used = [r for i, r in enumerate(results) if case.use is None or i in case.use]
    return graph, operands, _quadratic(b, used)


def _quadratic(b: Builder, values: Sequence[Value]) -> Value:
    weights = np.random.default_rng(7)
    loss: Value | None = None
    for value in values:
        weight = b.op("constant", value=np.asarray(weights.uniform(0.5, 1.5, size=value.shape)))
        term = b.op("mul", value, b.op("add", b.op("mul", value, 0.3), weight))
        part = b.op("sum", term, axes=tuple(range(len(value.shape))))
        loss = part if loss is None else b.op("add", loss, part)
    assert loss is not None
    return loss


def _compare(graph: Graph, arrays: Sequence[Array], wrt: Sequence[int], loss: Value, grads: Sequence[Value]) -> None:
    graph.outputs = list(grads)
    exact = interpret(graph, arrays).outputs
    graph.outputs = [loss]
    graph.remove_dead()
    for position, got in zip(wrt, exact):
        expected = np.empty_like(arrays[position])
        for index in np.ndindex(expected.shape):
            low, high = (_loss_at(graph, arrays, position, index, shift) for shift in (-STEP, STEP))
            expected[index] = (high - low) / (2 * STEP)
        np.testing.assert_allclose(
            got,
            expected,
            rtol=TOLERANCE,
            atol=TOLERANCE * max(1.0, np.abs(expected).max(initial=0)),
            err_msg=f"operand {position}",
        )


def _loss_at(graph: Graph, arrays: Sequence[Array], position: int, index: tuple[int, ...], shift: float) -> float:
    moved = [array.copy() if i == position else array for i, array in enumerate(arrays)]
    moved[position][index] += shift
    return float(interpret(graph, moved).outputs[0])


def _check_second(case: Case, wrt: Sequence[int]) -> None:
    graph, operands, loss = _loss_graph(case)
    b = Builder(graph)
    first = append_gradients(graph, loss, [operands[i] for i in wrt])
    total = _quadratic(b, [grad for grad in first if grad is not None])
    second = append_gradients(graph, total, [operands[i] for i in wrt])
    kept = [(i, grad) for i, grad in zip(wrt, second) if grad is not None]
    if kept:  # a gradient that depends on no operand has no derivative
        _compare(graph, case.operands, [i for i, _ in kept], total, [grad for _, grad in kept])
