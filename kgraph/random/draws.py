"""Random numbers: `SeedGenerator` and draws from it, the same bits on every target.

In a trace a draw is the IR op `random_uniform` (Philox 4x32-10, keyed by seed, call site and step), shaped by ordinary
operations.  On arrays the same op runs in the interpreter, so a seed gives the same numbers there.
"""

from __future__ import annotations

import math
import random as _python_random
from typing import Any

import numpy as np

from kgraph.core.dispatch import has_symbolic, record, run_eagerly
from kgraph.core.dtypes import is_float_dtype, standardize_dtype
from kgraph.core.session import on_clear_session
from kgraph.core.tensors import TracedTensor
from kgraph.core.trace import Trace, current_trace, eager_scope
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.ops.convert import shape_argument

__all__ = [
    "SeedGenerator",
    "draw_seed",
    "dropout",
    "make_default_seed",
    "normal",
    "randint",
    "set_random_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]

# 2**-24: half the spacing of float32 just below 1, so that log(1 - u) never meets 0.
TINY = 2.0**-24


class _Global:
    """The source of seeds that nobody gave."""

    def __init__(self) -> None:
        self.rng = np.random.Generator(np.random.Philox())
        self.seed: int | None = None
        self.generator: SeedGenerator | None = None


_GLOBAL = _Global()


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and this package's generators.

    Raises:
        InvalidArgumentError: not a whole number of 0 or more.
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidArgumentError("the seed must be a whole number of 0 or more", got=repr(seed))
    _python_random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    _GLOBAL.seed = int(seed)
    _GLOBAL.rng = np.random.Generator(np.random.Philox(int(seed)))
    _GLOBAL.generator = None


def make_default_seed() -> int:
    """A new seed from the global source: fixed by `set_random_seed`, else different in each process."""
    return int(_GLOBAL.rng.integers(0, 2**31 - 1))


draw_seed = make_default_seed


def _reset() -> None:
    _GLOBAL.generator = None
    if _GLOBAL.seed is not None:
        _GLOBAL.rng = np.random.Generator(np.random.Philox(_GLOBAL.seed))


on_clear_session(_reset)


class SeedGenerator:
    """A stream of random numbers with a state of its own: every draw advances it.

    Args:
        seed: a whole number of 0 or more; None takes a new one from the global source, and lets a trainer's seed rule
            in training.
        name: name of its state.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
            raise InvalidArgumentError("Argument `seed` must be a whole number of 0 or more", got=repr(seed))
        self.name = name or "seed_generator"
        self._given = seed is not None
        self.initial_seed = make_default_seed() if seed is None else int(seed)
        self.seed = Variable(
            np.int64(self.initial_seed), dtype="int64", trainable=False, name="seed", path=f"{self.name}/seed"
        )
        self.state = Variable(np.int64(0), dtype="int64", trainable=False, name="state", path=f"{self.name}/state")

    def keys(self, trace: Trace) -> tuple[TracedTensor, TracedTensor]:
        """(seed, step) for one draw in a trace; without a trainer's step the own count is used and advanced."""
        if trace.parent is not None:
            raise UnsupportedError(
                "random numbers inside a loop body are not supported",
                where=str(trace.location()),
                fix="draw them before the loop, for all steps at once",
            )
        if trace.seed_step is not None:
            seed, step = trace.seed_step
            return trace.value_of(self.seed if self._given else seed), trace.value_of(step)
        step_now = trace.value_of(self.state)
        trace.assign(self.state, step_now + 1)
        return trace.value_of(self.seed), step_now

    def next(self, ordered: bool = True) -> np.ndarray[Any, Any]:
        """(seed, count) as two numbers, advancing the count."""
        pair = np.array([int(self.seed.array), int(self.state.array)], np.int64)
        self.state.array[...] += 1
        return pair

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal generator."""
        return {"seed": self.initial_seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """A generator from `get_config()`."""
        return cls(**config)


def global_generator() -> SeedGenerator:
    """The generator behind draws with `seed=None`."""
    if _GLOBAL.generator is None:
        with eager_scope():
            _GLOBAL.generator = SeedGenerator(name="global_seed_generator")
    return _GLOBAL.generator


def generator_of(seed: Any) -> SeedGenerator:
    if isinstance(seed, SeedGenerator):
        return seed
    if seed is None:
        return global_generator()
    with eager_scope():
        return SeedGenerator(int(seed))  # a plain number gives the same draw each time


def bits(trace: Trace, shape: Any, generator: SeedGenerator) -> TracedTensor:
    """Uniform float32 in [0, 1)."""
    seed, step = generator.keys(trace)
    drawn = trace.emit("random_uniform", seed, step, shape=shape_argument(shape), stream=trace.next_stream())
    assert isinstance(drawn, TracedTensor)
    return drawn


def draw(body: Any, title: str, *args: Any) -> Any:
    if current_trace() is not None:
        return body(*args)
    if has_symbolic(list(args)):
        return record(body, title, args, {})
    return run_eagerly(body, title, args, {})


def active_trace() -> Trace:
    trace = current_trace()
    assert trace is not None
    return trace


def float_dtype(dtype: Any) -> str:
    name = standardize_dtype(dtype)
    if not is_float_dtype(name):
        raise InvalidArgumentError(
            "random numbers need a float dtype", got=name, fix="use random.randint for whole numbers"
        )
    return name


def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Uniform numbers in [minval, maxval)."""
    generator, name = generator_of(seed), float_dtype(dtype)

    def body(shape: Any) -> Any:
        from kgraph import ops

        u = ops.cast(bits(active_trace(), shape, generator), name)
        return u if (minval, maxval) == (0.0, 1.0) else u * (maxval - minval) + minval

    return draw(body, "uniform", shape)


def normal_from_bits(trace: Trace, shape: Any, generator: SeedGenerator) -> Any:
    from kgraph import ops

    # Box and Muller (1958): sqrt(-2 log u) cos(2 pi v).  1 - u lies in (0, 1], so the logarithm is finite.
    u, v = bits(trace, shape, generator), bits(trace, shape, generator)
    return ops.sqrt(-2.0 * ops.log(1.0 - u)) * ops.cos(v * (2.0 * math.pi))


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normally distributed numbers."""
    generator, name = generator_of(seed), float_dtype(dtype)

    def body(shape: Any) -> Any:
        from kgraph import ops

        return ops.cast(normal_from_bits(active_trace(), shape, generator) * stddev + mean, name)

    return draw(body, "normal", shape)


def truncated_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normally distributed numbers, none further than two standard deviations from the mean.

    The inverse distribution function is applied to uniform numbers within the bounds, so nothing has to be drawn again.
    """
    generator, name = generator_of(seed), float_dtype(dtype)

    def body(shape: Any) -> Any:
        from kgraph import ops

        edge = math.erf(math.sqrt(2.0))  # erf(2 / sqrt 2): the mass within two standard deviations
        u = bits(active_trace(), shape, generator) * (2.0 * edge) + (-edge + edge * TINY)
        return ops.cast(_erfinv(u) * (math.sqrt(2.0) * stddev) + mean, name)

    return draw(body, "truncated_normal", shape)


def _erfinv(x: Any) -> Any:
    """Inverse error function in float32 (M. Giles, "Approximating the erfinv function", 2010; single precision)."""
    from kgraph import ops

    w = -ops.log((1.0 - x) * (1.0 + x))
    near, far = w - 2.5, ops.sqrt(ops.maximum(w, 5.0)) - 3.0
    p: Any = 2.81022636e-08
    for c in (
        3.43273939e-07,
        -3.5233877e-06,
        -4.39150654e-06,
        0.00021858087,
        -0.00125372503,
        -0.00417768164,
        0.246640727,
        1.50140941,
    ):
        p = c + p * near
    q: Any = -0.000200214257
    for c in (
        0.000100950558,
        0.00134934322,
        -0.00367342844,
        0.00573950773,
        -0.0076224613,
        0.00943887047,
        1.00167406,
        2.83297682,
    ):
        q = c + q * far
    return ops.where(w < 5.0, p, q) * x


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Whole numbers in [minval, maxval), of at most 2**24 values."""
    generator, name = generator_of(seed), standardize_dtype(dtype)

    def body(shape: Any) -> Any:
        from kgraph import ops

        u = bits(active_trace(), shape, generator)
        return ops.cast(ops.floor(u * float(maxval - minval)), name) + int(minval)

    return draw(body, "randint", shape)


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """`inputs` with each element set to 0 with probability `rate`, the others times 1 / (1 - rate).

    Args:
        inputs: tensor.
        rate: probability, 0 to 1.
        noise_shape: shape of the draw, broadcast to the inputs; None stands for the input's size on that axis.
        seed: number or SeedGenerator.
    """
    generator = generator_of(seed)

    def body(inputs: Any) -> Any:
        from kgraph import ops

        x = ops.convert_to_tensor(inputs)
        if not 0.0 < rate:
            return x
        if rate >= 1.0:
            return ops.zeros_like(x)
        sizes = x.dims if noise_shape is None else tuple(d if n is None else n for n, d in zip(noise_shape, x.dims))
        kept = bits(active_trace(), sizes, generator) >= float(rate)
        return ops.where(kept, x * (1.0 / (1.0 - rate)), 0.0)

    return draw(body, "dropout", inputs)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """The slices along an axis in random order (in a model: in the order of random numbers, one for each slice)."""
    generator = generator_of(seed)
    if current_trace() is None and not has_symbolic(x):
        pair = generator.next()
        rng = np.random.Generator(np.random.Philox(key=[int(pair[0]), int(pair[1])]))
        return rng.permutation(np.asarray(x), axis=axis)

    def body(x: Any) -> Any:
        from kgraph import ops

        tensor = ops.convert_to_tensor(x)
        order = ops.argsort(bits(active_trace(), (tensor.dims[axis],), generator))
        return ops.take(tensor, order, axis=axis)

    return draw(body, "shuffle", x)
