"""`.h5` files as Keras 2 wrote them, made here by hand: bare lists of layers, "Model", `batch_input_shape`, names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kgraph as keras
from kgraph.errors import DataError, FileError, InvalidArgumentError, ShapeError
from kgraph.models import load_model

GLOROT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
}
ZEROS: dict[str, Any] = {"class_name": "Zeros", "config": {}}
Weights = dict[str, dict[str, np.ndarray[Any, Any]]]


def dense(name: str, units: int, activation: str = "linear", **more: Any) -> dict[str, Any]:
    return {
        "class_name": "Dense",
        "config": {
            "name": name, "trainable": True, "units": units, "activation": activation, "use_bias": True,
            "kernel_initializer": GLOROT, "bias_initializer": ZEROS, "kernel_regularizer": None,
            "bias_regularizer": None, "activity_regularizer": None, "kernel_constraint": None, "bias_constraint": None,
            **more,
        },
    }  # fmt: skip


def write(path: Path, config: Any, weights: Weights, training: Any = None, state: Sequence[Any] = ()) -> Path:
    with h5py.File(path, "w") as file:
        group: Any = file
        if config is not None:
            file.attrs["keras_version"] = b"2.2.5"
            file.attrs["backend"] = b"tensorflow"
            file.attrs["model_config"] = json.dumps(config).encode()
            group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        group.attrs["backend"] = b"tensorflow"
        group.attrs["keras_version"] = b"2.2.5"
        for name, arrays in weights.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, array in arrays.items():
                layer[f"{name}/{key}:0"] = array
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
            slots = file.create_group("optimizer_weights")
            slots.attrs["weight_names"] = [f"training/Adam/v_{i}:0".encode() for i in range(len(state))]
            for i, value in enumerate(state):
                slots[f"training/Adam/v_{i}:0"] = value
    return path


RNG = np.random.default_rng(0)


def arrays(**shapes: tuple[int, ...]) -> dict[str, np.ndarray[Any, Any]]:
    return {key: RNG.normal(size=shape).astype("float32") for key, shape in shapes.items()}


def test_sequential_as_a_bare_list(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [
            dense("dense_1", 4, "relu", batch_input_shape=[None, 3], dtype="float32"),
            {"class_name": "Dropout", "config": {"name": "d", "rate": 0.5, "noise_shape": None, "seed": None}},
            dense("dense_2", 2, "softmax"),
        ],
    }  # fmt: skip
    weights = {"dense_1": arrays(kernel=(3, 4), bias=(4,)), "d": {}, "dense_2": arrays(kernel=(4, 2), bias=(2,))}
    training = {
        "optimizer_config": {"class_name": "Adam", "config": {"lr": 0.5, "beta_1": 0.9, "beta_2": 0.999, "decay": 0.0,
                                                              "epsilon": 1e-7, "amsgrad": False}},
        "loss": "mse", "metrics": ["acc"], "sample_weight_mode": None, "loss_weights": None,
    }  # fmt: skip
    shapes = [(3, 4), (4,), (4, 2), (2,)]
    state = [np.int64(7), *[np.full(s, 1 + i, "float32") for i, s in enumerate(shapes)]]
    state += [np.full(s, 11 + i, "float32") for i, s in enumerate(shapes)] + [np.zeros(1, "float32")] * 4
    path = write(tmp_path / "old.h5", config, weights, training, state)
    model = load_model(path)
    x = RNG.normal(size=(5, 3)).astype("float32")
    h = np.maximum(x @ weights["dense_1"]["kernel"] + weights["dense_1"]["bias"], 0)
    z = h @ weights["dense_2"]["kernel"] + weights["dense_2"]["bias"]
    want = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)
    assert int(model.optimizer.iterations) == 7 and float(model.optimizer.learning_rate) == 0.5
    first = [float(np.asarray(v).ravel()[0]) for v in model.optimizer.variables[2:]]
    assert first == [1, 11, 2, 12, 3, 13, 4, 14]
    model.fit(x, want, verbose=0)
    assert not load_model(path, compile=False).compiled


def test_model_with_lists_of_nodes(tmp_path: Path) -> None:
    def node(*names: str) -> list[Any]:
        return [[[name, 0, 0, {}] for name in names]]

    def entry(layer: dict[str, Any], nodes: list[Any]) -> dict[str, Any]:
        return {**layer, "name": layer["config"]["name"], "inbound_nodes": nodes}

    def given(name: str) -> dict[str, Any]:
        config = {"name": name, "batch_input_shape": [None, 3], "dtype": "float32", "sparse": False}
        return {"class_name": "InputLayer", "config": config}

    inner = {
        "class_name": "Model",
        "config": {
            "name": "inner",
            "layers": [entry(given("i"), []), entry(dense("d", 3), node("i"))],
            "input_layers": [["i", 0, 0]], "output_layers": [["d", 0, 0]],
        },
    }  # fmt: skip
    add = {"class_name": "Add", "config": {"name": "add_1", "trainable": True}}
    config = {
        "class_name": "Model",
        "config": {
            "name": "model_1",
            "layers": [
                entry(given("a"), []), entry(given("b"), []), entry(inner, [*node("a"), *node("b")]),
                entry(add, [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]]),
            ],
            "input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": [["add_1", 0, 0]],
        },
    }  # fmt: skip
    weights = {"a": {}, "b": {}, "inner": arrays(**{"d_k": (3, 3), "d_b": (3,)}), "add_1": {}}
    model = load_model(write(tmp_path / "m.h5", config, weights))
    a, b = RNG.normal(size=(2, 4, 3)).astype("float32")
    k, bias = weights["inner"].values()
    got = model.predict({"a": a, "b": b}, verbose=0)
    np.testing.assert_allclose(got, a @ k + b @ k + 2 * bias, rtol=1e-5, atol=1e-5)


def test_recurrent_layers_of_keras_2(tmp_path: Path) -> None:
    """hard_sigmoid was clip(0.2 x + 0.5, 0, 1), and a GRU without `reset_after` has one row of biases."""
    common = {
        "trainable": True, "return_sequences": False, "return_state": False, "go_backwards": False, "stateful": False,
        "unroll": False, "units": 2, "activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True,
        "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
        "kernel_initializer": GLOROT,
        "bias_initializer": ZEROS, "dropout": 0.0, "recurrent_dropout": 0.0, "implementation": 1,
    }  # fmt: skip
    gru = {
        "class_name": "GRU",
        "config": {"name": "gru_1", "batch_input_shape": [None, 1, 3], "dtype": "float32", **common},
    }
    weights = {"gru_1": arrays(kernel=(3, 6), recurrent_kernel=(2, 6), bias=(6,))}
    path = write(tmp_path / "g.h5", {"class_name": "Sequential", "config": {"name": "s", "layers": [gru]}}, weights)
    model = load_model(path)
    x = RNG.normal(size=(4, 1, 3)).astype("float32")
    p = x[:, 0] @ weights["gru_1"]["kernel"] + weights["gru_1"]["bias"]
    z = np.clip(0.2 * p[:, :2] + 0.5, 0, 1)
    np.testing.assert_allclose(model.predict(x, verbose=0), (1 - z) * np.tanh(p[:, 4:]), rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "again.keras")
    np.testing.assert_allclose(load_model(tmp_path / "again.keras").predict(x, verbose=0), model.predict(x, verbose=0))


def pair() -> Any:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="one"), keras.layers.Dense(2, name="two")])


def test_weights_by_order_and_by_name(tmp_path: Path) -> None:
    weights = {"one": arrays(kernel=(3, 4), bias=(4,)), "other": arrays(kernel=(4, 2), bias=(2,))}
    path = write(tmp_path / "w.h5", None, weights)
    model = pair()
    model.load_weights(path)
    np.testing.assert_array_equal(model.layers[1].get_weights()[0], weights["other"]["kernel"])
    model = pair()
    before = model.layers[1].get_weights()[0]
    model.load_weights(path, by_name=True)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], weights["one"]["kernel"])
    np.testing.assert_array_equal(model.layers[1].get_weights()[0], before)
    wide = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, name="one")])
    with pytest.raises(ShapeError, match="'one'"):
        wide.load_weights(path, by_name=True)
    with pytest.warns(UserWarning, match="left out"):
        wide.load_weights(path, by_name=True, skip_mismatch=True)
    with pytest.raises(DataError, match="by_name=True"):
        wide.load_weights(path)
    with pytest.raises(FileError, match="only weights"):
        load_model(path)
    model.save_weights(tmp_path / "n.weights.h5")
    with pytest.raises(InvalidArgumentError, match="by_name"):
        model.load_weights(tmp_path / "n.weights.h5", by_name=True)


def test_own_weights_file_in_the_old_form(tmp_path: Path) -> None:
    model, twin = pair(), pair()
    model.save_weights(tmp_path / "old.h5")
    twin.load_weights(tmp_path / "old.h5", by_name=True)
    for a, b in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "whole.h5")
    other = pair()
    other.load_weights(tmp_path / "whole.h5")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_names_split_over_attributes(tmp_path: Path) -> None:
    layers = [keras.layers.Dense(1, name=f"layer_{'x' * 300}_{i}") for i in range(300)]
    model = keras.Sequential([keras.Input((1,)), *layers])
    model.save(tmp_path / "many.h5")
    with h5py.File(tmp_path / "many.h5") as file:
        assert "layer_names0" in file["model_weights"].attrs
    twin = load_model(tmp_path / "many.h5")
    np.testing.assert_array_equal(twin.get_weights()[-2], model.get_weights()[-2])


def test_keras_2_lambda_is_refused(tmp_path: Path) -> None:
    layer = {
        "class_name": "Lambda",
        "config": {"name": "l", "batch_input_shape": [None, 3], "function": ["4wEAAAA=", None, None],
                   "function_type": "lambda", "output_shape": None, "output_shape_type": "raw", "arguments": {}},
    }  # fmt: skip
    path = write(tmp_path / "l.h5", {"class_name": "Sequential", "config": [layer]}, {"l": {}})
    with pytest.raises(InvalidArgumentError, match="safe_mode=False"):
        load_model(path)
