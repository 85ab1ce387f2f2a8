"""Draws from other distributions than the uniform and the normal one: made of them by a fixed number of operations,
so that they run natively in models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dtypes import is_float_dtype, standardize_dtype
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.trace import Trace
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ops.convert import shape_argument
from kgraph.random.draws import (
    TINY,
    SeedGenerator,
    active_trace,
    bits,
    draw,
    float_dtype,
    generator_of,
    normal_from_bits,
)

__all__ = ["beta", "binomial", "categorical", "gamma"]

# Marsaglia and Tsang's proposal is accepted with a probability of at least 0.951 (at alpha = 1), so that after this
# many one draw in 3e10 is left, and takes the last proposal.
_ROUNDS = 8
# Up to this many trials are drawn one by one.
_FEW_TRIALS = 64


def _positive(trace: Trace, shape: Any, generator: SeedGenerator) -> Any:
    """Uniform numbers in (0, 1]: their logarithm is finite."""
    return 1.0 - bits(trace, shape, generator)


def _log_gamma(trace: Trace, shape: Any, alpha: Any, generator: SeedGenerator) -> Any:
    """Logarithms of draws of the gamma distribution: that of a small alpha has draws below the least float."""
    from kgraph import ops

    small = ops.less(alpha, 1.0)
    # A draw for alpha + 1 times u ** (1 / alpha) is one for alpha (Marsaglia and Tsang, section 6).
    d = ops.where(small, alpha + 1.0, alpha) - 1.0 / 3.0
    c = 1.0 / ops.sqrt(9.0 * d)
    rounds = (_ROUNDS, *shape_argument(shape))
    x = normal_from_bits(trace, rounds, generator)
    u = _positive(trace, rounds, generator)
    root = 1.0 + c * x
    inside = ops.greater(root, 0.0)
    log_v = 3.0 * ops.log(ops.where(inside, root, 1.0))
    bound = 0.5 * x * x + d * (1.0 - ops.exp(log_v) + log_v)
    accepted = ops.logical_and(inside, ops.less(ops.log(u), bound))
    found = log_v[_ROUNDS - 1]
    for i in range(_ROUNDS - 2, -1, -1):
        found = ops.where(accepted[i], log_v[i], found)
    boost = ops.log(_positive(trace, shape, generator)) / ops.where(small, alpha, 1.0)
    return ops.log(d) + found + ops.where(small, boost, 0.0)


def _float(x: Any) -> Any:
    from kgraph import ops

    return ops.cast(x, "float32")


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draws of the gamma distribution of shape `alpha` and scale 1.

    Args:
        shape: of the result.
        alpha: number above 0, or a tensor of them that broadcasts to `shape`.
        dtype: a float type.
        seed: number or SeedGenerator.

    Raises:
        InvalidArgumentError: a dtype of no floats.

    Source: G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", 2000: normal draws, cubed
    and accepted or not; here 8 proposals are made at once and the first accepted one counts.
    """
    generator, name = generator_of(seed), float_dtype(dtype)

    def body(shape: Any, alpha: Any) -> Any:
        from kgraph import ops

        return ops.cast(ops.exp(_log_gamma(active_trace(), shape, _float(alpha), generator)), name)

    return draw(body, "gamma", shape, _operand(alpha))


def _beta_draw(trace: Trace, shape: Any, alpha: Any, beta: Any, generator: SeedGenerator) -> Any:
    from kgraph import ops

    # g / (g + h) through logarithms, which stay finite where both g and h are below the least float.
    return ops.sigmoid(_log_gamma(trace, shape, alpha, generator) - _log_gamma(trace, shape, beta, generator))


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draws of the beta distribution: g / (g + h) of draws of gamma distributions of shapes `alpha` and `beta`.

    Args:
        shape: of the result.
        alpha, beta: numbers above 0, or tensors of them that broadcast to `shape`.
        dtype: a float type.
        seed: number or SeedGenerator.

    Raises:
        InvalidArgumentError: a dtype of no floats.
    """
    generator, name = generator_of(seed), float_dtype(dtype)

    def body(shape: Any, alpha: Any, beta: Any) -> Any:
        from kgraph import ops

        return ops.cast(_beta_draw(active_trace(), shape, _float(alpha), _float(beta), generator), name)

    return draw(body, "beta", shape, _operand(alpha), _operand(beta))


def _operand(x: Any) -> Any:
    """Lists as arrays: a tensor argument, no shape."""
    return np.asarray(x, "float32") if isinstance(x, (list, tuple)) else x


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
    """How many of `counts` trials succeed, each with a probability.

    Args:
        shape: of the result.
        counts: whole numbers of 0 or more (up to 2**24), a number or a tensor that broadcasts to `shape`.
        probabilities: 0 to 1, a number or a tensor that broadcasts to `shape`.
        dtype: type of the result, `floatx` by default.
        seed: number or SeedGenerator.

    Few trials are drawn one by one.  Of many (or of a number that is a tensor of a model) the middle one in size is
    drawn, which has a beta distribution: half of the trials are then known, and the others are uniform beside it.

    Source: L. Devroye, Non-Uniform Random Variate Generation, 1986, section X.4.3 (recursive methods).
    """
    generator, name = generator_of(seed), standardize_dtype(dtype)
    known = not isinstance(counts, (TracedTensor, SymbolicTensor))
    most = int(np.max(np.asarray(counts))) if known and np.size(np.asarray(counts)) else 2**24 - 1

    def body(shape: Any, counts: Any, probabilities: Any) -> Any:
        from kgraph import ops

        trace, n, p = active_trace(), _float(counts), _float(probabilities)
        if most <= _FEW_TRIALS:
            sizes = shape_argument(shape)
            u = bits(trace, (most, *sizes), generator)
            trial = ops.reshape(ops.arange(most, dtype="float32"), (most, *(1,) * len(sizes)))
            return ops.cast(ops.sum(ops.cast(ops.logical_and(u < p, trial < n), "float32"), axis=0), name)
        return ops.cast(_halved(trace, shape, n, p, most, generator), name)

    return draw(body, "binomial", shape, _operand(counts), _operand(probabilities))


def _halved(trace: Trace, shape: Any, n: Any, p: Any, most: int, generator: SeedGenerator) -> Any:
    from kgraph import ops

    sizes = shape_argument(shape)
    n, p = ops.broadcast_to(n, sizes), ops.broadcast_to(p, sizes)
    total = ops.zeros_like(n)
    for _ in range(most.bit_length()):
        going = ops.greater(n, 0.0)
        middle = ops.floor((n + 1.0) * 0.5)
        size = ops.where(going, middle, 1.0)
        y = _beta_draw(trace, sizes, size, ops.where(going, n + 1.0 - middle, 1.0), generator)
        low = ops.less_equal(y, p)  # the middle one and those below it succeed
        total = total + ops.where(ops.logical_and(going, low), middle, 0.0)
        # The others are uniform in what is left of [0, 1], above or below y.
        above = ops.divide_no_nan(p - y, 1.0 - y)
        p = ops.clip(ops.where(low, above, ops.divide_no_nan(p, y)), 0.0, 1.0)
        n = ops.where(going, ops.where(low, n - middle, middle - 1.0), 0.0)
    return total


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Class numbers, drawn with the probabilities softmax(logits).

    Args:
        logits: f32[N, classes].
        num_samples: draws for each row.
        dtype: of the result, a type of whole numbers.
        seed: number or SeedGenerator.

    Returns:
        [N, num_samples].

    Raises:
        ShapeError: another rank than 2.
        InvalidArgumentError: a dtype of floats.

    Source: the greatest of logits with Gumbel noise, -log(-log u) (E. J. Gumbel, 1954).
    """
    generator, name = generator_of(seed), standardize_dtype(dtype)
    if is_float_dtype(name):
        raise InvalidArgumentError("categorical draws whole numbers", got=name, needed="e.g. dtype='int32'")

    def body(logits: Any) -> Any:
        from kgraph import ops

        scores = _float(logits)
        if len(scores.dims) != 2:
            raise ShapeError("categorical needs logits of rank 2", got=str(scores.shape), needed="(batch, classes)")
        batch, classes = scores.dims
        # Away from 0 and from 1, where one of the two logarithms would be infinite.
        u = bits(active_trace(), (batch, int(num_samples), classes), generator) * (1.0 - TINY) + 0.5 * TINY
        noise = -ops.log(-ops.log(u))
        return ops.cast(ops.argmax(ops.expand_dims(scores, 1) + noise, axis=-1), name)

    return draw(body, "categorical", logits)
