"""Metrics: "accuracy" by shapes, names, own metrics, use inside a trace.  The numbers are compared in tests/parity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph import metrics, ops
from kgraph.core import Trace
from kgraph.errors import UnknownNameError
from kgraph.ir import Graph
from kgraph.ir.dims import Dim
from kgraph.ir.interpreter import interpret


@pytest.mark.parametrize(
    ("targets", "outputs", "kind"),
    [
        ((None, 1), (None, 1), metrics.BinaryAccuracy),
        ((None,), (None, 1), metrics.BinaryAccuracy),
        ((None, 10), (None, 10), metrics.CategoricalAccuracy),
        ((None,), (None, 10), metrics.SparseCategoricalAccuracy),
        ((None, 1), (None, 10), metrics.SparseCategoricalAccuracy),
        ((None, 20), (None, 20, 5), metrics.SparseCategoricalAccuracy),
        ((None, 20, 1), (None, 20, 5), metrics.SparseCategoricalAccuracy),
        ((None, 20, 5), (None, 20, 5), metrics.CategoricalAccuracy),
    ],
)
def test_accuracy_by_shapes(targets: Any, outputs: Any, kind: type) -> None:
    assert metrics.resolve_accuracy(targets, outputs) is kind
    for name in ("acc", "accuracy"):
        metric = metrics.get_metric(name, targets, outputs)
        assert type(metric) is kind and metric.name == name


@pytest.mark.parametrize(
    "name", ["mse", "mae", "binary_accuracy", "MeanSquaredError", "kullback_leibler_divergence", "AUC"]
)
def test_by_name(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown metric 'accurate'"):
        metrics.get_metric("accurate")
    metric = metrics.get_metric(name)
    assert isinstance(metric, metrics.Metric) and metric.name == name


def test_own_function() -> None:
    def mean_pred(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(y_pred)

    metric = metrics.get_metric(mean_pred)
    assert metric.name == "mean_pred"
    for value in (1.0, 3.0):
        metric.update_state(np.zeros((4, 1)), np.full((4, 1), value, "float32"))
    np.testing.assert_allclose(metric.result(), 2.0)


def test_own_metric_class() -> None:
    class Largest(metrics.Metric):
        def __init__(self, name: str = "largest") -> None:
            super().__init__(name=name)
            self.value = self.add_weight(name="value", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.value.assign(ops.maximum(self.value, ops.max(y_pred)))

        def result(self) -> Any:
            return ops.convert_to_tensor(self.value)

    metric = Largest()
    assert [v.path for v in metric.variables] == ["largest/value"]
    assert float(metric(None, np.array([1.0, 7.0, 2.0], "float32"))) == 7.0
    metric.reset_state()
    assert float(metric.result()) == 0.0


def test_inside_a_trace() -> None:
    metric = metrics.SparseCategoricalAccuracy()
    graph = Graph("metric")
    with Trace(graph) as trace:
        batch = Dim.symbol("B")
        metric.update_state(trace.input("y", (batch,), "int32"), trace.input("p", (batch, 3)))
    p = np.eye(3, dtype="float32")[[0, 1, 2, 2]]
    params = {name: variable.array for name, variable in trace.variables.items()}
    result = interpret(graph, {"y": np.array([0, 1, 1, 2], "int32"), "p": p}, params)
    assert sorted(float(v) for v in result.updates.values()) == [3.0, 4.0]
    assert float(metric.result()) == 0.0  # nothing was written yet


def test_config() -> None:
    for metric in (metrics.BinaryAccuracy(threshold=0.3), metrics.TopKCategoricalAccuracy(k=3), metrics.Precision(0.4)):
        again = metrics.deserialize(metrics.serialize(metric))
        assert again.get_config() == metric.get_config()
