"""`argsort`: the order of the elements along the last axis.  Sorted values are a gather with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError, ShapeError
from kgraph.ir.opdef import Attrs, define_op, no_gradient
from kgraph.ir.ops.rules import expect_count
from kgraph.ir.types import TensorType

__all__: list[str] = []

Array = npt.NDArray[Any]


def _infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("argsort", types, 1)
    (x,) = types
    if x.dtype == "bool":
        raise DtypeError("argsort needs numbers", got=str(x), fix="cast it to i32 first")
    if x.rank == 0:
        raise ShapeError("argsort needs an axis to sort along", got=str(x))
    return [x.with_dtype("i32")]


def _reference(x: Array, descending: bool) -> Array:
    if not descending:
        return np.asarray(np.argsort(x, axis=-1, kind="stable"), np.int32)
    # Turned before and after, so that equal elements keep their order although the result is turned.
    turned = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    return np.asarray(x.shape[-1] - 1 - turned, np.int32)


define_op(
    "argsort",
    doc=(
        "Positions of the elements along the last axis in the order of their values.  x: number[*S, N] -> i32[*S, N].\n"
        "Equal elements keep their order.  NaN is greater than any number, -0.0 equals 0.0.  `descending` starts with\n"
        "the greatest."
    ),
    attrs={"descending": False},
    infer=_infer,
    reference=_reference,
    vjp=no_gradient,
)
