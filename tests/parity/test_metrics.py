"""Metrics against Keras on JAX: values over two batches, and inside the native train and eval steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kgraph.models
from tests.parity.comparing import assert_close, keras, kgraph

# Keras asks JAX for int64 sums, which it does not have by default.
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")]

Make = Callable[[Any], Any]
Data = Callable[[np.random.Generator, int], tuple[Any, Any]]


def _binary(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    y = rng.integers(0, 2, (rows, 1)).astype("float32")
    return y, np.clip(0.3 * y + rng.uniform(0, 0.7, (rows, 1)), 0, 1).astype("float32")


def _labels(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    y = rng.integers(0, 2, (rows, 4)).astype("float32")
    return y, np.round(0.2 * y + rng.uniform(0, 0.8, y.shape), 1).astype("float32")  # rounded: ties, and thresholds


def _one_hot(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    y = np.eye(4, dtype="float32")[rng.integers(0, 4, rows)]
    p = rng.uniform(0.1, 1, y.shape) + y
    return y, (p / p.sum(-1, keepdims=True)).astype("float32")


def _ids(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    return rng.integers(0, 4, rows).astype("int32"), rng.integers(0, 4, rows).astype("int32")


def _numbers(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    y = rng.normal(size=(rows, 3)).astype("float32")
    return y, (y + rng.normal(0, 0.5, y.shape)).astype("float32")


def _logits(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    y, p = _binary(rng, rows)
    return y, (6 * p - 3).astype("float32")


METRICS: dict[str, tuple[Make, Data]] = {
    "auc": (lambda m: m.AUC(), _binary),
    "auc_ties": (lambda m: m.AUC(num_thresholds=11), _labels),
    "auc_pr": (lambda m: m.AUC(curve="PR", num_thresholds=50), _binary),
    "auc_pr_minoring": (lambda m: m.AUC(curve="PR", summation_method="minoring"), _binary),
    "auc_majoring": (lambda m: m.AUC(summation_method="majoring", num_thresholds=20), _binary),
    "auc_prgain": (lambda m: m.AUC(curve="PRGAIN", num_thresholds=20), _binary),
    "auc_thresholds": (lambda m: m.AUC(thresholds=[0.1, 0.35, 0.8]), _binary),
    "auc_logits": (lambda m: m.AUC(from_logits=True), _logits),
    "auc_multi_label": (lambda m: m.AUC(multi_label=True, num_thresholds=20), _labels),
    "auc_multi_label_pr": (
        lambda m: m.AUC(multi_label=True, num_labels=4, curve="PR", label_weights=[1.0, 2.0, 0.0, 1.0]),
        _labels,
    ),
    "auc_label_weights": (lambda m: m.AUC(label_weights=[1.0, 2.0, 0.5, 1.0]), _labels),
    "precision": (lambda m: m.Precision(), _binary),
    "precision_thresholds": (lambda m: m.Precision(thresholds=[0.2, 0.5, 0.7]), _binary),
    "precision_even": (lambda m: m.Precision(thresholds=[0.0, 0.5, 1.0]), _labels),
    "precision_top_k": (lambda m: m.Precision(top_k=2), _one_hot),
    "precision_top_k_ties": (lambda m: m.Precision(top_k=2, class_id=1, thresholds=0.3), _labels),
    "recall": (lambda m: m.Recall(), _labels),
    "recall_top_k": (lambda m: m.Recall(top_k=3), _labels),
    "recall_class": (lambda m: m.Recall(class_id=2, thresholds=0.4), _one_hot),
    "true_positives": (lambda m: m.TruePositives(thresholds=[0.3, 0.6]), _binary),
    "true_negatives": (lambda m: m.TrueNegatives(), _labels),
    "false_positives": (lambda m: m.FalsePositives(), _labels),
    "false_negatives": (lambda m: m.FalseNegatives(thresholds=0.4), _labels),
    "precision_at_recall": (lambda m: m.PrecisionAtRecall(0.7), _binary),
    "recall_at_precision": (lambda m: m.RecallAtPrecision(0.6, num_thresholds=50), _binary),
    "sensitivity_at_specificity": (lambda m: m.SensitivityAtSpecificity(0.6, num_thresholds=1), _binary),
    "specificity_at_sensitivity": (lambda m: m.SpecificityAtSensitivity(0.6, class_id=1), _labels),
    "f1": (lambda m: m.F1Score(), _one_hot),
    "f1_micro": (lambda m: m.F1Score(average="micro", threshold=0.4), _labels),
    "fbeta_macro": (lambda m: m.FBetaScore(average="macro", beta=2.0), _one_hot),
    "fbeta_weighted": (lambda m: m.FBetaScore(average="weighted", beta=0.5, threshold=0.5), _labels),
    "r2": (lambda m: m.R2Score(), _numbers),
    "r2_weighted": (lambda m: m.R2Score(class_aggregation="variance_weighted_average"), _numbers),
    "r2_each": (lambda m: m.R2Score(class_aggregation=None, num_regressors=2), _numbers),
    "pearson": (lambda m: m.PearsonCorrelation(), _numbers),
    "concordance": (lambda m: m.ConcordanceCorrelation(), _numbers),
    "iou": (lambda m: m.IoU(4, [0, 2], dtype="float32"), _ids),
    "iou_ignored": (lambda m: m.IoU(4, [0, 1, 2], ignore_class=1, sparse_y_true=False, sparse_y_pred=False), _one_hot),
    "binary_iou": (lambda m: m.BinaryIoU(threshold=0.4), _binary),
    "mean_iou": (lambda m: m.MeanIoU(4), _ids),
    "one_hot_iou": (lambda m: m.OneHotIoU(4, [1, 3]), _one_hot),
    "one_hot_mean_iou": (lambda m: m.OneHotMeanIoU(4), _one_hot),
    "rmse": (lambda m: m.RootMeanSquaredError(), _numbers),
    "top_k": (lambda m: m.TopKCategoricalAccuracy(k=2), _one_hot),
    "hinge": (lambda m: m.Hinge(), _labels),
    "kld": (lambda m: m.KLDivergence(), _one_hot),
    "poisson": (lambda m: m.Poisson(), _labels),
    "logcosh": (lambda m: m.LogCoshError(), _numbers),
    "cosine": (lambda m: m.CosineSimilarity(), _numbers),
    "bce_smoothed": (lambda m: m.BinaryCrossentropy(label_smoothing=0.2), _labels),
}
_WHOLE_NUMBERS_ONLY = ("iou",)  # Keras keeps the sums of these as int32


@pytest.mark.parametrize("case", METRICS)
def test_two_batches(case: str, rng: np.random.Generator) -> None:
    make, data = METRICS[case]
    ours, theirs = make(kgraph.metrics), make(keras.metrics)
    for rows in (9, 5):
        y, p = data(rng, rows)
        ours.update_state(y, p)
        theirs.update_state(y, p)
    assert_close(ours.result(), theirs.result(), rtol=1e-5, atol=1e-6)
    ours.reset_state()
    theirs.reset_state()
    y, p = data(rng, 8)
    weight = rng.integers(1, 4, 8).astype("float32" if "iou" not in case else "int32")
    ours.update_state(y, p, sample_weight=weight)
    theirs.update_state(y, p, sample_weight=weight)
    assert_close(ours.result(), theirs.result(), rtol=1e-5, atol=1e-6)
    config = ours.get_config()
    again = kgraph.metrics.deserialize(kgraph.metrics.serialize(ours))
    assert again.get_config() == config
    missing = set(theirs.get_config()) - set(config)
    assert not missing - {"fn", "axis"}


NATIVE = {
    1: ["auc", "auc_pr", "precision", "precision_thresholds", "recall_at_precision", "binary_iou"],
    4: ["auc_multi_label", "precision_top_k", "f1", "fbeta_weighted", "r2", "pearson", "one_hot_mean_iou"],
}


@pytest.mark.parametrize("outputs", NATIVE)
def test_in_native_steps(outputs: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(23, 5)).astype("float32")
    y = _binary(rng, 23)[0] if outputs == 1 else _one_hot(rng, 23)[0]
    weights = [rng.normal(0, 0.7, (5, outputs)).astype("float32"), np.zeros(outputs, "float32")]
    histories, evaluated = [], []
    for k in (kgraph, keras):
        k.backend.clear_session()  # histories are in the order of the names, and names are counted
        model = k.models.Sequential([k.layers.Input((5,)), k.layers.Dense(outputs, activation="sigmoid")])
        model.set_weights(weights)
        model.compile("sgd", "mse", metrics=[METRICS[name][0](k.metrics) for name in NATIVE[outputs]])
        fit = {"epochs": 2, "batch_size": 6, "shuffle": False, "verbose": 0, "validation_split": 0.3}
        histories.append(list(model.fit(x, y, **fit).history.values()))
        evaluated.append(model.evaluate(x, y, verbose=0, return_dict=True))
    for a, b in zip(*histories, strict=True):
        for mine, other in zip(a, b, strict=True):
            assert_close(mine, other, rtol=1e-4, atol=1e-5)
    for a, b in zip(evaluated[0].values(), evaluated[1].values(), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-5)
