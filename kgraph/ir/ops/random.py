"""Random numbers: counter-based, so that they depend on seed, stream and step only, and never on target or threads."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError, InvalidArgumentError, ShapeError
from kgraph.ir.opdef import Attrs, define_op, no_gradient
from kgraph.ir.ops.rules import expect_count
from kgraph.ir.types import TensorType

__all__: list[str] = []

Array = npt.NDArray[Any]


def _infer_random_uniform(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("random_uniform", types, 2)
    for name, type in zip(("seed", "step"), types, strict=True):
        if type != TensorType("i64"):
            raise DtypeError(f"random_uniform needs its {name} as i64[]", got=str(type))
    stream = attrs["stream"]
    if not isinstance(stream, int) or not 0 <= stream < 2**32:
        raise InvalidArgumentError("random_uniform needs a stream number of 32 bits", got=repr(stream))
    for axis, dim in enumerate(attrs["shape"]):
        if isinstance(dim, int) and dim < 0:
            raise ShapeError(f"random_uniform cannot make axis {axis} of size {dim}")
    return [TensorType("f32", attrs["shape"])]


def _random_uniform_reference(seed: Array, step: Array, shape: tuple[int, ...], stream: int) -> Array:
    from kgraph.ir.philox import philox_reference

    return np.asarray(philox_reference(int(seed), stream, int(step), prod(shape))).reshape(shape)


define_op(
    "random_uniform",
    doc=(
        "Numbers in [0, 1), multiples of 2**-24.  seed: i64[], step: i64[] -> f32[*shape].  Element i (in row-major\n"
        "order) is word i % 4 of Philox 4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC\n"
        "2011) with the key (seed's low word xor its high word, stream) and the counter (low, high word of i // 4,\n"
        "low, high word of step), without its lowest 8 bits.  Every call site has its own `stream`."
    ),
    attrs={"shape": ..., "stream": ...},
    infer=_infer_random_uniform,
    reference=_random_uniform_reference,
    vjp=no_gradient,
)
