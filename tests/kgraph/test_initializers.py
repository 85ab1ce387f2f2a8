"""Initializers: names, seeds, configurations, errors.  The distributions are compared in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph import initializers
from kgraph.errors import InvalidArgumentError, ShapeError, UnknownNameError
from kgraph.random import set_random_seed

NAMES = (
    "zeros ones constant identity random_normal random_uniform truncated_normal variance_scaling glorot_uniform "
    "glorot_normal he_uniform he_normal lecun_uniform lecun_normal orthogonal normal uniform zero one GlorotUniform"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_name(name: str) -> None:
    initializer = initializers.get(name)
    assert initializer is not None
    value = initializer((4, 4), dtype="float32")
    assert value.shape == (4, 4) and value.dtype == np.float32 and value.flags.c_contiguous
    again = initializers.deserialize(initializers.serialize(initializer))
    assert type(again) is type(initializer) and again.get_config() == initializer.get_config()  # type: ignore[attr-defined]


def test_a_seed_fixes_the_values_and_two_unseeded_differ() -> None:
    make = initializers.GlorotUniform
    np.testing.assert_array_equal(make(seed=5)((3, 4)), make(seed=5)((3, 4)))
    one = make()
    np.testing.assert_array_equal(one((3, 4)), one((3, 4)))  # as in Keras 3: the instance has one draw
    assert not np.array_equal(one((3, 4)), make()((3, 4)))


def test_set_random_seed_fixes_the_unseeded() -> None:
    values = []
    for _ in range(2):
        set_random_seed(11)
        values.append([initializers.HeNormal()((5,)), initializers.RandomUniform()((5,))])
    np.testing.assert_array_equal(values[0], values[1])


@pytest.mark.parametrize(
    ("shape", "fans"), [((), (1, 1)), ((7,), (7, 7)), ((3, 5), (3, 5)), ((2, 3, 4, 5), (24, 30)), ((9, 4, 5), (36, 45))]
)
def test_fans(shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    assert initializers.compute_fans(shape) == fans


def test_truncation_is_made_up_for_in_variance_scaling_alone() -> None:
    shape = (300, 300)
    scaled = initializers.VarianceScaling(1.0, "fan_in", "truncated_normal", seed=1)(shape)
    assert abs(scaled.std() * np.sqrt(300) - 1.0) < 0.01
    assert abs(np.abs(scaled).max() * np.sqrt(300) - 2.0 / 0.87962566103423978) < 0.01
    plain = initializers.TruncatedNormal(0.0, 1.0, seed=1)(shape)
    assert abs(plain.std() - 0.87962566103423978) < 0.01 and np.abs(plain).max() <= 2.0


def test_functions_arrays_and_classes_serve_too() -> None:
    def own(shape: tuple[int, ...], dtype: object = None) -> np.ndarray:
        return np.full(shape, 3.0, "float32")

    assert initializers.get(own) is own
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    table = np.arange(6.0).reshape(2, 3)
    made = initializers.get(table)
    assert made is not None
    np.testing.assert_array_equal(made((2, 3)), table)


def test_float64_is_drawn_in_float64() -> None:
    value = initializers.RandomNormal(seed=2)((50,), "float64")
    assert value.dtype == np.float64 and not np.array_equal(value, value.astype("float32").astype("float64"))


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match="perhaps 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match="as an initializer"):
        initializers.get(3)
    with pytest.raises(InvalidArgumentError, match="`scale`"):
        initializers.VarianceScaling(scale=0.0)
    with pytest.raises(InvalidArgumentError, match="`mode`"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(InvalidArgumentError, match="`seed`"):
        initializers.RandomNormal(seed="a")  # type: ignore[arg-type]
    with pytest.raises(ShapeError):
        initializers.Orthogonal()((3,))
    with pytest.raises(ShapeError):
        initializers.Identity()((3, 3, 3))
    with pytest.raises(ShapeError):
        initializers.Constant(np.ones(3))((2,))
