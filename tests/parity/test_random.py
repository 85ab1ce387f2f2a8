"""Distributions of `kgraph.random`: moments, and Kolmogorov-Smirnov tests against scipy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kgraph.errors import InvalidArgumentError, ShapeError
from tests.parity.comparing import keras, kgraph

pytestmark = pytest.mark.parity

SIZE = 20000
random = kgraph.random

CONTINUOUS: dict[str, tuple[Callable[..., Any], Any]] = {
    **{
        f"gamma_{alpha}": (lambda seed, alpha=alpha: random.gamma((SIZE,), alpha, seed=seed), stats.gamma(alpha))
        for alpha in (0.3, 1.0, 2.5, 40.0)
    },
    **{
        f"beta_{a}_{b}": (lambda seed, a=a, b=b: random.beta((SIZE,), a, b, seed=seed), stats.beta(a, b))
        for a, b in ((0.5, 0.5), (2.0, 5.0), (30.0, 1.0))
    },
}


@pytest.mark.parametrize("case", CONTINUOUS)
def test_continuous(case: str) -> None:
    make, distribution = CONTINUOUS[case]
    drawn = np.asarray(make(3), "float64")
    # One in a thousand right generators fails this; the seed is fixed.
    assert stats.kstest(drawn, distribution.cdf).pvalue > 1e-3
    error = distribution.std() / np.sqrt(SIZE)
    assert abs(drawn.mean() - distribution.mean()) < 4 * error
    assert abs(drawn.var() / distribution.var() - 1) < 0.1


@pytest.mark.parametrize(
    ("count", "p"), [(5, 0.3), (64, 0.5), (65, 0.02), (1000, 0.7), (100000, 0.001), (20, 1.0), (200, 0.0)]
)
def test_binomial(count: int, p: float) -> None:
    drawn = np.asarray(random.binomial((SIZE,), count, p, seed=5))
    exact = stats.binom(count, p)
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() <= count
    assert abs(drawn.mean() - exact.mean()) <= 4 * exact.std() / np.sqrt(SIZE)
    assert abs(drawn.var() - exact.var()) <= 0.08 * exact.var()
    low, high = exact.ppf([0.2, 0.8])
    assert abs((drawn <= low).mean() - exact.cdf(low)) < 0.015
    assert abs((drawn <= high).mean() - exact.cdf(high)) < 0.015


def test_categorical() -> None:
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 1e-9]], "float32"))
    drawn = random.categorical(logits, SIZE, seed=1)
    assert drawn.shape == (2, SIZE)
    assert drawn.dtype == np.asarray(keras.random.categorical(logits, 2, seed=1)).dtype
    for row, expected in zip(drawn, np.exp(logits)):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / SIZE, expected, atol=0.015)


def test_tensors_as_parameters_in_a_model() -> None:
    a, n = kgraph.Input((2,)), kgraph.Input((2,))
    logits = kgraph.Input((3,))
    seed = random.SeedGenerator(4)
    outputs = [
        random.gamma(kgraph.ops.shape(a), a, seed=seed),
        random.beta(kgraph.ops.shape(a), a, 2.0, seed=seed),
        random.binomial(kgraph.ops.shape(n), n, 0.25, seed=seed),
        random.categorical(logits, 4, seed=seed),
        random.shuffle(n, seed=seed),
    ]
    model = kgraph.Model([a, n, logits], outputs)
    counts = np.arange(4000, dtype="float32").reshape(2000, 2) // 20 * 20
    arrays = [np.full((2000, 2), 3.0, "f4"), counts, np.tile(np.array([[9.0, 0.0, -9.0]], "f4"), (2000, 1))]
    first, second = model(arrays), model(arrays)
    gamma, beta, binomial, classes, shuffled = (np.asarray(y) for y in first)
    assert abs(gamma.mean() - 3.0) < 0.15
    assert abs(beta.mean() - 0.6) < 0.02
    assert abs(binomial.sum() / counts.sum() - 0.25) < 0.005
    assert (binomial <= counts).all()
    assert (classes == 0).mean() > 0.99
    assert not np.array_equal(shuffled, counts)
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(counts, axis=0))
    assert not np.array_equal(first[0], second[0])


def test_a_number_as_seed_gives_the_same_draw() -> None:
    for make in (
        lambda seed: random.gamma((5,), 2.0, seed=seed),
        lambda seed: random.beta((5,), [1.0, 2.0, 3.0, 4.0, 5.0], 2.0, seed=seed),
        lambda seed: random.binomial((5,), 100, 0.5, seed=seed),
    ):
        np.testing.assert_array_equal(make(7), make(7))
        generator = random.SeedGenerator(7)
        assert not np.array_equal(make(generator), make(generator))


def test_wrong_arguments() -> None:
    with pytest.raises(InvalidArgumentError, match="float dtype"):
        random.gamma((2,), 1.0, dtype="int32")
    with pytest.raises(InvalidArgumentError, match="whole numbers"):
        random.categorical(np.zeros((1, 2)), 1, dtype="float32")
    with pytest.raises(ShapeError, match="rank 2"):
        random.categorical(np.zeros(3), 1)
