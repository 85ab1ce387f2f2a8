"""Names of Keras 1: arguments in calls, `merge`, whole files and their layout of weights; CuDNN layers of Keras 2."""

from __future__ import annotations

import json
import timeit
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kgraph as keras
from kgraph import layers
from kgraph.errors import CallError, InvalidArgumentError, UnsupportedError
from kgraph.models import load_model

L: Any = layers
RNG = np.random.default_rng(0)


def settings(layer: Any) -> dict[str, Any]:
    return {key: value for key, value in layer.get_config().items() if key != "name"}


# Today's spelling, and that of Keras 1.
SAME = {
    "Dense": (
        lambda: L.Dense(4, kernel_initializer="uniform", kernel_regularizer="l2", bias_regularizer="l1",
                        kernel_constraint="non_neg", bias_constraint="max_norm", use_bias=True),
        lambda: L.Dense(output_dim=4, init="uniform", W_regularizer="l2", b_regularizer="l1",
                        W_constraint="non_neg", b_constraint="max_norm", bias=True),
    ),
    "no bias": (lambda: L.Dense(4, use_bias=False), lambda: L.Dense(4, bias=False)),
    "Dropout": (lambda: L.Dropout(0.3), lambda: L.Dropout(p=0.3)),
    "SpatialDropout2D": (
        lambda: L.SpatialDropout2D(0.3, data_format="channels_first"),
        lambda: L.SpatialDropout2D(p=0.3, dim_ordering="th"),
    ),
    "GaussianNoise": (lambda: L.GaussianNoise(0.3), lambda: L.GaussianNoise(sigma=0.3)),
    "Conv1D": (
        lambda: L.Conv1D(4, 3, strides=2, padding="same"),
        lambda: L.Convolution1D(nb_filter=4, filter_length=3, subsample_length=2, border_mode="same"),
    ),
    "Conv2D by names": (
        lambda: L.Conv2D(4, (3, 2), strides=(2, 1), padding="same", data_format="channels_first"),
        lambda: L.Convolution2D(nb_filter=4, nb_row=3, nb_col=2, subsample=(2, 1), border_mode="same",
                                dim_ordering="th"),
    ),
    "Convolution2D(4, 3, 2)": (lambda: L.Conv2D(4, (3, 2)), lambda: L.Convolution2D(4, 3, 2)),
    "Conv2D(4, 3, 2, border_mode=)": (
        lambda: L.Conv2D(4, (3, 2), padding="same"), lambda: L.Conv2D(4, 3, 2, border_mode="same")
    ),
    "Conv2D(4, 3, 2)": (lambda: L.Conv2D(4, kernel_size=3, strides=2), lambda: L.Conv2D(4, 3, 2)),
    "Convolution2D(4, 3)": (lambda: L.Conv2D(4, 3), lambda: L.Convolution2D(4, 3)),
    "Convolution2D(4, 3, strides=)": (lambda: L.Conv2D(4, 3, strides=2), lambda: L.Convolution2D(4, 3, strides=2)),
    "Convolution3D": (lambda: L.Conv3D(4, (1, 2, 3)), lambda: L.Convolution3D(4, 1, 2, 3)),
    "Conv3D": (
        lambda: L.Conv3D(4, (1, 2, 3)), lambda: L.Conv3D(nb_filter=4, kernel_dim1=1, kernel_dim2=2, kernel_dim3=3)
    ),
    "SeparableConv2D": (
        lambda: L.SeparableConv2D(4, (3, 2), depthwise_initializer="zeros"),
        lambda: L.SeparableConvolution2D(4, 3, 2, depthwise_init="zero"),
    ),
    "AtrousConvolution2D": (
        lambda: L.Conv2D(4, (3, 3), dilation_rate=(2, 2)), lambda: L.AtrousConvolution2D(4, 3, 3, atrous_rate=(2, 2))
    ),
    "MaxPooling1D": (
        lambda: L.MaxPooling1D(3, strides=2, padding="same"),
        lambda: L.MaxPooling1D(pool_length=3, stride=2, border_mode="same"),
    ),
    "UpSampling1D": (lambda: L.UpSampling1D(3), lambda: L.UpSampling1D(length=3)),
    "LSTM": (
        lambda: L.LSTM(4, recurrent_initializer="zeros", recurrent_activation="keras2_hard_sigmoid", dropout=0.2,
                       recurrent_dropout=0.1, unit_forget_bias=False, recurrent_regularizer="l2"),
        lambda: L.LSTM(output_dim=4, inner_init="zero", inner_activation="hard_sigmoid", dropout_W=0.2, dropout_U=0.1,
                       forget_bias_init="zero", U_regularizer="l2", consume_less="gpu"),
    ),
    "GRU": (lambda: L.GRU(4, kernel_initializer="zeros"), lambda: L.GRU(output_dim=4, init="zero", consume_less="mem")),
    "SimpleRNN": (lambda: L.SimpleRNN(4, bias_regularizer="l2"), lambda: L.SimpleRNN(4, b_regularizer="l2")),
    "Embedding": (
        lambda: L.Embedding(9, 4, embeddings_initializer="normal", embeddings_regularizer="l2"),
        lambda: L.Embedding(input_dim=9, output_dim=4, init="normal", W_regularizer="l2", dropout=0.0),
    ),
    "BatchNormalization": (
        lambda: L.BatchNormalization(gamma_initializer="zeros"), lambda: L.BatchNormalization(mode=0, gamma_init="zero")
    ),
    "CuDNNLSTM": (lambda: L.LSTM(3), lambda: L.CuDNNLSTM(3)),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_arguments(case: str) -> None:
    today, then = (make() for make in SAME[case])
    assert type(then) is type(today)
    assert settings(then) == settings(today)


def test_subclasses_take_them_and_keep_their_own() -> None:
    class Wide(L.Dense):  # type: ignore[misc]
        def __init__(self, p: float = 1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.p = p

    layer = Wide(p=3.0, output_dim=4)
    assert layer.p == 3.0 and layer.units == 4

    class Edge(L.Convolution2D):  # type: ignore[misc]
        pass

    assert isinstance(Edge(4, 3), L.Conv2D) and isinstance(L.Conv2D(4, 3), L.Convolution2D)
    assert not isinstance(L.Dense(3), L.Convolution2D)


def test_what_is_gone_is_said() -> None:
    for name in ("Highway", "MaxoutDense", "Merge", "LocallyConnected1D", "SReLU", "Deconvolution2D"):
        with pytest.raises(UnsupportedError, match="use "):
            getattr(layers, name)
    with pytest.raises(UnsupportedError, match="SpatialDropout1D"):
        L.Embedding(9, 4, dropout=0.5)
    with pytest.raises(UnsupportedError, match="LayerNormalization"):
        L.BatchNormalization(mode=1)
    with pytest.raises(InvalidArgumentError, match="both"):
        L.Dense(output_dim=3, units=3)
    with pytest.raises(InvalidArgumentError, match="dim_ordering"):
        L.Conv2D(3, 3, dim_ordering="theano")
    with pytest.raises(InvalidArgumentError, match="forget_bias_init"):
        L.LSTM(3, forget_bias_init="he_normal")
    with pytest.raises(CallError, match="units"):
        L.Dense()
    with pytest.raises(CallError, match="write units="):
        L.Dense(unit=3)
    with pytest.raises(InvalidArgumentError, match=r"passed to LSTM:[^~]*write return_sequences="):
        L.LSTM(3, retrun_sequences=True)


def test_names_cost_next_to_nothing() -> None:
    init = L.Dropout.__init__
    layer = L.Dropout(0.5)
    wrapped = min(timeit.repeat(lambda: init(layer, 0.5, name="d"), number=500, repeat=5))
    bare = min(timeit.repeat(lambda: init.__wrapped__(layer, 0.5, name="d"), number=500, repeat=5))
    assert wrapped < 1.6 * bare + 1e-3


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("sum", lambda a, b: a + b), ("mul", lambda a, b: a * b), ("ave", lambda a, b: (a + b) / 2),
        ("max", np.maximum), ("concat", lambda a, b: np.concatenate([a, b], -1)),
        ("dot", lambda a, b: (a * b).sum(-1, keepdims=True)),
    ],
)  # fmt: skip
def test_merge(mode: str, want: Any) -> None:
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model(input=[a, b], output=L.merge([a, b], mode=mode))
    x, y = RNG.normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_allclose(model.predict([x, y], verbose=0), want(x, y), rtol=1e-5, atol=1e-6)
    with pytest.raises(UnsupportedError, match="Lambda"):
        L.merge([a, b], mode=lambda tensors: tensors[0])
    with pytest.raises(InvalidArgumentError, match="concat"):
        L.merge([a, b], mode="plus")


def test_merge_is_called_after_its_module_was_imported() -> None:
    from kgraph.layers.merge import add  # Python binds the module as kgraph.layers.merge now

    assert add is L.add and keras.layers.merge.Add is L.Add
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model(input=[a, b], output=L.merge([a, b], mode="max"))
    x, y = RNG.normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_array_equal(model.predict([x, y], verbose=0), np.maximum(x, y))


# -- files ------------------------------------------------------------------------------------------------------------
def write(path: Path, config: Any, weights: dict[str, list[Any]], version: str = "1.2.2", backend: str = "") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        for one in (file, group):
            one.attrs["keras_version"] = version.encode()
            if backend:
                one.attrs["backend"] = backend.encode()
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            layer = group.create_group(name)
            names = [f"{name}_param_{i}" for i in range(len(arrays))]
            layer.attrs["weight_names"] = [one.encode() for one in names]
            for key, array in zip(names, arrays):
                layer[key] = array
    return path


def entry(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("ordering", ["tf", "th"])
def test_a_whole_model(tmp_path: Path, ordering: str) -> None:
    shape = [None, 6, 6, 2] if ordering == "tf" else [None, 2, 6, 6]
    config = {
        "class_name": "Sequential",
        "config": [
            entry("Convolution2D", "c", nb_filter=3, nb_row=3, nb_col=2, init="glorot_uniform", activation="relu",
                  border_mode="valid", subsample=[1, 1], dim_ordering=ordering, bias=True, activity_regularizer=None,
                  W_regularizer={"name": "WeightRegularizer", "l1": 0.0, "l2": 0.25}, b_regularizer=None,
                  W_constraint={"name": "MaxNorm", "m": 3, "axis": 0}, b_constraint=None,
                  batch_input_shape=shape, input_dtype="float32"),
            entry("MaxPooling2D", "p", pool_size=[2, 2], strides=[2, 2], border_mode="valid", dim_ordering=ordering),
            entry("Dropout", "d", p=0.5),
            entry("Flatten", "f"),
            entry("Dense", "o", output_dim=2, init="uniform", activation="linear", W_regularizer=None, bias=False,
                  b_regularizer=None, activity_regularizer=None, W_constraint=None, b_constraint=None, input_dim=12),
        ],
    }  # fmt: skip
    kernel, bias, last = normal(3, 2, 2, 3), normal(3), normal(12, 2)
    stored = kernel if ordering == "tf" else kernel.transpose(3, 2, 0, 1)
    weights = {"c": [stored, bias], "p": [], "d": [], "f": [], "o": [last]}
    model = load_model(write(tmp_path / "m.h5", config, weights))
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], kernel)
    assert model.layers[0].kernel_regularizer.l2 == 0.25 and model.layers[0].kernel_constraint.max_value == 3
    assert model.layers[2].rate == 0.5 and not model.layers[4].use_bias
    x = normal(4, 6, 6, 2)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(1, 2))  # b, h, w, c, 3, 2
    h = np.maximum(np.einsum("bhwcij,ijco->bhwo", windows, kernel) + bias, 0)[:, :4, :4]
    h = h.reshape(4, 2, 2, 2, 2, 3).max((2, 4))
    flat = (h if ordering == "tf" else h.transpose(0, 3, 1, 2)).reshape(4, -1)
    got = model.predict(x if ordering == "tf" else x.transpose(0, 3, 1, 2), verbose=0)
    np.testing.assert_allclose(got, flat @ last, rtol=1e-4, atol=1e-4)


def test_one_array_per_gate(tmp_path: Path) -> None:
    common = {"activation": "tanh", "inner_activation": "hard_sigmoid", "return_sequences": False, "input_dim": 3,
              "go_backwards": False, "stateful": False, "unroll": False, "consume_less": "cpu", "init": "uniform",
              "inner_init": "orthogonal", "W_regularizer": None, "U_regularizer": None, "b_regularizer": None,
              "dropout_W": 0.0, "dropout_U": 0.0, "input_length": None, "output_dim": 2}  # fmt: skip
    layer = entry("LSTM", "r", batch_input_shape=[None, 1, 3], forget_bias_init="one", **common)
    arrays = [array for _ in range(4) for array in (normal(3, 2), normal(2, 2), normal(2))]
    path = write(tmp_path / "l.h5", {"class_name": "Sequential", "config": [layer]}, {"r": arrays})
    x = normal(5, 1, 3)
    i, c, _, o = (x[:, 0] @ arrays[3 * gate] + arrays[3 * gate + 2] for gate in range(4))

    def hard(value: Any) -> Any:
        return np.clip(0.2 * value + 0.5, 0, 1)

    want = hard(o) * np.tanh(hard(i) * np.tanh(c))
    model = load_model(path)
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.get_weights()[1][:, 2:4], arrays[7])  # the forget gate stands second now
    both = entry("Bidirectional", "b", layer=layer, merge_mode="concat", batch_input_shape=[None, 1, 3])
    path = write(tmp_path / "b.h5", {"class_name": "Sequential", "config": [both]}, {"b": arrays + arrays})
    np.testing.assert_allclose(load_model(path).predict(x, verbose=0), np.hstack([want, want]), rtol=1e-5, atol=1e-5)
    layer = entry("GRU", "g", batch_input_shape=[None, 1, 3], **common)
    path = write(tmp_path / "g.h5", {"class_name": "Sequential", "config": [layer]}, {"g": arrays[:9]})
    z, _, h = (x[:, 0] @ arrays[3 * gate] + arrays[3 * gate + 2] for gate in range(3))
    np.testing.assert_allclose(load_model(path).predict(x, verbose=0), (1 - hard(z)) * np.tanh(h), rtol=1e-5, atol=1e-5)


def test_merge_layers_in_a_graph(tmp_path: Path) -> None:
    def node(*names: str) -> list[Any]:
        return [[[name, 0, 0] for name in names]]

    def one(kind: str, name: str, nodes: Any, **config: Any) -> dict[str, Any]:
        return {**entry(kind, name, **config), "name": name, "inbound_nodes": nodes}

    given = {"batch_input_shape": [None, 3], "input_dtype": "float32", "sparse": False}
    merged = {"mode_type": "raw", "dot_axes": -1, "output_shape": None, "output_shape_type": "raw",
              "output_mask": None, "output_mask_type": "raw", "arguments": {}}  # fmt: skip
    config = {
        "class_name": "Model",
        "config": {
            "name": "m",
            "layers": [
                one("InputLayer", "a", [], **given), one("InputLayer", "b", [], **given),
                one("Merge", "s", node("a", "b"), mode="sum", concat_axis=-1, **merged),
                one("Merge", "c", node("s", "b"), mode="concat", concat_axis=1, **merged),
            ],
            "input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": [["c", 0, 0]],
        },
    }  # fmt: skip
    model = load_model(write(tmp_path / "m.h5", config, {"a": [], "b": [], "s": [], "c": []}))
    a, b = normal(4, 3), normal(4, 3)
    np.testing.assert_allclose(model.predict([a, b], verbose=0), np.hstack([a + b, b]), rtol=1e-6)
    config["config"]["layers"][3]["config"]["mode"] = "lambda"  # type: ignore[index]
    with pytest.raises(UnsupportedError, match="Merge"):
        load_model(write(tmp_path / "l.h5", config, {"a": [], "b": [], "s": [], "c": []}))
    gone = {"class_name": "Sequential", "config": [entry("Highway", "h", batch_input_shape=[None, 3])]}
    with pytest.raises(UnsupportedError, match="Highway"):
        load_model(write(tmp_path / "h.h5", gone, {"h": []}))


def test_kernels_of_theano_are_turned(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((5, 5, 1)), L.Conv2D(2, 3, name="c"), L.Flatten(), L.Dense(1, name="o")])
    kernel, bias, last, end = normal(3, 3, 1, 2), normal(2), normal(18, 1), normal(1)
    for backend in ("theano", "tensorflow"):
        write(tmp_path / "t.h5", {}, {"c": [kernel, bias], "o": [last, end]}, "2.1.0", backend)
        model.load_weights(tmp_path / "t.h5")
        want = kernel[::-1, ::-1] if backend == "theano" else kernel
        np.testing.assert_array_equal(model.get_weights()[0], want)
        np.testing.assert_array_equal(model.get_weights()[2], last)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_layers_of_cudnn(tmp_path: Path, kind: str, gates: int) -> None:
    """cuDNN has each gate's kernel as (units, inputs), row by row, and a bias for the inputs and one for the state."""
    units, inputs = 2, 3
    kernels, recurrent = normal(gates, units, inputs), normal(gates, units, units)
    bias = normal(2, gates * units)
    # As Keras 2 kept it: the numbers of each gate in the order of cuDNN, in an array of shape (inputs, units).
    flat = np.hstack([kernel.reshape(-1).reshape(inputs, units) for kernel in kernels])
    layer = entry(f"CuDNN{kind}", "r", units=units, batch_input_shape=[None, 4, inputs], dtype="float32",
                  kernel_initializer="zeros", return_sequences=False, go_backwards=False, stateful=False)  # fmt: skip
    weights = {"r": [flat, np.hstack(list(recurrent)), bias.ravel()]}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    model = load_model(write(tmp_path / "c.h5", config, weights, "2.2.4", "tensorflow"))
    assert type(model.layers[0]).__name__ == kind
    twin = keras.Sequential([keras.Input((4, inputs)), getattr(L, kind)(units)])
    kernel = np.hstack([kernel.T for kernel in kernels])
    state = np.hstack([one.T for one in recurrent])
    twin.set_weights([kernel, state, bias.sum(0) if kind == "LSTM" else bias])
    x = normal(5, 4, inputs)
    np.testing.assert_allclose(model.predict(x, verbose=0), twin.predict(x, verbose=0), rtol=1e-6, atol=1e-6)
