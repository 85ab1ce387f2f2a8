"""Initial weights, as NumPy arrays in the shapes and the order of Keras, for every contender alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Weights:
    """What one layer holds: its kind (the nets convert by it) and its arrays, in the order of `set_weights`."""

    kind: str
    arrays: dict[str, Array]

    def in_keras_order(self) -> list[Array]:
        return list(self.arrays.values())


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def glorot(rng: np.random.Generator, *shape: int, fans: int | None = None) -> Array:
    """Uniform, Glorot and Bengio (2010); `fans` is the sum of both fans where the shape does not say it."""
    if fans is None:
        fans = (shape[-2] + shape[-1]) * int(np.prod(shape[:-2]))
    limit = np.float32(np.sqrt(6.0 / fans))
    return (rng.random(shape, dtype=np.float32) * 2 - 1) * limit


def dense(rng: np.random.Generator, inputs: int, units: int) -> Weights:
    return Weights("dense", {"kernel": glorot(rng, inputs, units), "bias": zeros(units)})


def conv(rng: np.random.Generator, size: int, inputs: int, filters: int) -> Weights:
    return Weights("conv", {"kernel": glorot(rng, size, size, inputs, filters), "bias": zeros(filters)})


def conv_transpose(rng: np.random.Generator, size: int, inputs: int, filters: int) -> Weights:
    return Weights("conv_transpose", {"kernel": glorot(rng, size, size, filters, inputs), "bias": zeros(filters)})


def batch_norm(channels: int) -> Weights:
    ones, nothing = np.ones(channels, np.float32), zeros(channels)
    return Weights("batch_norm", {"gamma": ones, "beta": nothing, "mean": nothing.copy(), "variance": ones.copy()})


def layer_norm(width: int) -> Weights:
    return Weights("layer_norm", {"gamma": np.ones(width, np.float32), "beta": zeros(width)})


def embedding(rng: np.random.Generator, words: int, width: int) -> Weights:
    return Weights("embedding", {"table": (rng.random((words, width), dtype=np.float32) - 0.5) * np.float32(0.1)})


def orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """Rows of length 1, orthogonal to each other; rows <= columns."""
    q, _ = np.linalg.qr(rng.standard_normal((columns, rows)))
    return q.T.astype(np.float32).copy()


def lstm(rng: np.random.Generator, inputs: int, units: int) -> Weights:
    """Gates i, f, c, o; the bias of the forget gate is 1."""
    bias = zeros(4 * units)
    bias[units : 2 * units] = 1.0
    recurrent = orthogonal(rng, units, 4 * units)
    return Weights("lstm", {"kernel": glorot(rng, inputs, 4 * units), "recurrent": recurrent, "bias": bias})


def gru(rng: np.random.Generator, inputs: int, units: int) -> Weights:
    """Gates z, r, h, reset after the product: a bias for the input and one for the state."""
    recurrent = orthogonal(rng, units, 3 * units)
    bias = zeros(2, 3 * units)
    return Weights("gru", {"kernel": glorot(rng, inputs, 3 * units), "recurrent": recurrent, "bias": bias})


def attention(rng: np.random.Generator, width: int, heads: int, size: int) -> Weights:
    arrays = {}
    for name in ("query", "key", "value"):
        arrays[name] = glorot(rng, width, heads, size, fans=width + heads * size)
        arrays[f"{name}_bias"] = zeros(heads, size)
    arrays["output"] = glorot(rng, heads, size, width, fans=width + heads * size)
    arrays["output_bias"] = zeros(width)
    return Weights("attention", arrays)


def one_hot(labels: Array, classes: int) -> Array:
    return np.eye(classes, dtype=np.float32)[labels]
