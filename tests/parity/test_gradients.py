"""Gradients against Keras on JAX: one step of plain SGD with learning rate 1 through each layer, from equal weights.

The step is that of the trainer on the `reference` target, so losses, autodiff and updates are all in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kgraph.models
from tests.parity.comparing import assert_close, keras, kgraph, random_weights

pytestmark = pytest.mark.parity

Make = Callable[[Any], list[Any]]
V, S, M = (5, 7), (4, 6, 4), (3, 8, 9, 4)  # vectors, sequences, images

CASES: dict[str, tuple[Make, tuple[int, ...]]] = {
    "dense": (lambda L: [L.Dense(6, activation="tanh"), L.Dense(3)], V),
    "dense_regularized": (lambda L: [L.Dense(6, kernel_regularizer="l2", activity_regularizer="l1")], V),
    "dense_rank_3": (lambda L: [L.Dense(6, activation="softmax")], S),
    "activations": (
        lambda L: [
            L.Activation("elu"),
            L.Activation("softplus"),
            L.Dense(5),
            L.Activation("selu"),
            L.Activation("silu"),
        ],
        V,
    ),
    "more_activations": (
        lambda L: [
            L.Activation("softsign"),
            L.Dense(5),
            L.Activation("gelu"),
            L.Activation("mish"),
            L.Activation("exponential"),
        ],
        V,
    ),
    "leaky": (lambda L: [L.LeakyReLU(), L.PReLU(), L.Dense(4)], V),
    "conv": (lambda L: [L.Conv2D(5, 3, padding="same", activation="relu"), L.Conv2D(3, (2, 3))], M),
    "conv_strides": (lambda L: [L.Conv2D(6, 3, strides=2, padding="same"), L.Conv2D(4, 2, groups=2)], M),
    "conv_dilation": (lambda L: [L.Conv2D(5, 3, dilation_rate=2, padding="same")], M),
    "conv_1d": (lambda L: [L.Conv1D(5, 3, padding="causal"), L.Conv1D(3, 2, strides=2)], S),
    "separable": (lambda L: [L.SeparableConv2D(5, 3, depth_multiplier=2), L.DepthwiseConv2D(2)], M),
    "pool": (lambda L: [L.Conv2D(5, 3), L.MaxPooling2D(2), L.AveragePooling2D(2, padding="same")], M),
    "pool_overlap": (
        lambda L: [L.Conv2D(5, 2), L.MaxPooling2D(3, strides=2, padding="same"), L.GlobalMaxPooling2D()],
        M,
    ),
    "pool_average_overlap": (lambda L: [L.Conv2D(5, 2), L.AveragePooling2D(3, strides=2, padding="same")], M),
    "batch_norm": (lambda L: [L.Dense(6), L.BatchNormalization(), L.Dense(3)], V),
    "batch_norm_image": (lambda L: [L.Conv2D(5, 3), L.BatchNormalization(momentum=0.5), L.GlobalAveragePooling2D()], M),
    "layer_norm": (lambda L: [L.Dense(6), L.LayerNormalization(), L.Dense(3)], S),
    "layer_norm_axes": (lambda L: [L.Dense(6), L.LayerNormalization(axis=[1, 2])], S),
    "shapes": (
        lambda L: [L.Dense(6), L.Permute((2, 1)), L.Reshape((4, 9)), L.Flatten(), L.RepeatVector(2), L.Dense(3)],
        S,
    ),
    "padding": (lambda L: [L.Conv2D(3, 2), L.ZeroPadding2D(1), L.Cropping2D(2), L.UpSampling2D(2)], M),
    "simple_rnn": (lambda L: [L.SimpleRNN(5)], S),
    "lstm": (lambda L: [L.LSTM(5, return_sequences=True), L.LSTM(3)], S),
    "lstm_backwards": (lambda L: [L.LSTM(5, return_sequences=True, go_backwards=True)], S),
    "gru": (lambda L: [L.GRU(5, return_sequences=True), L.GRU(3, reset_after=False)], S),
    "masked_lstm": (lambda L: [L.Masking(), L.LSTM(5, return_sequences=True), L.GRU(4)], S),
    "bidirectional": (lambda L: [L.Bidirectional(L.GRU(3, return_sequences=True)), L.Dense(2)], S),
    "time_distributed": (lambda L: [L.TimeDistributed(L.Dense(5, activation="relu")), L.GlobalAveragePooling1D()], S),
    "constrained": (lambda L: [L.Dense(5, kernel_constraint="non_neg", bias_constraint="unit_norm")], V),
}


def _models(make: Make, shape: tuple[int, ...], rng: np.random.Generator, dtype: str = "float32") -> tuple[Any, Any]:
    ours = kgraph.models.Sequential([kgraph.models.Input(shape[1:], dtype=dtype), *make(kgraph.layers)])
    theirs = keras.Sequential([keras.Input(shape[1:], dtype=dtype), *make(keras.layers)])
    assert ours.output_shape == theirs.output_shape
    weights = random_weights([w.shape for w in theirs.get_weights()], rng)
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def _step(ours: Any, theirs: Any, x: np.ndarray, y: np.ndarray, loss: str, w: np.ndarray | None = None) -> None:
    ours.compile(kgraph.optimizers.SGD(0.5), loss, target="reference")
    theirs.compile(keras.optimizers.SGD(0.5), loss, run_eagerly=False)
    assert_close(ours.train_on_batch(x, y, sample_weight=w), theirs.train_on_batch(x, y, sample_weight=w), rtol=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("case", CASES)
def test_step(case: str, rng: np.random.Generator) -> None:
    make, shape = CASES[case]
    ours, theirs = _models(make, shape, rng)
    x = rng.normal(size=shape).astype("float32")
    if case == "masked_lstm":
        x[1, 3:] = x[2, :2] = 0.0
    y = rng.normal(size=(shape[0], *ours.output_shape[1:])).astype("float32")
    _step(ours, theirs, x, y, "mse")


ENDS: dict[str, tuple[str, str, bool]] = {
    "binary": ("sigmoid", "binary_crossentropy", False),
    "categorical": ("softmax", "categorical_crossentropy", False),
    "sparse": ("softmax", "sparse_categorical_crossentropy", True),
    "kl": ("softmax", "kl_divergence", False),
    "poisson": ("softplus", "poisson", False),
    "hinge": ("tanh", "hinge", False),
    "log_cosh": ("linear", "log_cosh", False),
    "cosine": ("linear", "cosine_similarity", False),
    "mape": ("linear", "mean_absolute_percentage_error", False),
    "msle": ("softplus", "mean_squared_logarithmic_error", False),
}


@pytest.mark.parametrize("case", ENDS)
def test_step_of_loss(case: str, rng: np.random.Generator) -> None:
    activation, loss, sparse = ENDS[case]
    ours, theirs = _models(lambda L: [L.Dense(4, activation=activation)], V, rng)
    x = rng.normal(size=V).astype("float32")
    labels = rng.integers(0, 4, V[0])
    y = labels if sparse else np.eye(4, dtype="float32")[labels]
    _step(ours, theirs, x, y, loss, rng.uniform(0.5, 2.0, V[0]).astype("float32"))


def test_step_of_embedding_adds_repeated_ids(rng: np.random.Generator) -> None:
    ids = np.array([[3, 1, 3, 0], [5, 3, 0, 0], [2, 6, 5, 3]], "int32")
    ours, theirs = _models(
        lambda L: [L.Embedding(7, 5, mask_zero=True), L.LSTM(4), L.Dense(1)], ids.shape, rng, "int32"
    )
    _step(ours, theirs, ids, rng.normal(size=(3, 1)).astype("float32"), "mse")
