"""Layers against Keras on JAX: each with several sets of arguments, from equal weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import assert_close, compare_layers, flat, keras, kgraph, pair_of_layers

pytestmark = pytest.mark.parity

Make = Callable[[Any], Any]
V, S, M = (5, 7), (3, 6, 4), (2, 8, 9, 4)  # vectors, sequences, images

FORWARD: dict[str, tuple[Make, tuple[int, ...]]] = {
    "dense": (lambda L: L.Dense(5), V),
    "dense_relu": (lambda L: L.Dense(5, activation="relu"), V),
    "dense_no_bias": (lambda L: L.Dense(5, activation="tanh", use_bias=False), V),
    "dense_softmax_rank_3": (lambda L: L.Dense(5, activation="softmax"), S),
    "dense_rank_4": (lambda L: L.Dense(3, activation="gelu"), M),
    "activation": (lambda L: L.Activation("elu"), V),
    "flatten": (lambda L: L.Flatten(), M),
    "flatten_vector": (lambda L: L.Flatten(), V),
    "flatten_channels_first": (lambda L: L.Flatten(data_format="channels_first"), M),
    "reshape": (lambda L: L.Reshape((4, 6)), S),
    "reshape_open": (lambda L: L.Reshape((-1, 2)), S),
    "permute": (lambda L: L.Permute((2, 1)), S),
    "permute_image": (lambda L: L.Permute((3, 1, 2)), M),
    "repeat_vector": (lambda L: L.RepeatVector(3), V),
    "rescaling": (lambda L: L.Rescaling(0.5, offset=-1.0), V),
    "dropout_inference": (lambda L: L.Dropout(0.5), V),
    "identity": (lambda L: L.Identity(), V),
    "relu": (lambda L: L.ReLU(), V),
    "relu_full": (lambda L: L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), V),
    "relu_capped": (lambda L: L.ReLU(max_value=0.5), V),
    "leaky_relu": (lambda L: L.LeakyReLU(), V),
    "leaky_relu_slope": (lambda L: L.LeakyReLU(negative_slope=0.05), V),
    "elu": (lambda L: L.ELU(alpha=0.7), V),
    "prelu": (lambda L: L.PReLU(), S),
    "prelu_shared": (lambda L: L.PReLU(shared_axes=[1, 2]), M),
    "softmax": (lambda L: L.Softmax(), S),
    "softmax_axis": (lambda L: L.Softmax(axis=1), S),
    "conv2d": (lambda L: L.Conv2D(6, 3), M),
    "conv2d_same": (lambda L: L.Conv2D(6, (3, 2), padding="same", activation="relu"), M),
    "conv2d_same_strides": (lambda L: L.Conv2D(6, 3, strides=2, padding="same"), M),
    "conv2d_same_even_strides": (lambda L: L.Conv2D(6, 4, strides=(3, 2), padding="same"), M),
    "conv2d_strides": (lambda L: L.Conv2D(6, (2, 3), strides=(2, 3)), M),
    "conv2d_dilation": (lambda L: L.Conv2D(6, 3, dilation_rate=2), M),
    "conv2d_dilation_same": (lambda L: L.Conv2D(6, (2, 3), dilation_rate=(3, 2), padding="same"), M),
    "conv2d_groups": (lambda L: L.Conv2D(6, 3, groups=2), M),
    "conv2d_no_bias": (lambda L: L.Conv2D(6, 1, use_bias=False), M),
    "conv1d": (lambda L: L.Conv1D(5, 3), S),
    "conv1d_same": (lambda L: L.Conv1D(5, 2, padding="same", strides=2, activation="relu"), S),
    "conv1d_causal": (lambda L: L.Conv1D(5, 3, padding="causal", dilation_rate=2), S),
    "depthwise": (lambda L: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), M),
    "separable": (lambda L: L.SeparableConv2D(5, 3, depth_multiplier=2, activation="relu"), M),
    "max_pool": (lambda L: L.MaxPooling2D(), M),
    "max_pool_same": (lambda L: L.MaxPooling2D(3, strides=2, padding="same"), M),
    "max_pool_overlap": (lambda L: L.MaxPooling2D((3, 2), strides=1), M),
    "average_pool": (lambda L: L.AveragePooling2D(2), M),
    "average_pool_same": (lambda L: L.AveragePooling2D(3, strides=2, padding="same"), M),
    "max_pool_1d": (lambda L: L.MaxPooling1D(2), S),
    "max_pool_1d_same": (lambda L: L.MaxPooling1D(4, strides=3, padding="same"), S),
    "average_pool_1d": (lambda L: L.AveragePooling1D(2, padding="same"), S),
    "average_pool_1d_overlap": (lambda L: L.AveragePooling1D(3, strides=2, padding="same"), S),
    "global_max_2d": (lambda L: L.GlobalMaxPooling2D(), M),
    "global_average_2d": (lambda L: L.GlobalAveragePooling2D(keepdims=True), M),
    "global_average_2d_first": (lambda L: L.GlobalAveragePooling2D(data_format="channels_first"), M),
    "global_max_1d": (lambda L: L.GlobalMaxPooling1D(keepdims=True), S),
    "global_average_1d": (lambda L: L.GlobalAveragePooling1D(), S),
    "batch_norm_inference": (lambda L: L.BatchNormalization(), V),
    "batch_norm_axis_1": (lambda L: L.BatchNormalization(axis=1, epsilon=1e-2), M),
    "batch_norm_no_scale": (lambda L: L.BatchNormalization(scale=False), M),
    "layer_norm": (lambda L: L.LayerNormalization(), S),
    "layer_norm_axes": (lambda L: L.LayerNormalization(axis=[1, 2], epsilon=1e-5), S),
    "layer_norm_axis_1": (lambda L: L.LayerNormalization(axis=1, center=False), S),
    "unit_norm": (lambda L: L.UnitNormalization(), V),
    "zero_padding_1d": (lambda L: L.ZeroPadding1D((1, 2)), S),
    "zero_padding_2d": (lambda L: L.ZeroPadding2D(((1, 2), (0, 3))), M),
    "zero_padding_2d_int": (lambda L: L.ZeroPadding2D(2), M),
    "cropping_1d": (lambda L: L.Cropping1D((1, 2)), S),
    "cropping_2d": (lambda L: L.Cropping2D(((1, 2), (0, 3))), M),
    "up_sampling_1d": (lambda L: L.UpSampling1D(3), S),
    "up_sampling_2d": (lambda L: L.UpSampling2D((2, 3)), M),
    "spatial_dropout": (lambda L: L.SpatialDropout1D(0.3), S),
    "gaussian_noise": (lambda L: L.GaussianNoise(0.3), S),
    "masking": (lambda L: L.Masking(), S),
    "simple_rnn": (lambda L: L.SimpleRNN(5), S),
    "simple_rnn_sequences": (lambda L: L.SimpleRNN(5, activation="relu", return_sequences=True, use_bias=False), S),
    "lstm": (lambda L: L.LSTM(5), S),
    "lstm_sequences": (lambda L: L.LSTM(5, return_sequences=True), S),
    "lstm_state": (lambda L: L.LSTM(5, return_state=True), S),
    "lstm_both": (lambda L: L.LSTM(5, return_sequences=True, return_state=True), S),
    "lstm_backwards": (lambda L: L.LSTM(5, go_backwards=True), S),
    "lstm_backwards_sequences": (lambda L: L.LSTM(5, go_backwards=True, return_sequences=True), S),
    "lstm_activations": (lambda L: L.LSTM(5, activation="relu", recurrent_activation="hard_sigmoid"), S),
    "lstm_no_bias": (lambda L: L.LSTM(5, use_bias=False), S),
    "lstm_unroll": (lambda L: L.LSTM(5, unroll=True), S),
    "gru": (lambda L: L.GRU(5), S),
    "gru_sequences": (lambda L: L.GRU(5, return_sequences=True, return_state=True), S),
    "gru_reset_before": (lambda L: L.GRU(5, reset_after=False), S),
    "gru_reset_before_sequences": (lambda L: L.GRU(5, reset_after=False, return_sequences=True, use_bias=False), S),
    "gru_no_bias": (lambda L: L.GRU(5, use_bias=False), S),
    "gru_backwards": (lambda L: L.GRU(5, go_backwards=True, return_sequences=True), S),
    "rnn_cell": (lambda L: L.RNN(L.GRUCell(5), return_sequences=True), S),
    "rnn_stacked": (lambda L: L.RNN([L.LSTMCell(5), L.GRUCell(3)], return_state=True), S),
    "bidirectional": (lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True)), S),
    "bidirectional_last": (lambda L: L.Bidirectional(L.GRU(3)), S),
    "bidirectional_sum": (lambda L: L.Bidirectional(L.SimpleRNN(3), merge_mode="sum"), S),
    "bidirectional_mul": (lambda L: L.Bidirectional(L.SimpleRNN(3, return_sequences=True), merge_mode="mul"), S),
    "bidirectional_ave": (lambda L: L.Bidirectional(L.SimpleRNN(3), merge_mode="ave"), S),
    "bidirectional_none": (lambda L: L.Bidirectional(L.SimpleRNN(3, return_sequences=True), merge_mode=None), S),
    "bidirectional_state": (lambda L: L.Bidirectional(L.LSTM(3, return_state=True)), S),
    "time_distributed_dense": (lambda L: L.TimeDistributed(L.Dense(5, activation="relu")), S),
    "time_distributed_conv": (lambda L: L.TimeDistributed(L.Conv1D(5, 3)), M),
    "time_distributed_lstm": (lambda L: L.TimeDistributed(L.LSTM(5)), M),
}


@pytest.mark.parametrize("case", FORWARD)
def test_forward(case: str, rng: np.random.Generator) -> None:
    make, shape = FORWARD[case]
    compare_layers(make, rng.normal(size=shape).astype("float32"), rng)


CHANNELS_FIRST: dict[str, Make] = {
    "conv": lambda L: L.Conv2D(6, 3, padding="same", data_format="channels_first", activation="relu"),
    "max_pool": lambda L: L.MaxPooling2D(2, data_format="channels_first"),
    "zero_padding": lambda L: L.ZeroPadding2D((1, 2), data_format="channels_first"),
    "up_sampling": lambda L: L.UpSampling2D(2, data_format="channels_first"),
}


@pytest.mark.parametrize("case", CHANNELS_FIRST)
def test_channels_first(case: str, rng: np.random.Generator) -> None:
    # Keras on the CPU computes it only in the other layout: the expected numbers are those of its channels_last layer.
    x = rng.normal(size=(2, 4, 6, 5)).astype("float32")
    first = CHANNELS_FIRST[case](kgraph.layers)
    config = {**first.get_config(), "data_format": "channels_last"}
    last = type(first).from_config(config)
    got, want = first(x), None
    last(x.transpose(0, 2, 3, 1))
    last.set_weights(first.get_weights())
    want = last(x.transpose(0, 2, 3, 1))
    assert_close(got, np.asarray(want).transpose(0, 3, 1, 2))


TRAINING: dict[str, tuple[Make, tuple[int, ...]]] = {
    "batch_norm": (lambda L: L.BatchNormalization(), V),
    "batch_norm_image": (lambda L: L.BatchNormalization(momentum=0.8), M),
    "batch_norm_axis_1": (lambda L: L.BatchNormalization(axis=1), M),
    "batch_norm_plain": (lambda L: L.BatchNormalization(center=False, scale=False), V),
    "batch_norm_frozen": (lambda L: L.BatchNormalization(trainable=False), V),
    "time_distributed_batch_norm": (lambda L: L.BatchNormalization(), S),
    "dropout_0": (lambda L: L.Dropout(0.0), V),
    "lstm": (lambda L: L.LSTM(4), S),
}


@pytest.mark.parametrize("case", TRAINING)
def test_training(case: str, rng: np.random.Generator) -> None:
    make, shape = TRAINING[case]
    compare_layers(make, rng.normal(0.3, 2.0, shape).astype("float32"), rng, training=True)


MERGES: dict[str, tuple[Make, list[tuple[int, ...]]]] = {
    "add": (lambda L: L.Add(), [V, V, V]),
    "add_ranks": (lambda L: L.Add(), [(3, 4), S]),
    "subtract": (lambda L: L.Subtract(), [V, V]),
    "multiply": (lambda L: L.Multiply(), [S, (3, 1, 4)]),
    "average": (lambda L: L.Average(), [V, V, V]),
    "maximum": (lambda L: L.Maximum(), [V, V]),
    "minimum": (lambda L: L.Minimum(), [V, V]),
    "concatenate": (lambda L: L.Concatenate(), [(5, 2), (5, 3)]),
    "concatenate_axis": (lambda L: L.Concatenate(axis=1), [(3, 2, 4), S]),
    "dot_vectors": (lambda L: L.Dot(axes=1), [V, V]),
    "dot_cosine": (lambda L: L.Dot(axes=-1, normalize=True), [V, V]),
    "dot_sequences": (lambda L: L.Dot(axes=(2, 2)), [S, (3, 5, 4)]),
    "dot_axes_1": (lambda L: L.Dot(axes=1), [S, (3, 6, 2)]),
    "dot_mixed": (lambda L: L.Dot(axes=(2, 1)), [S, (3, 4)]),
    "dot_vector_first": (lambda L: L.Dot(axes=(1, 2)), [(3, 4), S]),
    "dot_images": (lambda L: L.Dot(axes=(3, 1)), [(2, 3, 2, 4), (2, 4, 5)]),
}


@pytest.mark.parametrize("case", MERGES)
def test_merge(case: str, rng: np.random.Generator) -> None:
    make, shapes = MERGES[case]
    compare_layers(make, [rng.normal(size=shape).astype("float32") for shape in shapes], rng)


IDS = np.array([[3, 1, 4, 0], [5, 2, 0, 0], [2, 6, 5, 3]], "int32")


def test_embedding(rng: np.random.Generator) -> None:
    compare_layers(lambda L: L.Embedding(7, 5), IDS, rng)


def test_embedding_of_float_ids(rng: np.random.Generator) -> None:
    compare_layers(lambda L: L.Embedding(7, 5), IDS.astype("float32"), rng)


MASKED: dict[str, Make] = {
    "lstm": lambda L: L.LSTM(4),
    "lstm_sequences": lambda L: L.LSTM(4, return_sequences=True),
    "lstm_state": lambda L: L.LSTM(4, return_sequences=True, return_state=True),
    "gru_sequences": lambda L: L.GRU(4, return_sequences=True),
    "gru_backwards": lambda L: L.GRU(4, return_sequences=True, go_backwards=True),
    "simple_rnn": lambda L: L.SimpleRNN(4),
    "zeros": lambda L: L.LSTM(4, return_sequences=True, zero_output_for_mask=True),
    "rnn_stacked": lambda L: L.RNN([L.GRUCell(4), L.GRUCell(3)], return_sequences=True),
    "bidirectional": lambda L: L.Bidirectional(L.LSTM(3, return_sequences=True)),
    "global_average": lambda L: L.GlobalAveragePooling1D(),
    "batch_norm": lambda L: L.BatchNormalization(),
}
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]], bool)


@pytest.mark.parametrize("case", MASKED)
@pytest.mark.parametrize("training", [False, True])
def test_mask(case: str, training: bool, rng: np.random.Generator) -> None:
    call: dict[str, Any] = {"mask": MASK}
    if case != "global_average":
        call["training"] = training
    compare_layers(MASKED[case], rng.normal(size=S).astype("float32"), rng, **call)


@pytest.mark.parametrize("case", ["lstm", "gru", "simple_rnn", "bidirectional"])
def test_initial_state(case: str, rng: np.random.Generator) -> None:
    make: Make = {
        "lstm": lambda L: L.LSTM(4, return_state=True),
        "gru": lambda L: L.GRU(4, return_sequences=True),
        "simple_rnn": lambda L: L.SimpleRNN(4),
        "bidirectional": lambda L: L.Bidirectional(L.GRU(4)),
    }[case]
    count = {"lstm": 2, "bidirectional": 2}.get(case, 1)
    x = rng.normal(size=S).astype("float32")
    states = [rng.normal(size=(3, 4)).astype("float32") for _ in range(count)]
    ours, theirs = pair_of_layers(make, x, rng)
    given = flat(theirs(x, initial_state=[keras.ops.convert_to_tensor(state) for state in states]))
    for a, b in zip(flat(ours(x, initial_state=states)), given, strict=True):
        assert_close(a, b)


def _random_dropout(layer: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(layer(x, training=True))


@pytest.mark.parametrize(
    ("kind", "shape", "axis"),
    [("Dropout", (200, 50), None), ("SpatialDropout1D", (40, 6, 50), 1), ("SpatialDropout2D", (20, 4, 5, 50), (1, 2))],
)
def test_dropout_statistics(kind: str, shape: tuple[int, ...], axis: Any) -> None:
    layer = getattr(kgraph.layers, kind)(0.25, seed=7)
    x = np.ones(shape, "float32")
    y = _random_dropout(layer, x)
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1.0 / 0.75)}
    assert abs(y.mean() - 1.0) < 0.1
    assert not np.array_equal(y, _random_dropout(layer, x))
    if axis is not None:
        assert np.ptp(y, axis=axis).max() == 0.0


def test_recurrent_dropout_draws_one_mask_per_sequence() -> None:
    layer = kgraph.layers.SimpleRNN(3, activation="linear", dropout=0.5, return_sequences=True, seed=3)
    x = np.ones((4, 5, 6), "float32")
    layer(x)
    kernel, recurrent, bias = layer.get_weights()
    layer.set_weights([kernel, np.zeros_like(recurrent), bias])
    y = np.asarray(layer(x, training=True))
    assert np.ptp(y, axis=1).max() == 0.0
    assert np.ptp(y, axis=0).max() > 0.0


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_dropout_is_drawn_in_training_only(kind: str, rng: np.random.Generator) -> None:
    layer = getattr(kgraph.layers, kind)(4, recurrent_dropout=0.2, dropout=0.1, seed=3)
    x = np.repeat(rng.normal(size=(1, 3, 4)).astype("float32"), 50, axis=0)
    still, noisy = np.asarray(layer(x)), np.asarray(layer(x, training=True))
    assert np.ptp(still, axis=0).max() == 0.0
    assert np.ptp(noisy, axis=0).max() > 0.05


def test_recurrent_dropout_keeps_the_mean(rng: np.random.Generator) -> None:
    # Linear, and two steps: each mask enters once, so that the mean is exactly that without dropout.
    layer = kgraph.layers.SimpleRNN(4, activation="linear", recurrent_dropout=0.2, dropout=0.1, seed=3)
    x = np.repeat(rng.normal(size=(1, 2, 4)).astype("float32"), 20000, axis=0)
    still, noisy = np.asarray(layer(x)), np.asarray(layer(x, training=True))
    np.testing.assert_allclose(noisy.mean(axis=0), still[0], atol=0.03)


CONFIGS: dict[str, Make] = {name: make for name, (make, _) in FORWARD.items()}


@pytest.mark.parametrize("case", CONFIGS)
def test_config_makes_an_equal_layer(case: str, rng: np.random.Generator) -> None:
    make, shape = FORWARD[case]
    x = rng.normal(size=shape).astype("float32")
    layer = make(kgraph.layers)
    first = flat(layer(x))
    again = kgraph.layers.deserialize(kgraph.layers.serialize(layer))
    again(x)  # a built inner layer is described with the shape it was built for
    assert again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    for a, b in zip(flat(again(x)), first, strict=True):
        np.testing.assert_array_equal(a, b)
