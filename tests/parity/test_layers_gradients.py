"""One SGD step on the cpu target through each of the wider layers, against Keras on JAX from equal weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import assert_close, keras, kgraph, random_weights

pytestmark = pytest.mark.parity

Make = Callable[[Any], list[Any]]
S, M, D = (3, 6, 4), (2, 6, 7, 4), (2, 4, 5, 4, 3)

CASES: dict[str, tuple[Make, tuple[int, ...]]] = {
    "transposed_1d": (lambda L: [L.Conv1DTranspose(3, 3, strides=2, padding="same"), L.Conv1DTranspose(2, 2)], S),
    "transposed_2d": (lambda L: [L.Conv2DTranspose(3, 3, strides=2), L.Conv2DTranspose(2, 3, padding="same")], M),
    "transposed_3d": (lambda L: [L.Conv3DTranspose(2, 2, strides=2), L.Conv3D(1, 2)], D),
    "depthwise_separable_1d": (lambda L: [L.DepthwiseConv1D(2, depth_multiplier=2), L.SeparableConv1D(3, 2)], S),
    "depthwise_separable_2d": (lambda L: [L.DepthwiseConv2D(3, padding="same"), L.SeparableConv2D(3, 2)], M),
    "conv3d_pool": (lambda L: [L.Conv3D(3, 2, padding="same"), L.MaxPooling3D(2, padding="same")], D),
    "conv3d_average": (lambda L: [L.Conv3D(3, 2), L.AveragePooling3D(2, padding="same"), L.GlobalMaxPooling3D()], D),
    "moves_3d": (
        lambda L: [L.Conv3D(2, 2), L.ZeroPadding3D(1), L.UpSampling3D(2), L.Cropping3D(1), L.GlobalAveragePooling3D()],
        D,
    ),
    "adaptive": (lambda L: [L.Conv2D(3, 2), L.AdaptiveAveragePooling2D((4, 3)), L.AdaptiveMaxPooling2D(2)], M),
    "up_sampling": (lambda L: [L.Conv2D(3, 2), L.UpSampling2D(2, interpolation="bilinear"), L.Resizing(5, 4)], M),
    "group_norm": (lambda L: [L.Conv2D(4, 2), L.GroupNormalization(2), L.GlobalAveragePooling2D()], M),
    "rms_unit": (lambda L: [L.Dense(4), L.RMSNormalization(), L.Dense(3), L.UnitNormalization()], S),
    "einsum_dense": (lambda L: [L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="e", activation="relu")], S),
    "conv_lstm_1d": (lambda L: [L.ConvLSTM1D(2, 2, padding="same")], (2, 3, 5, 2)),
    "conv_lstm_2d": (lambda L: [L.ConvLSTM2D(2, 2, return_sequences=True), L.ConvLSTM2D(2, 2)], (2, 3, 5, 4, 2)),
    "conv_lstm_3d": (lambda L: [L.ConvLSTM3D(2, 2)], (2, 2, 3, 3, 3, 1)),
    "stacked": (lambda L: [L.RNN([L.LSTMCell(4), L.GRUCell(3)], return_sequences=True), L.Dense(1)], S),
    "spectral": (lambda L: [L.Dense(4), L.Normalization(mean=0.5, variance=2.0, axis=None), L.Dense(2)], S),
}


def _step(ours: Any, theirs: Any, inputs: Any, rng: np.random.Generator) -> None:
    weights = random_weights([w.shape for w in theirs.get_weights()], rng)
    ours.set_weights(weights)
    theirs.set_weights(weights)
    batch = (inputs[0] if isinstance(inputs, list) else inputs).shape[0]
    y = rng.normal(size=(batch, *ours.output_shape[1:])).astype("float32")
    ours.compile(kgraph.optimizers.SGD(0.5), "mse", target="cpu")
    theirs.compile(keras.optimizers.SGD(0.5), "mse")
    assert_close(ours.train_on_batch(inputs, y), theirs.train_on_batch(inputs, y), rtol=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b, rtol=5e-4, atol=5e-5)


@pytest.mark.parametrize("case", CASES)
def test_step(case: str, rng: np.random.Generator) -> None:
    make, shape = CASES[case]
    ours = kgraph.Sequential([kgraph.Input(shape[1:]), *make(kgraph.layers)])
    theirs = keras.Sequential([keras.Input(shape[1:]), *make(keras.layers)])
    # Sizes that Keras leaves open may be known here.
    assert all(b in (None, a) for a, b in zip(ours.output_shape, theirs.output_shape, strict=True))
    _step(ours, theirs, rng.normal(size=shape).astype("float32"), rng)


ATTENTION: dict[str, Callable[[Any, Any, Any], Any]] = {
    "dot": lambda L, q, v: L.Attention(use_scale=True)([q, v]),
    "concat": lambda L, q, v: L.Attention(score_mode="concat")([q, v]),
    "additive": lambda L, q, v: L.AdditiveAttention()([q, v]),
    "multi_head": lambda L, q, v: L.MultiHeadAttention(2, 3)(q, v),
    "multi_head_causal": lambda L, q, v: L.MultiHeadAttention(2, 3, output_shape=5)(q, q, use_causal_mask=True),
    "grouped": lambda L, q, v: L.GroupQueryAttention(3, 4, 2)(q, v),
}


@pytest.mark.parametrize("case", ATTENTION)
def test_step_of_attention(case: str, rng: np.random.Generator) -> None:
    def make(package: Any) -> Any:
        q, v = package.Input((5, 4)), package.Input((6, 4))
        x = package.layers.Dense(4)(q)
        return package.Model([q, v], ATTENTION[case](package.layers, x, package.layers.Dense(4)(v)))

    data = [rng.normal(size=(3, 5, 4)).astype("float32"), rng.normal(size=(3, 6, 4)).astype("float32")]
    if case == "multi_head_causal":

        def make(package: Any) -> Any:
            q = package.Input((5, 4))
            return package.Model(q, ATTENTION[case](package.layers, q, None))

    _step(make(kgraph), make(keras), data[0] if case == "multi_head_causal" else data, rng)
