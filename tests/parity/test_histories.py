"""Whole histories against Keras on JAX: losses, optimizers, options, models with two outputs, forms of `compile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import keras, kgraph

pytestmark = [pytest.mark.parity, pytest.mark.slow]

ROWS, BATCH = 17, 6  # three steps an epoch, the last with five rows
RNG = np.random.default_rng(5)
X = RNG.normal(size=(ROWS, 4)).astype("float32")
CLASS = RNG.integers(0, 3, ROWS)
ONE_HOT = np.eye(3, dtype="float32")[CLASS]
SIZE = RNG.normal(size=(ROWS, 2)).astype("float32")
WEIGHT = np.arange(ROWS) / 7.0
BOTH = {"kind": CLASS, "size": SIZE}

Options = Callable[[Any], dict[str, Any]]


def one(k: Any, units: int = 3, activation: str | None = "softmax") -> Any:
    head = k.layers.Dense(units, activation=activation, name="kind")
    return k.models.Sequential([k.layers.Input((4,)), k.layers.Dense(5, activation="tanh"), head])


def linear(k: Any) -> Any:
    return one(k, 2, None)


def positive(k: Any) -> Any:
    return one(k, 3, "softplus")


def binary(k: Any) -> Any:
    return one(k, 3, "sigmoid")


def two(k: Any, named: bool = False) -> Any:
    inputs = k.layers.Input((4,), name="in")
    hidden = k.layers.Dense(5, activation="tanh")(inputs)
    kind, size = k.layers.Dense(3, activation="softmax", name="kind"), k.layers.Dense(2, name="size")
    outputs = {"kind": kind(hidden), "size": size(hidden)} if named else [kind(hidden), size(hidden)]
    return k.models.Model(inputs, outputs)


def two_named(k: Any) -> Any:
    return two(k, named=True)


SPARSE = "sparse_categorical_crossentropy"
LOSSES = [SPARSE, "mse"]
# name: (model, what is fitted, compile, fit)
CASES: dict[str, tuple[Callable[[Any], Any], Any, Options, Options]] = {
    "mae-adam": (linear, SIZE, lambda k: {"loss": "mae", "optimizer": "adam"}, lambda k: {}),
    "huber-rmsprop": (linear, SIZE, lambda k: {"loss": "huber", "optimizer": "rmsprop"}, lambda k: {}),
    "log_cosh-nadam": (linear, SIZE, lambda k: {"loss": "log_cosh", "optimizer": "nadam"}, lambda k: {}),
    "cosine-adamax": (linear, SIZE, lambda k: {"loss": "cosine_similarity", "optimizer": "adamax"}, lambda k: {}),
    "poisson-adagrad": (positive, ONE_HOT, lambda k: {"loss": "poisson", "optimizer": "adagrad"}, lambda k: {}),
    "kld-lion": (one, ONE_HOT, lambda k: {"loss": "kl_divergence", "optimizer": "lion"}, lambda k: {}),
    "hinge-ftrl": (linear, np.sign(SIZE), lambda k: {"loss": "hinge", "optimizer": "ftrl"}, lambda k: {}),
    "bce-adadelta": (binary, ONE_HOT, lambda k: {"loss": "binary_crossentropy", "optimizer": "adadelta"}, lambda k: {}),
    "focal-adamw": (
        one,
        ONE_HOT,
        lambda k: {"loss": k.losses.CategoricalFocalCrossentropy(), "optimizer": k.optimizers.AdamW(0.02)},
        lambda k: {},
    ),
    "smoothing-lamb": (
        one,
        ONE_HOT,
        lambda k: {"loss": k.losses.CategoricalCrossentropy(label_smoothing=0.1), "optimizer": k.optimizers.Lamb(0.02)},
        lambda k: {},
    ),
    "sum-momentum": (
        linear,
        SIZE,
        lambda k: {
            "loss": k.losses.MeanSquaredError(reduction="sum"),
            "optimizer": k.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        },
        lambda k: {"sample_weight": WEIGHT},
    ),
    "weighted-mean": (
        linear,
        SIZE,
        lambda k: {"loss": k.losses.MeanSquaredError(reduction="mean_with_sample_weight")},
        lambda k: {"sample_weight": WEIGHT},
    ),
    "multi-optimizer": (
        one,
        CLASS,
        lambda k: {
            "loss": SPARSE,
            "optimizer": k.optimizers.MultiOptimizer(
                k.optimizers.OptimizerMap(k.optimizers.Adam(0.05), {".*kind/.*": k.optimizers.SGD(0.1)})
            ),
        },
        lambda k: {},
    ),
    "undecayed": (
        one,
        CLASS,
        lambda k: {"loss": SPARSE, "optimizer": _undecayed(k)},
        lambda k: {},
    ),
    "one-hot-class-weight": (
        one,
        ONE_HOT,
        lambda k: {"loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        lambda k: {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    ),
    "both-kinds-of-metrics": (
        one,
        ONE_HOT,
        lambda k: {
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
            "weighted_metrics": ["accuracy", "mse"],
        },
        lambda k: {"sample_weight": WEIGHT, "validation_data": (X[:7], ONE_HOT[:7], WEIGHT[:7])},
    ),
    "ragged-validation": (
        one,
        CLASS,
        lambda k: {"loss": SPARSE, "metrics": [k.metrics.SparseTopKCategoricalAccuracy(2)]},
        lambda k: {"validation_data": (X[:13], CLASS[:13]), "validation_batch_size": 4, "validation_freq": [2]},
    ),
    "steps_per_execution": (
        one,
        ONE_HOT,
        lambda k: {"loss": "categorical_crossentropy", "steps_per_execution": 2, "metrics": [k.metrics.AUC()]},
        lambda k: {"initial_epoch": 1, "validation_split": 0.3},
    ),
    "run_eagerly": (one, CLASS, lambda k: {"loss": SPARSE, "run_eagerly": True}, lambda k: {}),
    "outputs-lists": (
        two,
        [CLASS, SIZE],
        lambda k: {"loss": LOSSES, "metrics": [["accuracy"], ["mae"]]},
        lambda k: {"validation_data": (X, [CLASS, SIZE])},
    ),
    "outputs-flat-metrics": (
        two,
        [CLASS, SIZE],
        lambda k: {"loss": LOSSES, "metrics": ["accuracy", "mae"]},
        lambda k: {},
    ),
    "outputs-dicts": (
        two,
        BOTH,
        lambda k: {
            "loss": dict(zip(BOTH, LOSSES)),
            "metrics": {"size": ["mae", "mse"]},
            "loss_weights": {"kind": 2.0, "size": 0.5},
        },
        lambda k: {},
    ),
    "outputs-weights": (
        two,
        [CLASS, SIZE],
        lambda k: {
            "loss": LOSSES,
            "loss_weights": [0.3, 1.5],
            "metrics": [["accuracy"], ["mae"]],
            "weighted_metrics": [["accuracy"], ["mae"]],
        },
        lambda k: {"sample_weight": [WEIGHT, WEIGHT[::-1].copy()]},
    ),
    "outputs-named": (
        two_named,
        BOTH,
        lambda k: {"loss": dict(zip(BOTH, LOSSES)), "metrics": {"kind": ["accuracy"], "size": ["mae"]}},
        lambda k: {"validation_split": 0.2},
    ),
    "outputs-one-loss": (two, [CLASS, SIZE], lambda k: {"loss": [SPARSE, None]}, lambda k: {}),
}


def _undecayed(k: Any) -> Any:
    optimizer = k.optimizers.Adam(0.05, weight_decay=0.2)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize("case", CASES)
def test_history(case: str, rng: np.random.Generator) -> None:
    make, y, compile_with, fit_with = CASES[case]
    ours, theirs = make(kgraph), make(keras)
    weights = [rng.normal(0, 0.5, weight.shape).astype("float32") for weight in theirs.get_weights()]
    found = []
    for k, model in ((kgraph, ours), (keras, theirs)):
        model.set_weights(weights)
        model.compile(**{"optimizer": k.optimizers.SGD(0.1), **compile_with(k)})
        options = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0, **fit_with(k)}
        history = model.fit(X, y, **options).history
        listed = model.evaluate(X, y, batch_size=BATCH, verbose=0)
        found.append((history, model.evaluate(X, y, batch_size=BATCH, verbose=0, return_dict=True), listed))
    (ours_history, ours_values, ours_list), (their_history, their_values, their_list) = found
    assert list(ours_history) == list(their_history) and list(ours_values) == list(their_values)
    for key, values in their_history.items():
        np.testing.assert_allclose(ours_history[key], values, rtol=1e-4, atol=1e-5, err_msg=key)
    for key, value in their_values.items():
        np.testing.assert_allclose(ours_values[key], value, rtol=1e-4, atol=1e-5, err_msg=key)
    if case != "both-kinds-of-metrics":  # Keras lists a metric twice that is also a weighted one
        np.testing.assert_allclose(ours_list, their_list, rtol=1e-4, atol=1e-5)
    for have, want in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-4, atol=2e-5)
