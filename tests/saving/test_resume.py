"""Training that goes on from a file equals training that was never interrupted, bit for bit; losses of a model too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.models import load_model, model_from_json

L: Any = kgraph.layers
O: Any = kgraph.optimizers  # noqa: E741
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 5)).astype("float32"), RNG.normal(size=(24, 1)).astype("float32")

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "Adam": lambda: O.Adam(1e-2),
    "SGD with momentum": lambda: O.SGD(1e-2, momentum=0.9, nesterov=True),
    "schedule": lambda: O.Adam(O.schedules.ExponentialDecay(1e-2, 3, 0.5)),
    "EMA": lambda: O.Adam(1e-2, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4),
    "loss scale": lambda: O.LossScaleOptimizer(O.Adam(1e-2), initial_scale=8.0, dynamic_growth_steps=3),
    "accumulation": lambda: O.RMSprop(1e-2, clipnorm=1.0, weight_decay=0.1, gradient_accumulation_steps=4),
}


def model_of(optimizer: Callable[[], Any]) -> Any:
    kgraph.utils.set_random_seed(3)
    x = kgraph.Input((5,))
    h = L.BatchNormalization()(L.Dense(6, activation="relu")(x))
    h = L.GaussianNoise(0.1)(L.Dropout(0.3)(h))
    model = kgraph.Model(x, L.Dense(1)(h))
    model.compile(optimizer(), "mse", metrics=["mae"])
    return model


def train(model: Any, batches: int) -> None:
    for index in range(batches):
        place = index % 3 * 8
        model.train_on_batch(X[place : place + 8], Y[place : place + 8])


def same(first: Any, second: Any) -> None:
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_files(tmp_path: Path, optimizer: str) -> None:
    whole, part = model_of(OPTIMIZERS[optimizer]), model_of(OPTIMIZERS[optimizer])
    train(whole, 12)
    train(part, 6)
    for ending in ("keras", "h5"):
        part.save(tmp_path / f"m.{ending}")
        twin = load_model(tmp_path / f"m.{ending}")
        same(part, twin)
        train(twin, 6)
        same(whole, twin)


class _Stop(Exception):
    pass


class _StopIn(kgraph.callbacks.Callback):  # type: ignore[misc, name-defined]
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise _Stop


@pytest.mark.parametrize("optimizer", ["Adam", "schedule", "EMA"])
def test_backup_and_restore(tmp_path: Path, optimizer: str) -> None:
    settings = {"epochs": 4, "batch_size": 8, "verbose": 0, "shuffle": False}
    whole, part, twin = (model_of(OPTIMIZERS[optimizer]) for _ in range(3))
    whole.fit(X, Y, **settings)
    with pytest.raises(_Stop):
        part.fit(X, Y, **settings, callbacks=[kgraph.callbacks.BackupAndRestore(tmp_path / "b"), _StopIn(2)])
    twin.fit(X, Y, **settings, callbacks=[kgraph.callbacks.BackupAndRestore(tmp_path / "b")])
    same(whole, twin)


# -- losses that were added to a model --------------------------------------------------------------------------------
def with_losses() -> Any:
    """A small variational encoder: a loss on the way, and one on the output."""
    ops = kgraph.ops
    x = kgraph.Input((5,), name="x")
    mean, spread = L.Dense(3, name="mu")(x), L.Dense(3, name="log_var")(x)
    y = L.Dense(5, name="decoder")(mean + ops.exp(spread * 0.5))
    model = kgraph.Model(x, y)
    model.add_loss(-0.5 * ops.mean(ops.sum(1 + spread - ops.square(mean) - ops.exp(spread), axis=-1)))
    model.add_loss(ops.mean(ops.abs(y)))
    model.compile(O.SGD(0.1), "mse")
    return model


@pytest.mark.filterwarnings("ignore:.*:UserWarning:keras")
def test_losses_of_a_model_are_kept(tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    model = with_losses()
    want = model.evaluate(X, X, verbose=0)
    plain = kgraph.Model(model.input, model.output)
    plain.compile("sgd", "mse")
    assert plain.evaluate(X, X, verbose=0) < want
    for ending in ("keras", "h5"):
        path = tmp_path / f"m.{ending}"
        model.save(path)
        twin = load_model(path)
        assert twin.evaluate(X, X, verbose=0) == want
        theirs = keras.models.load_model(path)  # it does not know these losses, and reads the rest
        np.testing.assert_allclose(theirs.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-5)
    twin.fit(X, X, epochs=2, verbose=0, shuffle=False)
    model.fit(X, X, epochs=2, verbose=0, shuffle=False)
    same(model, twin)
    third = model_from_json(model.to_json())
    third.set_weights(model.get_weights())
    third.compile("sgd", "mse")
    assert third.evaluate(X, X, verbose=0) == model.evaluate(X, X, verbose=0)
    outer = kgraph.Model(model.input, model(model.input))
    outer.compile("sgd", "mse")
    outer.save(tmp_path / "outer.keras")
    assert load_model(tmp_path / "outer.keras").evaluate(X, X, verbose=0) == outer.evaluate(X, X, verbose=0)


def test_a_sequential_says_that_it_cannot(tmp_path: Path) -> None:
    model = kgraph.Sequential([kgraph.Input((5,)), L.Dense(5)])
    model.add_loss(kgraph.ops.mean(model.output))
    with pytest.warns(UserWarning, match="not kept"):
        model.save(tmp_path / "s.keras")
