"""kgraph alone: exact resume, clones, custom objects, checkpoints, the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph as keras
from kgraph.cli import main
from kgraph.models import clone_model, load_model, model_from_json

L = keras.layers


def noisy() -> Any:
    model = keras.Sequential([keras.Input((4,)), L.Dense(8), L.Dropout(0.5), L.BatchNormalization(), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), "mse", metrics=["mae"])
    return model


X = np.random.default_rng(0).random((16, 4), np.float32)
Y = X.sum(1, keepdims=True)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_training_goes_on_with_the_same_numbers(tmp_path: Path, ending: str) -> None:
    model = noisy()
    model.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    model.save(tmp_path / f"m.{ending}")
    twin = load_model(tmp_path / f"m.{ending}")
    one, two = (m.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0).history for m in (model, twin))
    assert one == two
    for a, b in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_checkpoints_of_whole_models(tmp_path: Path) -> None:
    model = noisy()
    callback = keras.callbacks.ModelCheckpoint(str(tmp_path / "e{epoch}.keras"))
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e1.keras", "e2.keras"]
    np.testing.assert_array_equal(load_model(tmp_path / "e2.keras").predict(X, verbose=0), model.predict(X, verbose=0))


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = noisy()
    source = tmp_path / "m.keras"
    model.save(source)
    assert main(["summary", str(source)]) == 0
    assert "Dropout" in capsys.readouterr().out
    for target in ("m.h5", "m.json", "m.weights.h5"):
        assert main(["convert", str(source), str(tmp_path / target)]) == 0
    assert main(["convert", str(source), str(tmp_path / "m.h5")]) == 1
    assert "exists" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "m.h5"), str(source), "--force"]) == 0
    np.testing.assert_array_equal(load_model(source).predict(X, verbose=0), model.predict(X, verbose=0))
    assert main(["summary", str(tmp_path / "m.json")]) == 0
    assert main(["summary", str(tmp_path / "none.keras")]) == 1


@keras.utils.register_keras_serializable("tests")
class Twice(L.Layer):  # type: ignore[misc]
    def call(self, inputs: Any) -> Any:
        return inputs * 2.0


@keras.utils.register_keras_serializable("tests")
class Tower(keras.Model):  # type: ignore[misc]
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.first, self.last = L.Dense(units, activation="relu"), L.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.last(self.first(inputs))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def test_registered_classes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), Twice(), L.Dense(2)])
    model.save(tmp_path / "r.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "r.keras").predict(X, verbose=0), model.predict(X, verbose=0))
    tower = Tower(3)
    tower.compile("adam", "mse")
    tower.fit(X, Y, verbose=0)
    tower.save(tmp_path / "t.keras")
    twin = load_model(tmp_path / "t.keras")
    assert type(twin) is Tower
    np.testing.assert_array_equal(twin.predict(X, verbose=0), tower.predict(X, verbose=0))


def test_scopes() -> None:
    def third(x: Any) -> Any:
        return x / 3.0

    before = dict(keras.utils.get_custom_objects())
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, activation=third)])
    text = model.to_json()
    with pytest.raises(ValueError, match="third"):
        model_from_json(text)
    with keras.utils.custom_object_scope({"third": third}):
        assert model_from_json(text).layers[0].activation is third
    with keras.utils.CustomObjectScope({"third": third}):
        assert model_from_json(text).layers[0].activation is third
    assert model_from_json(text, {"third": third}).layers[0].activation is third
    assert keras.utils.get_custom_objects() == before


def test_clone_and_from_config() -> None:
    x = keras.Input((4,))
    shared = L.Dense(4, name="shared")
    model = keras.Model(x, shared(keras.ops.tanh(shared(x))) + x)
    for twin in (clone_model(model), keras.Model.from_config(model.get_config())):
        twin.set_weights(model.get_weights())
        np.testing.assert_allclose(twin.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)
        assert twin.get_layer("shared") is not shared


def test_a_model_from_the_middle(tmp_path: Path) -> None:
    x = keras.Input((4,))
    middle = L.Dense(3, name="a")(x)
    out = L.Dense(2, name="b")(middle)
    part = keras.Model(middle, out)
    part.save(tmp_path / "p.keras")
    h = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(load_model(tmp_path / "p.keras").predict(h, verbose=0), part.predict(h, verbose=0))


def test_objects() -> None:
    for thing in (
        L.Dense(3, kernel_regularizer="l2"),
        L.Bidirectional(L.LSTM(2)),
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 5)),
        keras.losses.Huber(delta=0.3),
        keras.metrics.AUC(),
        keras.regularizers.L1(0.1),
        keras.initializers.HeNormal(seed=3),
    ):
        description = keras.utils.serialize_keras_object(thing)
        again = keras.utils.deserialize_keras_object(description)
        assert type(again) is type(thing)
        assert keras.utils.serialize_keras_object(again) == description
