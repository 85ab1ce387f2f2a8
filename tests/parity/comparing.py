"""How the parity tests compare: the same class of kgraph and of Keras on JAX, from equal weights, on equal data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

import kgraph.activations
import kgraph.constraints
import kgraph.initializers
import kgraph.layers
import kgraph.losses
import kgraph.metrics
import kgraph.optimizers
import kgraph.regularizers

# float32 sums in another order: a few units in the seventh digit of the largest term, so both kinds of bound.
RTOL, ATOL = 2e-5, 2e-6


def assert_close(ours: Any, theirs: Any, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Equal shapes and values."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def flat(outputs: Any) -> list[Any]:
    """One tensor, or several (nested too), as a flat list."""
    return [leaf for item in outputs for leaf in flat(item)] if isinstance(outputs, (list, tuple)) else [outputs]


def random_weights(shapes: Sequence[tuple[int, ...]], rng: np.random.Generator) -> list[np.ndarray]:
    """Weights of both signs, off zero; variances must be positive, so the absolute value serves all of rank 1."""
    return [
        (np.abs(rng.normal(0.6, 0.3, shape)) if len(shape) == 1 else rng.normal(0, 0.5, shape)).astype("float32")
        for shape in shapes
    ]


def pair_of_layers(make: Callable[[Any], Any], inputs: Any, rng: np.random.Generator, **call: Any) -> tuple[Any, Any]:
    """A layer of each, built on `inputs` and given the same random weights."""
    ours, theirs = make(kgraph.layers), make(keras.layers)
    ours(inputs, **call)
    theirs(inputs, **call)
    assert [tuple(w.shape) for w in ours.get_weights()] == [tuple(w.shape) for w in theirs.get_weights()]
    weights = random_weights([w.shape for w in theirs.get_weights()], rng)
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def compare_layers(make: Callable[[Any], Any], inputs: Any, rng: np.random.Generator, **call: Any) -> None:
    """Outputs, and weights after the call (moving averages), are equal."""
    ours, theirs = pair_of_layers(make, inputs, rng, **call)
    for a, b in zip(flat(ours(inputs, **call)), flat(theirs(inputs, **call)), strict=True):
        assert_close(a, b)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b)
