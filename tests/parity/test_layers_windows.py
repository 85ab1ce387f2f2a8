"""Convolutions, pooling, padding and normalisation of all ranks against Keras on JAX, from equal weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import assert_close, compare_layers, kgraph, pair_of_layers

pytestmark = pytest.mark.parity

Make = Callable[[Any], Any]
S, M, D = (3, 7, 4), (2, 6, 7, 4), (2, 5, 6, 4, 3)  # sequences, images, volumes

TRANSPOSED = {
    "valid": {},
    "same": {"padding": "same"},
    "strides": {"strides": 2},
    "strides_same": {"strides": 2, "padding": "same"},
    "strides_3_same": {"strides": 3, "padding": "same"},
    "output_padding": {"strides": 2, "output_padding": 1},
    "output_padding_same": {"strides": 2, "padding": "same", "output_padding": 1},
    "dilation": {"dilation_rate": 2},
    "dilation_same": {"dilation_rate": 2, "padding": "same", "use_bias": False},
    "wide_strides": {"strides": 4, "activation": "relu"},
}


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("case", TRANSPOSED)
@pytest.mark.parametrize(("rank", "shape"), [(1, S), (2, M), (3, (1, 3, 2, 3, 2))])
def test_transposed(rank: int, shape: tuple[int, ...], case: str, kernel: int, rng: np.random.Generator) -> None:
    if rank == 3 and kernel == 2:
        pytest.skip("covered by the other ranks")
    kwargs = TRANSPOSED[case]
    x = rng.normal(size=shape).astype("float32")
    compare_layers(lambda L: getattr(L, f"Conv{rank}DTranspose")(5, kernel, **kwargs), x, rng)


FORWARD: dict[str, tuple[Make, tuple[int, ...]]] = {
    "transposed_uneven": (lambda L: L.Conv2DTranspose(3, (2, 5), strides=(3, 2), padding="same"), M),
    "depthwise_1d": (lambda L: L.DepthwiseConv1D(3), S),
    "depthwise_1d_multiplier": (lambda L: L.DepthwiseConv1D(2, depth_multiplier=3, padding="same", strides=2), S),
    "depthwise_2d": (lambda L: L.DepthwiseConv2D(3, activation="relu"), M),
    "depthwise_2d_strides": (lambda L: L.DepthwiseConv2D((3, 2), strides=2, padding="same", depth_multiplier=2), M),
    "depthwise_2d_dilation": (lambda L: L.DepthwiseConv2D(2, dilation_rate=2, use_bias=False), M),
    "separable_1d": (lambda L: L.SeparableConv1D(5, 3), S),
    "separable_1d_same": (lambda L: L.SeparableConv1D(5, 2, depth_multiplier=2, padding="same", activation="tanh"), S),
    "separable_2d_strides": (lambda L: L.SeparableConv2D(5, 3, strides=2, padding="same"), M),
    "separable_2d_dilation": (lambda L: L.SeparableConv2D(5, 2, dilation_rate=2, use_bias=False), M),
    "conv3d": (lambda L: L.Conv3D(4, 3), D),
    "conv3d_same": (lambda L: L.Conv3D(4, (2, 3, 1), padding="same", activation="relu"), D),
    "conv3d_strides": (lambda L: L.Conv3D(4, 2, strides=(2, 1, 2)), D),
    "conv3d_strides_same": (lambda L: L.Conv3D(4, 3, strides=2, padding="same", use_bias=False), D),
    "conv3d_dilation": (lambda L: L.Conv3D(4, 2, dilation_rate=(2, 1, 2)), D),
    "conv3d_groups": (lambda L: L.Conv3D(6, 2, groups=3), D),
    "max_pool_3d": (lambda L: L.MaxPooling3D(), D),
    "max_pool_3d_same": (lambda L: L.MaxPooling3D((3, 2, 3), strides=2, padding="same"), D),
    "max_pool_3d_overlap": (lambda L: L.MaxPooling3D(2, strides=1), D),
    "average_pool_3d": (lambda L: L.AveragePooling3D(2), D),
    "average_pool_3d_same": (lambda L: L.AveragePooling3D((3, 2, 3), strides=2, padding="same"), D),
    "global_max_3d": (lambda L: L.GlobalMaxPooling3D(), D),
    "global_average_3d": (lambda L: L.GlobalAveragePooling3D(keepdims=True), D),
    "cropping_3d": (lambda L: L.Cropping3D(((1, 2), (2, 1), (1, 0))), D),
    "cropping_3d_int": (lambda L: L.Cropping3D(1), D),
    "zero_padding_3d": (lambda L: L.ZeroPadding3D(((1, 2), (0, 1), (3, 0))), D),
    "zero_padding_3d_tuple": (lambda L: L.ZeroPadding3D((1, 2, 0)), D),
    "up_sampling_3d": (lambda L: L.UpSampling3D((2, 1, 3)), D),
    "up_sampling_bilinear": (lambda L: L.UpSampling2D((2, 3), interpolation="bilinear"), M),
    "up_sampling_bicubic": (lambda L: L.UpSampling2D(2, interpolation="bicubic"), M),
    "up_sampling_lanczos3": (lambda L: L.UpSampling2D(2, interpolation="lanczos3"), M),
    "up_sampling_lanczos5": (lambda L: L.UpSampling2D((3, 2), interpolation="lanczos5"), M),
    "adaptive_average_1d": (lambda L: L.AdaptiveAveragePooling1D(3), S),
    "adaptive_average_2d": (lambda L: L.AdaptiveAveragePooling2D((4, 3)), M),
    "adaptive_average_3d": (lambda L: L.AdaptiveAveragePooling3D(2), D),
    "adaptive_max_1d": (lambda L: L.AdaptiveMaxPooling1D(3), S),
    "adaptive_max_2d": (lambda L: L.AdaptiveMaxPooling2D((4, 3)), M),
    "adaptive_max_3d": (lambda L: L.AdaptiveMaxPooling3D((2, 4, 3)), D),
    "group_norm": (lambda L: L.GroupNormalization(2), M),
    "group_norm_instance": (lambda L: L.GroupNormalization(-1, center=False), M),
    "group_norm_layer": (lambda L: L.GroupNormalization(1, epsilon=1e-5, scale=False), S),
    "group_norm_axis_1": (lambda L: L.GroupNormalization(3, axis=1), (2, 6, 5, 4)),
    "rms_norm": (lambda L: L.RMSNormalization(), S),
    "rms_norm_axes": (lambda L: L.RMSNormalization(axis=[1, 2], epsilon=1e-3), S),
    "unit_norm_axes": (lambda L: L.UnitNormalization(axis=[1, 2]), S),
    "spatial_dropout_3d": (lambda L: L.SpatialDropout3D(0.4), D),
    "spectral_dense": (lambda L: L.SpectralNormalization(L.Dense(5)), S),
}


@pytest.mark.parametrize("case", FORWARD)
def test_forward(case: str, rng: np.random.Generator) -> None:
    make, shape = FORWARD[case]
    compare_layers(make, rng.normal(size=shape).astype("float32"), rng)


FIRST: dict[str, Make] = {
    "conv3d": lambda L: L.Conv3D(4, 2, data_format="channels_first"),
    "max_pool_3d": lambda L: L.MaxPooling3D(2, data_format="channels_first"),
    "average_pool_3d": lambda L: L.AveragePooling3D(2, data_format="channels_first"),
    "zero_padding_3d": lambda L: L.ZeroPadding3D(1, data_format="channels_first"),
    "up_sampling_3d": lambda L: L.UpSampling3D(2, data_format="channels_first"),
    "transposed": lambda L: L.Conv3DTranspose(3, 2, data_format="channels_first"),
    "adaptive": lambda L: L.AdaptiveAveragePooling3D(2, data_format="channels_first"),
}


@pytest.mark.parametrize("case", FIRST)
def test_channels_first(case: str, rng: np.random.Generator) -> None:
    # Keras on JAX computes channels_first on the CPU for all of these.
    compare_layers(FIRST[case], rng.normal(size=(2, 3, 4, 5, 4)).astype("float32"), rng)


@pytest.mark.parametrize("case", ["dense", "conv", "embedding"])
def test_spectral_normalization_in_training(case: str, rng: np.random.Generator) -> None:
    make: Make = {
        "dense": lambda L: L.SpectralNormalization(L.Dense(5), power_iterations=2),
        "conv": lambda L: L.SpectralNormalization(L.Conv2D(3, 2)),
        "embedding": lambda L: L.SpectralNormalization(L.Embedding(5, 3)),
    }[case]
    x: Any = rng.normal(size=M if case == "conv" else S).astype("float32")
    if case == "embedding":
        pytest.skip("Keras casts the output of an embedding to the type of the ids")
    ours, theirs = pair_of_layers(make, x, rng)
    for _ in range(2):
        assert_close(ours(x, training=True), theirs(x, training=True), rtol=1e-4, atol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-5)


CONFIGS = {**{name: make for name, (make, _) in FORWARD.items()}}


@pytest.mark.parametrize("case", CONFIGS)
def test_config_makes_an_equal_layer(case: str, rng: np.random.Generator) -> None:
    make, shape = FORWARD[case]
    x = rng.normal(size=shape).astype("float32")
    layer = make(kgraph.layers)
    first = np.asarray(layer(x))
    again = kgraph.layers.deserialize(kgraph.layers.serialize(layer))
    again(x)  # a built inner layer is described with the shape it was built for
    assert again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(again(x)), first)
