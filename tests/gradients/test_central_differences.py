"""Each op's derivative, and its second derivative, against central differences."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph.ir import OPS, Builder, Graph, TensorType
from kgraph.ir.interpreter import interpret
from kgraph.ir.opdef import no_gradient
from kgraph.ir.passes.autodiff import append_gradients
from tests.gradients.cases import CASES, draw
from tests.gradients.checking import STEP, Case, check

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{op}-{case}") for op, cases in CASES.items() for case in cases]
)
def test_derivative(case: Case) -> None:
    check(case)


def test_every_case_names_an_op() -> None:
    assert set(CASES) <= set(OPS)


@pytest.mark.parametrize("op", ["sign", "floor", "ceil", "round", "floor_div"])
def test_ops_without_gradient_are_flat(op: str) -> None:
    """`no_gradient` on a float op is a claim: the value does not change near a point that is no jump."""
    assert OPS[op].vjp is no_gradient
    arrays = [draw(2, 3) * 1.7, draw(2, 3, low=2.1, high=2.9, seed=1)][: 2 if op == "floor_div" else 1]
    with np.errstate(all="ignore"):
        low, high = (OPS[op].reference(*(a + shift for a in arrays)) for shift in (-STEP, STEP))
    np.testing.assert_array_equal(low, high)


def test_stop_gradient_stops() -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType("f64", (2,)))
    loss = b.sum(b.mul(x, b.stop_gradient(x)), axes=(0,))
    (grad,) = append_gradients(graph, loss, [x])
    assert grad is not None
    graph.outputs = [grad]
    np.testing.assert_array_equal(interpret(graph, [np.array([2.0, 3.0])]).outputs[0], [2.0, 3.0])
