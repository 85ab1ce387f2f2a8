"""Training on the CPU target against Keras on JAX, from equal weights: histories, weights after 20 steps, options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kgraph.models
from tests.parity.comparing import assert_close, keras, kgraph

pytestmark = pytest.mark.parity

Make = Callable[[Any], Any]
ROWS, BATCH, EPOCHS = 23, 6, 5  # four steps an epoch, the last with five rows


def _model(k: Any, outputs: int = 3, activation: str = "softmax", **hidden: Any) -> Any:
    return k.models.Sequential(
        [
            k.layers.Input((4,)),
            k.layers.Dense(5, activation="tanh", name="hidden", **hidden),
            k.layers.Dense(outputs, activation=activation, name="head"),
        ]
    )


def _pair(rng: np.random.Generator, make: Callable[[Any], Any] = _model) -> tuple[Any, Any]:
    ours, theirs = make(kgraph), make(keras)
    weights = [rng.normal(0, 0.5, w.shape).astype("float32") for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def _data(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(ROWS, 4)).astype("float32"), rng.integers(0, 3, ROWS)


def _fit(model: Any, x: Any, y: Any, **options: Any) -> Any:
    settings: dict[str, Any] = {"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    return model.fit(x, y, **{**settings, **options}).history


def _assert_same_history(ours: Any, theirs: Any, rtol: float = 1e-4) -> None:
    assert sorted(ours) == sorted(theirs)
    for key, values in theirs.items():
        np.testing.assert_allclose(ours[key], values, rtol=rtol, atol=1e-5, err_msg=key)


def _assert_same_weights(ours: Any, theirs: Any, rtol: float = 2e-4, atol: float = 2e-5) -> None:
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b, rtol=rtol, atol=atol)


OPTIMIZERS: dict[str, Make] = {
    "accumulate": lambda m: m.Adam(0.05, gradient_accumulation_steps=3, clipnorm=0.3),
    "ema": lambda m: m.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.8),
    "ema_overwrite": lambda m: m.Adam(0.05, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "weight_decay": lambda m: m.Adam(0.05, weight_decay=0.1),
    "clipnorm": lambda m: m.SGD(0.1, clipnorm=0.05),
    "global_clipnorm": lambda m: m.SGD(0.1, global_clipnorm=0.1, weight_decay=0.05),
    "loss_scale": lambda m: m.SGD(0.1, loss_scale_factor=16.0),
    "loss_scaling": lambda m: m.LossScaleOptimizer(m.Adam(0.02), initial_scale=8.0, dynamic_growth_steps=3),
    "schedule": lambda m: m.Adam(m.schedules.CosineDecayRestarts(0.1, 5, t_mul=1.5, m_mul=0.8)),
    "adafactor": lambda m: m.Adafactor(0.1),
    "muon": lambda m: m.Muon(0.01),
    "schedule_free": lambda m: m.ScheduleFreeAdamW(0.05, warmup_steps=4),
}


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_twenty_steps_in_native_code(case: str, rng: np.random.Generator) -> None:
    ours, theirs = _pair(rng)
    x, y = _data(rng)
    histories = []
    for model, k in ((ours, kgraph), (theirs, keras)):
        model.compile(OPTIMIZERS[case](k.optimizers), "sparse_categorical_crossentropy")
        histories.append(_fit(model, x, y))
    _assert_same_history(*histories)
    _assert_same_weights(ours, theirs)


FITS: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "sample_weight": lambda rng: {"sample_weight": rng.uniform(0.1, 2.0, ROWS)},
    "class_weight": lambda rng: {"class_weight": {0: 0.5, 2: 3.0}},
    "validation_split": lambda rng: {"validation_split": 0.3},
    "validation_freq": lambda rng: {"validation_split": 0.3, "validation_freq": 2},
    "validation_freq_list": lambda rng: {"validation_split": 0.3, "validation_freq": [1, 4]},
    "validation_steps": lambda rng: {
        "validation_data": (rng.normal(size=(20, 4)).astype("float32"), rng.integers(0, 3, 20)),
        "validation_steps": 2,
        "validation_batch_size": 4,
    },
    "initial_epoch": lambda rng: {"initial_epoch": 2},
}


@pytest.mark.parametrize("case", FITS)
def test_histories(case: str, rng: np.random.Generator) -> None:
    ours, theirs = _pair(rng)
    x, y = _data(rng)
    options = FITS[case](rng)
    histories = []
    for model in (ours, theirs):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
        histories.append(_fit(model, x, y, **options))
    _assert_same_history(*histories)
    _assert_same_weights(ours, theirs)


def test_labels_spelled_by_steps(rng: np.random.Generator) -> None:
    def make(k: Any) -> Any:
        return k.models.Sequential([k.layers.Input((8, 3)), k.layers.Dense(5), k.layers.Dense(6)])

    ours, theirs = _pair(rng, make)
    x, y = rng.normal(size=(ROWS, 8, 3)).astype("float32"), rng.integers(1, 6, (ROWS, 4))
    y[np.arange(4) >= rng.integers(1, 5, (ROWS, 1))] = 0  # the blank pads shorter rows
    histories = []
    for model in (ours, theirs):
        model.compile("adam", "ctc")
        histories.append(_fit(model, x, y, epochs=3, sample_weight=np.linspace(0.5, 2.0, ROWS)))
    _assert_same_history(*histories)
    _assert_same_weights(ours, theirs)


def test_classes_that_are_the_rows_of_the_batch(rng: np.random.Generator) -> None:
    def make(k: Any) -> Any:
        class Similarities(k.layers.Layer):  # type: ignore[misc,name-defined]
            def call(self, inputs: Any) -> Any:
                return k.ops.matmul(inputs, k.ops.transpose(inputs))

        return k.models.Sequential([k.layers.Input((4,)), k.layers.Dense(5, activation="tanh"), Similarities()])

    ours, theirs = _pair(rng, make)
    x, y = _data(rng)
    histories = []
    for model, k in ((ours, kgraph), (theirs, keras)):

        def own_row(y_true: Any, y_pred: Any, k: Any = k) -> Any:
            rows = k.ops.arange(k.ops.shape(y_pred)[0])
            return k.losses.sparse_categorical_crossentropy(rows, y_pred, from_logits=True)

        model.compile("sgd", own_row)
        histories.append(_fit(model, x, y, epochs=3))
    _assert_same_history(*histories)
    _assert_same_weights(ours, theirs)


def test_temporal_sample_weights(rng: np.random.Generator) -> None:
    def make(k: Any) -> Any:
        return k.models.Sequential([k.layers.Input((5, 3)), k.layers.LSTM(4, return_sequences=True), k.layers.Dense(1)])

    ours, theirs = _pair(rng, make)
    x, y = rng.normal(size=(ROWS, 5, 3)).astype("float32"), rng.normal(size=(ROWS, 5, 1)).astype("float32")
    weight = rng.uniform(0.0, 2.0, (ROWS, 5)).astype("float32")
    histories = []
    for model in (ours, theirs):
        model.compile("sgd", "mse", weighted_metrics=["mae"])
        histories.append(_fit(model, x, y, sample_weight=weight, epochs=2))
    _assert_same_history(*histories)
    _assert_same_weights(ours, theirs)


def test_add_loss_and_activity_regularizer(rng: np.random.Generator) -> None:
    def make(k: Any) -> Any:
        class Penalty(k.layers.Layer):  # type: ignore[misc,name-defined]
            def call(self, inputs: Any) -> Any:
                self.add_loss(k.ops.mean(k.ops.square(inputs)) * 0.3)
                return inputs

        return k.models.Sequential(
            [
                k.layers.Input((4,)),
                k.layers.Dense(5, activation="tanh", activity_regularizer="l2", kernel_regularizer="l1"),
                Penalty(),
                k.layers.Dense(3),
            ]
        )

    ours, theirs = _pair(rng, make)
    x, _ = _data(rng)
    y = rng.normal(size=(ROWS, 3)).astype("float32")
    histories = []
    for model in (ours, theirs):
        model.compile("adam", "mse", metrics=["mse"])
        histories.append(_fit(model, x, y, validation_split=0.2))
    _assert_same_history(*histories)
    _assert_same_weights(ours, theirs)


def test_layers_frozen_and_released_between_fits(rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = _pair(rng)
    x, y = _data(rng)
    for model in (ours, theirs):
        for trainable in (True, False, True):
            model.get_layer("hidden").trainable = trainable
            model.compile("adam", "sparse_categorical_crossentropy")
            _fit(model, x, y, epochs=2)
    _assert_same_weights(ours, theirs)
    # Without another compile(): the slots of released layers are made, those of the others stay.
    ours.get_layer("hidden").trainable = False
    ours.compile("adam", "sparse_categorical_crossentropy")
    before = ours.get_weights()[0].copy()
    _fit(ours, x, y, epochs=1)
    assert (ours.get_weights()[0] == before).all()
    ours.get_layer("hidden").trainable = True
    capsys.readouterr()
    _fit(ours, x, y, epochs=1, verbose=2)
    assert (
        "compiled the train step for target cpu again, since layers were frozen or released" in capsys.readouterr().out
    )
    assert (ours.get_weights()[0] != before).all()
    assert len(ours.optimizer.variables) == 2 + 2 * len(ours.trainable_variables)


def test_swap_ema_weights(rng: np.random.Generator) -> None:
    ours, theirs = _pair(rng)
    x, y = _data(rng)
    histories = []
    for model, k in ((ours, kgraph), (theirs, keras)):
        model.compile(
            k.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7), "sparse_categorical_crossentropy", metrics=["acc"]
        )
        swap = k.callbacks.SwapEMAWeights(swap_on_epoch=True)
        histories.append(_fit(model, x, y, callbacks=[swap], validation_split=0.2))
    _assert_same_history(*histories)
    _assert_same_weights(ours, theirs)
