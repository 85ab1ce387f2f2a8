"""Derivatives that a program asks for in its midst: `gradients`, and `watch`, which marks where they end.

Both stand only between tracing and autodiff; the pass `expand-gradients` writes the derivative in their place.  They
are ops of their own so that the passes before autodiff work on the values first: what is simpler has a simpler
derivative.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kgraph.errors import ShapeError, VerifyError
from kgraph.ir.builder import Builder
from kgraph.ir.graph import Node, Value
from kgraph.ir.opdef import COMPOSITE, Attrs, Grads, define_op
from kgraph.ir.ops.rules import expect_count
from kgraph.ir.types import TensorType, is_float

__all__: list[str] = []


def _gradients_infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    if len(types) < 2:
        raise ShapeError("gradients needs a loss and at least one value", got=f"{len(types)} operands")
    if types[0].shape != () or not is_float(types[0].dtype):
        raise ShapeError("the loss must be one floating-point number", got=str(types[0]), fix="reduce it with sum")
    return list(types[1:])


def _gradients_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    raise VerifyError("gradients was not expanded", fix="run the pass expand-gradients before autodiff")


define_op(
    "gradients",
    doc=(
        "d loss / d value for each value.  loss: f[], values: f[*S]... -> f[*S]...  What is written in its place by\n"
        "`expand-gradients`; zeros where the loss does not depend on a value."
    ),
    infer=_gradients_infer,
    reference=None,
    vjp=_gradients_vjp,
)


def _same(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("watch", types, 1)
    return [types[0]]


def _watch_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    return [grads[0]]


define_op(
    "watch",
    doc="x, as a value of its own that a `gradients` asks for.  x: t[*S] -> t[*S].  No pass takes two of them for one.",
    infer=_same,
    reference=lambda x, number: np.array(x),
    vjp=_watch_vjp,
    attrs={"number": 0},
    traits={COMPOSITE},
    decompose=lambda b, node: [node.operands[0]],
)
