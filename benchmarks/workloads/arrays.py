"""Initial weights for the contenders that have no layers."""

from __future__ import annotations

import numpy as np


def glorot(rng: np.random.Generator, *shape: int) -> np.ndarray:
    receptive = int(np.prod(shape[:-2]))
    limit = np.sqrt(6.0 / ((shape[-2] + shape[-1]) * receptive))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def dense(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Kernel and bias of a dense or convolutional layer."""
    return {"w": glorot(rng, *shape), "b": np.zeros(shape[-1], np.float32)}


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[labels]
