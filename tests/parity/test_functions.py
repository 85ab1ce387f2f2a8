"""Activations, losses, metrics, regularizers and constraints against Keras on JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import assert_close, keras, kgraph

pytestmark = pytest.mark.parity

X = np.array([[-40.0, -6.1, -3.0, -2.5, -1.0, -0.4], [0.0, 0.3, 0.5, 1.0, 3.0, 50.0]], "float32")

ACTIVATIONS = (
    "linear relu relu6 leaky_relu sigmoid tanh softmax log_softmax elu selu celu softplus softsign exponential "
    "hard_sigmoid hard_silu hard_swish silu swish gelu mish log_sigmoid glu hard_tanh hard_shrink soft_shrink "
    "tanh_shrink squareplus sparse_plus sparse_sigmoid"
).split()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    ours = kgraph.activations.get(name)(X)
    assert_close(ours, keras.activations.get(name)(keras.ops.convert_to_tensor(X)), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.4}),
        ("relu", {"max_value": 6}),
        ("relu", {"threshold": 1.0}),
        ("elu", {"alpha": 0.3}),
        ("celu", {"alpha": 2.0}),
        ("gelu", {"approximate": True}),
        ("softmax", {"axis": 0}),
        ("hard_shrink", {"threshold": 1.5}),
        ("soft_shrink", {"threshold": 1.5}),
        ("squareplus", {"b": 1}),
        ("threshold", {"threshold": 0.2, "default_value": -7.0}),
    ],
)
def test_activation_arguments(name: str, arguments: dict[str, Any]) -> None:
    ours = getattr(kgraph.activations, name)(X, **arguments)
    assert_close(ours, getattr(keras.activations, name)(keras.ops.convert_to_tensor(X), **arguments), rtol=1e-5)


# -- losses ---------------------------------------------------------------------------------------------------------
def _targets(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    real = rng.normal(size=(6, 4)).astype("float32")
    probability = rng.dirichlet(np.ones(4), 6).astype("float32")
    probability[0] = [1.0, 0.0, 0.0, 0.0]  # meets the clip
    one_hot = np.eye(4, dtype="float32")[[1, 0, 2, 3, 3, 1]]
    return {
        "real": (rng.normal(size=(6, 4)).astype("float32"), real),
        "positive": (rng.uniform(0, 3, (6, 4)).astype("float32"), rng.uniform(0, 3, (6, 4)).astype("float32")),
        "binary": (rng.integers(0, 2, (6, 4)).astype("float32"), probability),
        "binary_logits": (rng.integers(0, 2, (6, 4)).astype("float32"), 30 * real),
        "signs": (np.where(rng.normal(size=(6, 4)) > 0, 1, -1).astype("float32"), real),
        "one_hot": (one_hot, probability),
        "unnormalised": (one_hot, 3 * probability + 0.1),
        "one_hot_logits": (one_hot, 5 * real),
        "labels": (np.array([1, 0, 2, 3, 3, 1], "int32"), probability),
        "labels_column": (np.array([[1], [0], [2], [3], [3], [1]], "int32"), probability),
        "labels_logits": (np.array([1, 0, 2, 3, 3, 1], "int32"), 5 * real),
        "vector_column": (rng.normal(size=(6,)).astype("float32"), real[:, :1]),
        "column_vector": (rng.normal(size=(6, 1)).astype("float32"), real[:, 0]),
        "binary_column": (rng.integers(0, 2, 6).astype("int32"), probability[:, 1:2]),
        "spelling": (rng.integers(0, 5, (6, 3)), rng.normal(size=(6, 8, 5)).astype("float32")),
        "sequence": (rng.normal(size=(6, 3, 4)).astype("float32"), rng.normal(size=(6, 3, 4)).astype("float32")),
    }[kind]


LOSSES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "mse": (lambda m: m.MeanSquaredError(), "real"),
    "mse_rank": (lambda m: m.MeanSquaredError(), "vector_column"),
    "mse_rank_other": (lambda m: m.MeanSquaredError(), "column_vector"),
    "mse_sequence": (lambda m: m.MeanSquaredError(), "sequence"),
    "mae": (lambda m: m.MeanAbsoluteError(), "real"),
    "mape": (lambda m: m.MeanAbsolutePercentageError(), "real"),
    "msle": (lambda m: m.MeanSquaredLogarithmicError(), "real"),
    "huber": (lambda m: m.Huber(), "real"),
    "huber_delta": (lambda m: m.Huber(delta=0.3), "real"),
    "log_cosh": (lambda m: m.LogCosh(), "real"),
    "cosine": (lambda m: m.CosineSimilarity(), "real"),
    "cosine_axis": (lambda m: m.CosineSimilarity(axis=1), "sequence"),
    "hinge_signs": (lambda m: m.Hinge(), "signs"),
    "hinge_binary": (lambda m: m.Hinge(), "binary"),
    "squared_hinge": (lambda m: m.SquaredHinge(), "signs"),
    "categorical_hinge": (lambda m: m.CategoricalHinge(), "one_hot"),
    "kl": (lambda m: m.KLDivergence(), "one_hot"),
    "poisson": (lambda m: m.Poisson(), "positive"),
    "binary": (lambda m: m.BinaryCrossentropy(), "binary"),
    "binary_column": (lambda m: m.BinaryCrossentropy(), "binary_column"),
    "binary_logits": (lambda m: m.BinaryCrossentropy(from_logits=True), "binary_logits"),
    "binary_smooth": (lambda m: m.BinaryCrossentropy(label_smoothing=0.2), "binary"),
    "binary_focal": (lambda m: m.BinaryFocalCrossentropy(apply_class_balancing=True), "binary"),
    "categorical": (lambda m: m.CategoricalCrossentropy(), "one_hot"),
    "categorical_unnormalised": (lambda m: m.CategoricalCrossentropy(), "unnormalised"),
    "categorical_logits": (lambda m: m.CategoricalCrossentropy(from_logits=True), "one_hot_logits"),
    "categorical_smooth": (lambda m: m.CategoricalCrossentropy(label_smoothing=0.1), "one_hot"),
    "categorical_focal": (lambda m: m.CategoricalFocalCrossentropy(gamma=1.5), "one_hot"),
    "sparse": (lambda m: m.SparseCategoricalCrossentropy(), "labels"),
    "sparse_column": (lambda m: m.SparseCategoricalCrossentropy(), "labels_column"),
    "sparse_logits": (lambda m: m.SparseCategoricalCrossentropy(from_logits=True), "labels_logits"),
    "dice": (lambda m: m.Dice(), "binary"),
    "dice_axis": (lambda m: m.Dice(axis=1), "binary"),
    "tversky": (lambda m: m.Tversky(alpha=0.3, beta=0.7), "binary"),
    "circle": (lambda m: m.Circle(gamma=4.0), "labels"),
    "circle_diagonal": (lambda m: m.Circle(gamma=4.0, margin=0.2, remove_diagonal=False), "labels"),
    "generalized": (lambda m: m.CategoricalGeneralizedCrossEntropy(q=0.3), "labels"),
    "ctc": (lambda m: m.CTC(), "spelling"),
    "sparse_ignore": (lambda m: m.SparseCategoricalCrossentropy(ignore_class=3), "labels"),
}


@pytest.mark.parametrize("case", LOSSES)
def test_loss(case: str, rng: np.random.Generator) -> None:
    make, kind = LOSSES[case]
    y_true, y_pred = _targets(kind, rng)
    ours, theirs = make(kgraph.losses), make(keras.losses)
    assert ours.name == theirs.name
    assert_close(ours(y_true, y_pred), theirs(y_true, y_pred))
    weights = rng.uniform(0, 2, 6).astype("float32")
    if kind != "sequence":  # Keras cannot weight a sequence by sample
        assert_close(ours(y_true, y_pred, sample_weight=weights), theirs(y_true, y_pred, sample_weight=weights))
        assert_close(ours(y_true, y_pred, weights[:, None]), theirs(y_true, y_pred, weights[:, None]))


@pytest.mark.parametrize("reduction", ["sum", "none", None, "mean", "mean_with_sample_weight", "sum_over_batch_size"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reduction(reduction: str | None, weighted: bool, rng: np.random.Generator) -> None:
    y_true, y_pred = _targets("real", rng)
    weights = rng.uniform(0, 2, 6).astype("float32") if weighted else None
    ours = kgraph.losses.MeanAbsoluteError(reduction=reduction)(y_true, y_pred, weights)
    assert_close(ours, keras.losses.MeanAbsoluteError(reduction=reduction)(y_true, y_pred, weights))


LOSS_FUNCTIONS = (
    "mean_squared_error mean_absolute_error mean_absolute_percentage_error mean_squared_logarithmic_error huber "
    "log_cosh cosine_similarity hinge squared_hinge categorical_hinge kl_divergence poisson binary_crossentropy "
    "categorical_crossentropy"
).split()


@pytest.mark.parametrize("name", LOSS_FUNCTIONS)
def test_loss_function(name: str, rng: np.random.Generator) -> None:
    y_true, y_pred = _targets("one_hot", rng)
    ours = getattr(kgraph.losses, name)(y_true, y_pred)
    as_tensors = [keras.ops.convert_to_tensor(y) for y in (y_true, y_pred)]
    assert_close(ours, getattr(keras.losses, name)(*as_tensors))
    assert kgraph.losses.get(name) is getattr(kgraph.losses, name)


# -- metrics --------------------------------------------------------------------------------------------------------
METRICS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "accuracy": (lambda m: m.Accuracy(), "labels_equal"),
    "binary": (lambda m: m.BinaryAccuracy(), "binary"),
    "binary_column": (lambda m: m.BinaryAccuracy(threshold=0.2), "binary_column"),
    "categorical": (lambda m: m.CategoricalAccuracy(), "one_hot"),
    "sparse": (lambda m: m.SparseCategoricalAccuracy(), "labels"),
    "sparse_column": (lambda m: m.SparseCategoricalAccuracy(), "labels_column"),
    "top_k": (lambda m: m.TopKCategoricalAccuracy(k=2), "one_hot"),
    "sparse_top_k": (lambda m: m.SparseTopKCategoricalAccuracy(k=2), "labels"),
    "mse": (lambda m: m.MeanSquaredError(), "real"),
    "mae": (lambda m: m.MeanAbsoluteError(), "sequence"),
    "mape": (lambda m: m.MeanAbsolutePercentageError(), "real"),
    "msle": (lambda m: m.MeanSquaredLogarithmicError(), "positive"),
    "rmse": (lambda m: m.RootMeanSquaredError(), "real"),
    "cosine": (lambda m: m.CosineSimilarity(), "real"),
    "log_cosh": (lambda m: m.LogCoshError(), "real"),
    "hinge": (lambda m: m.Hinge(), "signs"),
    "squared_hinge": (lambda m: m.SquaredHinge(), "signs"),
    "categorical_hinge": (lambda m: m.CategoricalHinge(), "one_hot"),
    "kl": (lambda m: m.KLDivergence(), "one_hot"),
    "poisson": (lambda m: m.Poisson(), "positive"),
    "binary_crossentropy": (lambda m: m.BinaryCrossentropy(label_smoothing=0.1), "binary"),
    "categorical_crossentropy": (lambda m: m.CategoricalCrossentropy(), "one_hot"),
    "sparse_crossentropy": (lambda m: m.SparseCategoricalCrossentropy(from_logits=True), "labels_logits"),
    "precision": (lambda m: m.Precision(), "binary"),
    "precision_thresholds": (lambda m: m.Precision(thresholds=[0.1, 0.5]), "binary"),
    "recall": (lambda m: m.Recall(thresholds=0.2), "binary"),
    "recall_class": (lambda m: m.Recall(class_id=1, thresholds=0.1), "binary"),
    "true_positives": (lambda m: m.TruePositives(), "binary"),
    "true_negatives": (lambda m: m.TrueNegatives(), "binary"),
    "false_positives": (lambda m: m.FalsePositives(thresholds=0.1), "binary"),
    "false_negatives": (lambda m: m.FalseNegatives(), "binary"),
}


@pytest.mark.parametrize("case", METRICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_metric(case: str, weighted: bool, rng: np.random.Generator) -> None:
    make, kind = METRICS[case]
    ours, theirs = make(kgraph.metrics), make(keras.metrics)
    assert ours.name.split("_")[0] == theirs.name.split("_")[0]
    for _ in range(2):
        if kind == "labels_equal":
            y_true, y_pred = rng.integers(0, 3, (6, 1)), rng.integers(0, 3, (6, 1))
        else:
            y_true, y_pred = _targets(kind, rng)
        weights = rng.uniform(0, 2, 6).astype("float32") if weighted else None
        ours.update_state(y_true, y_pred, sample_weight=weights)
        theirs.update_state(y_true, y_pred, sample_weight=weights)
    assert_close(ours.result(), theirs.result())
    ours.reset_state()
    assert all(not np.asarray(v).any() for v in ours.variables)


def test_mean_and_sum(rng: np.random.Generator) -> None:
    for name in ("Mean", "Sum"):
        ours, theirs = getattr(kgraph.metrics, name)(), getattr(keras.metrics, name)()
        assert_close(ours.result(), theirs.result())
        for values, weights in [
            (3.5, None),
            (rng.normal(size=(4,)), None),
            (rng.normal(size=(4, 3)), rng.uniform(size=4)),
        ]:
            values = np.asarray(values, "float32")
            ours.update_state(values, sample_weight=weights)
            theirs.update_state(values, sample_weight=weights)
            assert_close(ours.result(), theirs.result())


# -- regularizers and constraints ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.L1(0.3),
        lambda m: m.L2(0.3),
        lambda m: m.L1L2(0.1, 0.2),
        lambda m: m.L2(),
        lambda m: m.OrthogonalRegularizer(0.4),
        lambda m: m.OrthogonalRegularizer(0.4, mode="columns"),
    ],
)
def test_regularizer(make: Callable[[Any], Any], rng: np.random.Generator) -> None:
    w = rng.normal(size=(4, 5)).astype("float32")
    assert_close(make(kgraph.regularizers)(w), make(keras.regularizers)(keras.ops.convert_to_tensor(w)))


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.MaxNorm(1.5),
        lambda m: m.MaxNorm(1.5, axis=1),
        lambda m: m.NonNeg(),
        lambda m: m.UnitNorm(axis=[0, 1]),
        lambda m: m.MinMaxNorm(1.0, 2.0),
        lambda m: m.MinMaxNorm(1.0, 1.5, rate=0.3, axis=1),
    ],
)
def test_constraint(make: Callable[[Any], Any], rng: np.random.Generator) -> None:
    w = rng.normal(size=(4, 5)).astype("float32")
    assert_close(make(kgraph.constraints)(w), make(keras.constraints)(keras.ops.convert_to_tensor(w)))
