"""Losses: names, shapes that must not broadcast, errors, traces.  The numbers are compared in tests/parity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph import losses, ops
from kgraph.core import SymbolicTensor, Trace
from kgraph.errors import InvalidArgumentError, ShapeError, UnknownNameError
from kgraph.ir import Graph
from kgraph.ir.dims import Dim
from kgraph.ir.interpreter import interpret

ALIASES = {
    "mse": losses.mean_squared_error,
    "MAE": losses.mean_absolute_error,
    "mape": losses.mean_absolute_percentage_error,
    "msle": losses.mean_squared_logarithmic_error,
    "bce": losses.binary_crossentropy,
    "kullback_leibler_divergence": losses.kl_divergence,
    "logcosh": losses.log_cosh,
    "cosine_proximity": losses.cosine_similarity,
}


@pytest.mark.parametrize("name", ALIASES)
def test_alias(name: str) -> None:
    assert losses.get(name) is ALIASES[name]


@pytest.mark.parametrize("name", [name for name in losses.__all__ if name[0].isupper() and "Wrapper" not in name])
def test_class_and_config(name: str) -> None:
    if name == "Loss":
        return
    loss = losses.get(name)
    assert isinstance(loss, losses.Loss)
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()


def test_own_function() -> None:
    def own(y_true: object, y_pred: object) -> object:
        return ops.mean(ops.abs(ops.subtract(y_true, y_pred)), axis=-1) * 2.0

    loss = losses.get_loss(own)
    assert loss is not None and loss.name == "own"
    y = np.array([[1.0, 2.0], [3.0, 5.0]], "float32")
    np.testing.assert_allclose(loss(y, 0.0 * y), 2.0 * y.mean())
    np.testing.assert_allclose(loss(y, 0.0 * y, np.array([1.0, 0.0], "float32")), 1.5)


def test_weights_per_sample_reach_all_steps() -> None:
    y = np.ones((2, 3, 1), "float32")
    loss = losses.MeanSquaredError()(y, 0.0 * y, np.array([2.0, 0.0], "float32"))
    np.testing.assert_allclose(loss, 1.0)


def test_crossentropy_is_resolved_by_shapes() -> None:
    for shapes, name in [
        (((None, 1), (None, 1)), "binary_crossentropy"),
        (((None,), (None, 10)), "sparse_categorical_crossentropy"),
        (((None, 10), (None, 10)), "categorical_crossentropy"),
    ]:
        loss = losses.get_loss("crossentropy", *shapes)
        assert isinstance(loss, losses.LossFunctionWrapper) and loss.fn.__name__ == name


def test_ranks_are_matched_and_never_broadcast() -> None:
    column, vector = np.ones((4, 1), "float32"), np.zeros(4, "float32")
    for pair in ((column, vector), (vector, column)):
        assert losses.mean_squared_error(*pair).shape == (4,)
        np.testing.assert_allclose(losses.MeanSquaredError()(*pair), 1.0)
    with pytest.raises(ShapeError, match="mean_squared_error: targets and outputs have different shapes"):
        losses.mean_squared_error(np.ones(4, "float32"), np.ones((4, 4), "float32"))
    with pytest.raises(ValueError, match="sparse_categorical"):
        losses.categorical_crossentropy(np.ones(4, "int32"), np.ones((4, 3), "float32"))
    with pytest.raises(ShapeError, match="categorical_crossentropy"):
        losses.sparse_categorical_crossentropy(np.ones((4, 3), "int32"), np.ones((4, 3), "float32"))


def test_ranks_of_ctc() -> None:
    with pytest.raises(ShapeError, match="ctc: labels and outputs do not fit"):
        losses.ctc(np.ones(4, "int32"), np.ones((4, 6, 3), "float32"))


@pytest.mark.parametrize("label", [-1, 3])
def test_label_that_is_no_class(label: int) -> None:
    y_pred = np.full((2, 3), 1 / 3, "float32")
    with pytest.raises(InvalidArgumentError, match=rf"label {label} at position 1"):
        losses.sparse_categorical_crossentropy(np.array([0, label]), y_pred)
    np.testing.assert_allclose(
        losses.SparseCategoricalCrossentropy(ignore_class=label)(np.array([0, label]), y_pred), np.log(3), rtol=1e-6
    )


def test_names_and_reductions_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="unknown loss 'binary_crosentropy'"):
        losses.get("binary_crosentropy")
    with pytest.raises(ValueError, match="`reduction`"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ValueError, match="as a loss"):
        losses.get(1.5)


def test_inside_a_trace() -> None:
    graph = Graph("loss")
    rng = np.random.default_rng(1)
    with Trace(graph) as trace:
        batch = Dim.symbol("B")
        y_true, y_pred = trace.input("y_true", (batch,), "int32"), trace.input("y_pred", (batch, 3))
        graph.outputs.append(losses.SparseCategoricalCrossentropy(from_logits=True)(y_true, y_pred).value)
    assert graph.outputs[0].type.shape == ()
    data = {"y_true": rng.integers(0, 3, 5).astype("int32"), "y_pred": rng.normal(size=(5, 3)).astype("float32")}
    eager = losses.SparseCategoricalCrossentropy(from_logits=True)(data["y_true"], data["y_pred"])
    np.testing.assert_allclose(interpret(graph, data, {}).outputs[0], eager, rtol=1e-6)


@pytest.mark.parametrize("compute", [losses.sparse_categorical_crossentropy, ops.sparse_categorical_crossentropy])
def test_classes_that_are_the_rows_of_the_batch(compute: Callable[..., Any]) -> None:
    graph = Graph("contrastive")
    with Trace(graph) as trace:
        rows = trace.input("rows", (Dim.symbol("B"), 3))
        logits = ops.matmul(rows, ops.transpose(rows))
        graph.outputs.append(compute(ops.arange(ops.shape(logits)[1]), logits, from_logits=True).value)
    data = np.random.default_rng(2).normal(size=(5, 3)).astype("float32")
    want = compute(np.arange(5, dtype="int32"), data @ data.T, from_logits=True)
    np.testing.assert_allclose(interpret(graph, {"rows": data}, {}).outputs[0], want, rtol=1e-5)


def test_mask_of_the_outputs_counts_valid_entries_only() -> None:
    graph = Graph("masked")
    with Trace(graph) as trace:
        y_true, y_pred = trace.input("y_true", (2, 3)), trace.input("y_pred", (2, 3, 1))
        mask = trace.input("mask", (2, 3), "bool")
        y_pred._keras_mask = mask
        graph.outputs.append(losses.MeanSquaredError()(ops.expand_dims(y_true, -1), y_pred).value)
    mask_value = np.array([[1, 1, 0], [0, 0, 1]], bool)
    y = np.arange(6, dtype="float32").reshape(2, 3)
    data = {"y_true": y, "y_pred": np.zeros((2, 3, 1), "float32"), "mask": mask_value}
    np.testing.assert_allclose(interpret(graph, data, {}).outputs[0], (y**2)[mask_value].mean(), rtol=1e-6)


def test_on_symbolic_tensors() -> None:
    a, b = SymbolicTensor((None, 4)), SymbolicTensor((None, 4))
    assert losses.mean_squared_error(a, b).shape == (None,)
