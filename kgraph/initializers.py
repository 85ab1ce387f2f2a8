"""Initial values of weights: pure NumPy, drawn from Philox generators, in the distributions of Keras 3.

An initializer is called with a shape and a dtype and returns a NumPy array; any callable of that form will do.
The same instance gives the same values at each call, as in Keras 3; two instances made without a seed differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.session import snake_case
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.random import make_default_seed
from kgraph.registry import Registry, serialize

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "deserialize",
    "get",
    "serialize",
]

Array = npt.NDArray[Any]
Shape = Sequence[int]

# The standard deviation of a unit normal cut off at two standard deviations (Keras, TensorFlow).
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer:
    """Base of the initializers.  `__call__(shape, dtype)` returns an array of that shape."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(shape, dtype)")

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Initializer:
        """An initializer with the same configuration (and seed)."""
        return self.from_config(self.get_config())


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        return np.zeros(tuple(shape), _dtype(dtype))


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        return np.ones(tuple(shape), _dtype(dtype))


class Constant(Initializer):
    """All `value`: a number, or an array that broadcasts to the shape asked for (as in Keras 2)."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        value = np.asarray(self.value, _dtype(dtype))
        try:
            filled: Array = np.broadcast_to(value, tuple(shape)).copy()
        except ValueError:
            raise ShapeError(
                f"the constant of shape {value.shape} cannot initialise a weight of shape {tuple(shape)}"
            ) from None
        return filled

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray) else self.value}


class Identity(Initializer):
    """`gain` times the identity matrix; rank 2 only."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        if len(shape) != 2:
            raise ShapeError(
                "the identity initializer makes matrices only", got=f"shape {tuple(shape)}", needed="rank 2"
            )
        result: Array = (self.gain * np.eye(shape[0], shape[1])).astype(_dtype(dtype))
        return result

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """Base of the random ones.  `seed`: an int; None draws one now from the source that `set_random_seed` seeds."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            raise InvalidArgumentError(f"argument `seed` must be an int or None, not {seed!r}")
        self._init_seed = None if seed is None else int(seed)
        self.seed = make_default_seed() if seed is None else int(seed)

    def generator(self) -> np.random.Generator:
        """A fresh NumPy generator at the start of this initializer's stream."""
        return np.random.Generator(np.random.Philox(self.seed & (2**64 - 1)))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"seed": self._init_seed}


class RandomNormal(RandomInitializer):
    """Normal with the given mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        return _finish(_normal(self.generator(), shape, dtype) * self.stddev + self.mean, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomInitializer):
    """Normal whose values beyond two standard deviations are drawn again; the spread is not made up for."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        return _finish(_truncated(self.generator(), shape, dtype) * self.stddev + self.mean, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class RandomUniform(RandomInitializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        return _finish(_uniform(self.generator(), shape, dtype) * (self.maxval - self.minval) + self.minval, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class VarianceScaling(RandomInitializer):
    """Spread that follows from the number of inputs or outputs of a unit (Glorot and Bengio 2010, He et al. 2015).

    Args:
        scale: positive factor of the variance.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
        seed: see `RandomInitializer`.

    Raises:
        InvalidArgumentError: `scale` is not positive, or a name is unknown.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if scale <= 0.0:
            raise InvalidArgumentError(f"argument `scale` must be positive, not {scale!r}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise InvalidArgumentError(f"argument `mode` is {mode!r}", needed="fan_in, fan_out or fan_avg")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            raise InvalidArgumentError(
                f"argument `distribution` is {distribution!r}", needed="uniform, truncated_normal or untruncated_normal"
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        scale = self.scale / max(1.0, fan)
        generator = self.generator()
        if self.distribution == "truncated_normal":
            # Cutting the tails off narrows the distribution; widen it first so that its variance is `scale`.
            values = _truncated(generator, shape, dtype) * (math.sqrt(scale) / _TRUNCATED_STDDEV)
        elif self.distribution == "untruncated_normal":
            values = _normal(generator, shape, dtype) * math.sqrt(scale)
        else:
            limit = math.sqrt(3.0 * scale)
            values = _uniform(generator, shape, dtype) * (2.0 * limit) - limit
        return _finish(values, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"scale": self.scale, "mode": self.mode, "distribution": self.distribution, "seed": self._init_seed}


class _Scaled(VarianceScaling):
    """A `VarianceScaling` whose arguments are fixed by the class."""

    arguments: tuple[float, str, str] = (1.0, "fan_avg", "uniform")

    def __init__(self, seed: int | None = None) -> None:
        scale, mode, distribution = self.arguments
        super().__init__(scale, mode, distribution, seed)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"seed": self._init_seed}


class GlorotUniform(_Scaled):
    """Uniform within ± sqrt(6 / (fan_in + fan_out)); the default of kernels."""

    arguments = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with variance 2 / (fan_in + fan_out)."""

    arguments = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform within ± sqrt(6 / fan_in)."""

    arguments = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan_in."""

    arguments = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform within ± sqrt(3 / fan_in)."""

    arguments = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in."""

    arguments = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal rows or columns (Saxe et al. 2013); the default of recurrent kernels.

    Higher ranks are drawn as the matrix (prod(shape[:-1]), shape[-1]).
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        if len(shape) < 2:
            raise ShapeError("the orthogonal initializer needs rank 2 or more", got=f"shape {tuple(shape)}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(self.generator().standard_normal((max(rows, columns), min(rows, columns))))
        # The QR of LAPACK fixes no signs; this makes the draw uniform over the orthogonal matrices.
        q = q * np.sign(np.diag(r))
        if rows < columns:
            q = q.T
        return _finish(self.gain * q.reshape(tuple(shape)), dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        return {"gain": self.gain, "seed": self._init_seed}


def compute_fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one unit of a weight; kernels of convolutions count their receptive field."""
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return int(shape[0]), int(shape[0])
    field = math.prod(shape[:-2])
    return int(shape[-2] * field), int(shape[-1] * field)


def _dtype(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.float32 if dtype is None else dtype)


def _draw_dtype(dtype: Any) -> Any:
    return np.float32 if _dtype(dtype) == np.float32 else np.float64


def _finish(values: Array, dtype: Any) -> Array:
    return np.ascontiguousarray(values, _dtype(dtype))


def _normal(generator: np.random.Generator, shape: Shape, dtype: Any) -> Array:
    values: Array = generator.standard_normal(tuple(shape), _draw_dtype(dtype))
    return values


def _uniform(generator: np.random.Generator, shape: Shape, dtype: Any) -> Array:
    values: Array = generator.random(tuple(shape), _draw_dtype(dtype))
    return values


def _truncated(generator: np.random.Generator, shape: Shape, dtype: Any) -> Array:
    flat = _normal(generator, (math.prod(shape),), dtype)
    outside = np.flatnonzero(np.abs(flat) > 2.0)
    while outside.size:
        flat[outside] = _normal(generator, outside.shape, dtype)
        outside = outside[np.abs(flat[outside]) > 2.0]
    return flat.reshape(tuple(shape))


class STFT(Initializer):
    """Kernels of a short-time Fourier transform: waves under a window, of shape (frame, 1, fft_length // 2 + 1).

    Args:
        side: "real" (cosines) or "imag" (sines).
        window: name or values of the window, or None.
        scaling: "density" (by the root of the sum of squares of the window), "spectrum" (by its sum) or None.
        periodic: whether a window given by name is periodic, or symmetric.
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        from kgraph.windows import check_window

        for name, value, allowed in (("side", side, ("real", "imag")), ("scaling", scaling, _SCALINGS)):
            if value not in allowed:
                raise InvalidArgumentError(
                    f"STFT: argument `{name}` is {value!r}", needed="one of " + ", ".join(map(str, allowed))
                )
        check_window("STFT", window)
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Shape, dtype: Any = None) -> Array:
        """Return initial values in `shape`."""
        from kgraph.windows import window_values

        if len(shape) != 3:
            raise ShapeError(f"STFT needs a shape (frame, 1, frequencies), got {tuple(shape)}")
        frame, _, bins = shape
        size = 2 * (bins - 1)
        angle = -2 * np.pi * (np.outer(np.arange(frame), np.arange(bins)) % max(size, 1)) / max(size, 1)
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is not None:
            window = window_values(self.window, frame, self.periodic)
            scales = {"density": np.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window)), None: 1.0}
            kernel = kernel * (window / scales[self.scaling])[:, None]
        return _finish(np.broadcast_to(kernel[:, None, :], tuple(shape)), dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal initializer."""
        window = self.window.tolist() if isinstance(self.window, np.ndarray) else self.window
        return {"side": self.side, "window": window, "scaling": self.scaling, "periodic": self.periodic}


_SCALINGS = ("density", "spectrum", None)
_CLASSES = (
    Zeros,
    Ones,
    Constant,
    Identity,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    GlorotUniform,
    GlorotNormal,
    HeUniform,
    HeNormal,
    LecunUniform,
    LecunNormal,
    Orthogonal,
    STFT,
)
_REGISTRY = Registry("initializer", makes=True)
_REGISTRY.add_all(
    _CLASSES,
    {
        **{snake_case(cls.__name__): cls for cls in _CLASSES},
        "normal": RandomNormal,
        "uniform": RandomUniform,
        "zero": Zeros,
        "one": Ones,
        "OrthogonalInitializer": Orthogonal,
        "IdentityInitializer": Identity,
        "STFTInitializer": STFT,
    },
)

# Keras 2 writes `initializers.glorot_uniform(seed=1)`.
zeros, ones, constant, identity = Zeros, Ones, Constant, Identity
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
normal, uniform = RandomNormal, RandomUniform
variance_scaling, orthogonal = VarianceScaling, Orthogonal
stft = STFT
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
deserialize = _REGISTRY.deserialize


def get(identifier: Any) -> Callable[..., Any] | None:
    """An initializer from a name, a class, an instance, a callable, an array or a description; None stays None.

    Raises:
        UnknownNameError: no initializer has that name.
        InvalidArgumentError: the argument is none of these.
    """
    if identifier is None:
        return None
    if isinstance(identifier, (np.ndarray, np.generic)):
        return Constant(np.asarray(identifier))
    found: Callable[..., Any] = _REGISTRY.get(identifier, "a name, an Initializer, or a function of (shape, dtype)")
    return found
