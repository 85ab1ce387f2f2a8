"""Noise in training: layers that are the identity otherwise.  Each call site draws its own numbers at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kgraph import ops, random
from kgraph.core import InputSpec, Layer
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import check_rate, normal_data_format

__all__ = [
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]


class Dropout(Layer):
    """In training, sets a share `rate` of the values to zero and multiplies the rest by 1 / (1 - rate).

    Args:
        rate: share of values to drop, from 0 to 1.
        noise_shape: shape of the mask; 1 shares it along an axis, None takes the input's size.
        seed: an int makes the masks reproducible.
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = check_rate(self, rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def _noise_shape(self, inputs: Any) -> tuple[Any, ...] | None:
        if self.noise_shape is None:
            return None
        sizes = tuple(ops.shape(inputs))
        if len(self.noise_shape) != len(sizes):
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: argument `noise_shape` is {self.noise_shape}",
                needed=f"one entry per axis of the input, {len(sizes)}",
            )
        return tuple(size if given is None else given for given, size in zip(self.noise_shape, sizes))

    def call(self, inputs: Any, training: Any = False) -> Any:
        """Drop values in training."""
        if not training or self.rate == 0.0:
            return inputs
        if self.rate >= 1.0:
            return ops.zeros_like(inputs)
        return random.dropout(inputs, self.rate, noise_shape=self._noise_shape(inputs), seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}


class SpatialDropout1D(Dropout):
    """Drops whole channels of a sequence.  x: f32[B, T, C]."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def _noise_shape(self, inputs: Any) -> tuple[Any, ...]:
        batch, _, channels = ops.shape(inputs)
        return (batch, 1, channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = super().get_config()
        del config["noise_shape"]
        return config


class SpatialDropout2D(Dropout):
    """Drops whole channels of an image.  x: f32[B, H, W, C]."""

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.data_format = normal_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=4)

    def _noise_shape(self, inputs: Any) -> tuple[Any, ...]:
        sizes = tuple(ops.shape(inputs))
        if self.data_format == "channels_first":
            return (sizes[0], sizes[1], 1, 1)
        return (sizes[0], 1, 1, sizes[3])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = super().get_config()
        del config["noise_shape"]
        return {**config, "data_format": self.data_format}


class SpatialDropout3D(Dropout):
    """Drops whole channels of a volume.  x: f32[B, D, H, W, C]."""

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.data_format = normal_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=5)

    def _noise_shape(self, inputs: Any) -> tuple[Any, ...]:
        sizes = tuple(ops.shape(inputs))
        if self.data_format == "channels_first":
            return (sizes[0], sizes[1], 1, 1, 1)
        return (sizes[0], 1, 1, 1, sizes[4])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = super().get_config()
        del config["noise_shape"]
        return {**config, "data_format": self.data_format}


class GaussianNoise(Layer):
    """Adds normal noise with standard deviation `stddev` in training."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= stddev:
            raise InvalidArgumentError(
                f"GaussianNoise: argument `stddev` is {stddev!r}", needed="0 or more", where=self.name
            )
        self.stddev, self.seed = float(stddev), seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: Any = False) -> Any:
        """Add noise in training."""
        if not training or not self.stddev:
            return inputs
        noise = random.normal(ops.shape(inputs), stddev=self.stddev, dtype=inputs.dtype, seed=self.seed_generator)
        return ops.add(inputs, noise)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(Layer):
    """Multiplies by normal noise of mean 1 and variance rate / (1 - rate) in training."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.seed = check_rate(self, rate), seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: Any = False) -> Any:
        """Multiply by noise in training."""
        if not training or not 0.0 < self.rate < 1.0:
            return inputs
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        noise = random.normal(ops.shape(inputs), 1.0, stddev, dtype=inputs.dtype, seed=self.seed_generator)
        return ops.multiply(inputs, noise)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class AlphaDropout(Layer):
    """Dropout that keeps mean and variance of selu activations (Klambauer et al. 2017)."""

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate, self.seed = check_rate(self, rate), seed
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: Any = False) -> Any:
        """Drop values to the lower limit of selu, then restore mean and variance, in training."""
        if not training or not 0.0 < self.rate < 1.0:
            return inputs
        sizes = tuple(ops.shape(inputs))
        shape = (
            sizes if self.noise_shape is None else tuple(s if n is None else n for n, s in zip(self.noise_shape, sizes))
        )
        limit = -1.6732632423543772 * 1.0507009873554805
        keep = ops.greater_equal(random.uniform(shape, dtype=inputs.dtype, seed=self.seed_generator), self.rate)
        a = 1.0 / math.sqrt((1.0 - self.rate) * (1.0 + self.rate * limit * limit))
        return ops.where(keep, inputs, limit) * a - a * limit * self.rate

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}
