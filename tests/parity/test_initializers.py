"""Initializers against Keras on JAX: the draws differ, the distributions must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import keras, kgraph

pytestmark = pytest.mark.parity

RANDOM: dict[str, Callable[[Any], Any]] = {
    "uniform": lambda m: m.RandomUniform(seed=1),
    "uniform_range": lambda m: m.RandomUniform(-1.0, 3.0, seed=1),
    "normal": lambda m: m.RandomNormal(seed=1),
    "normal_mean": lambda m: m.RandomNormal(2.0, 0.5, seed=1),
    "truncated": lambda m: m.TruncatedNormal(1.0, 0.5, seed=1),
    "glorot_uniform": lambda m: m.GlorotUniform(seed=1),
    "glorot_normal": lambda m: m.GlorotNormal(seed=1),
    "he_uniform": lambda m: m.HeUniform(seed=1),
    "he_normal": lambda m: m.HeNormal(seed=1),
    "lecun_uniform": lambda m: m.LecunUniform(seed=1),
    "lecun_normal": lambda m: m.LecunNormal(seed=1),
    "scaling_fan_out": lambda m: m.VarianceScaling(2.0, "fan_out", "uniform", seed=1),
    "scaling_untruncated": lambda m: m.VarianceScaling(0.5, "fan_avg", "untruncated_normal", seed=1),
}
SHAPES = [(200, 300), (3, 5, 40, 60)]


@pytest.mark.parametrize("case", RANDOM)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_distribution(case: str, shape: tuple[int, ...]) -> None:
    ours = RANDOM[case](kgraph.initializers)(shape)
    theirs = np.asarray(RANDOM[case](keras.initializers)(shape))
    assert ours.shape == shape and ours.dtype == np.float32
    spread = theirs.std()
    # 36,000 values: the mean is known to some 0.5 % of the spread, the spread to some 0.4 %.
    assert abs(ours.mean() - theirs.mean()) < 0.03 * spread
    assert abs(ours.std() / spread - 1.0) < 0.02
    for quantile in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert abs(np.quantile(ours, quantile) - np.quantile(theirs, quantile)) < 0.06 * spread
    if case not in ("normal", "normal_mean", "scaling_untruncated"):  # bounded: compare the bounds
        assert abs(np.abs(ours - ours.mean()).max() / np.abs(theirs - theirs.mean()).max() - 1.0) < 0.02


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (2, 3, 4)], ids=str)
def test_orthogonal(shape: tuple[int, ...]) -> None:
    value = kgraph.initializers.Orthogonal(gain=2.0, seed=3)(shape)
    matrix = value.reshape(-1, shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    np.testing.assert_allclose(matrix.T @ matrix, 4.0 * np.eye(matrix.shape[1]), atol=1e-5)


def test_constants() -> None:
    for name in ("zeros", "ones", "identity"):
        ours = kgraph.initializers.get(name)((3, 3))
        np.testing.assert_array_equal(ours, np.asarray(keras.initializers.get(name)((3, 3))))
    np.testing.assert_array_equal(kgraph.initializers.Constant(2.5)((2,)), np.full(2, 2.5, "float32"))
