"""random_uniform: types, errors, and that its numbers depend on seed, step, stream and element only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph.errors import DtypeError, InvalidArgumentError, ShapeError
from kgraph.ir.philox import philox_reference
from tests.ir.evaluating import B, apply, result_type


def numbers(seed: int, step: int, shape: Any, stream: int) -> np.ndarray:
    result: np.ndarray = apply("random_uniform", np.int64(seed), np.int64(step), shape=shape, stream=stream)
    return result


def test_type() -> None:
    assert result_type("random_uniform", "i64[]", "i64[]", shape=(B, 3), stream=0) == "f32[B, 3]"


def test_errors() -> None:
    with pytest.raises(DtypeError, match="needs its step as i64"):
        result_type("random_uniform", "i64[]", "i32[]", shape=(3,), stream=0)
    with pytest.raises(DtypeError, match="needs its seed as i64"):
        result_type("random_uniform", "i64[1]", "i64[]", shape=(3,), stream=0)
    with pytest.raises(InvalidArgumentError, match="stream number of 32 bits"):
        result_type("random_uniform", "i64[]", "i64[]", shape=(3,), stream=2**32)
    with pytest.raises(ShapeError, match="axis 0 of size -1"):
        result_type("random_uniform", "i64[]", "i64[]", shape=(-1,), stream=0)


def test_numbers_are_those_of_philox_in_row_major_order() -> None:
    got = numbers(2**40 + 7, 3, (2, 5), 11)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.reshape(-1), philox_reference(2**40 + 7, 11, 3, 10))


def test_a_shorter_tensor_is_a_prefix() -> None:
    np.testing.assert_array_equal(numbers(1, 2, (7,), 3), numbers(1, 2, (100,), 3)[:7])


@pytest.mark.parametrize("other", [(2, 2, 3), (1, 3, 3), (1, 2, 4)])
def test_seed_step_and_stream_each_change_the_numbers(other: tuple[int, int, int]) -> None:
    seed, step, stream = other
    assert (numbers(1, 2, (64,), 3) != numbers(seed, step, (64,), stream)).mean() > 0.9


def test_distribution() -> None:
    x = numbers(0, 0, (100_000,), 0)
    assert 0.0 <= x.min() and x.max() < 1.0
    np.testing.assert_array_equal(x * 2**24, np.floor(x * 2**24))
    # 5 standard deviations of the mean and of the share of a tenth.
    assert abs(x.mean() - 0.5) < 5 * (1 / 12 / x.size) ** 0.5
    counts, _ = np.histogram(x, bins=10, range=(0, 1))
    assert np.abs(counts / x.size - 0.1).max() < 5 * (0.09 / x.size) ** 0.5


def test_empty_and_scalar() -> None:
    assert numbers(0, 0, (0, 3), 0).shape == (0, 3)
    assert numbers(0, 0, (), 0).shape == ()
