"""Control flow with regions: `scan`, the loop behind every recurrent layer; and `kernel`, a fused group in a schedule.

A region is a closed graph: it sees only its own inputs.  The derivative of `scan` is a pass (`passes/scan.py`), since
it splits the loop body in two.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgraph.errors import ShapeError, VerifyError
from kgraph.ir.builder import Builder
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import Attrs, Grads, define_op
from kgraph.ir.types import TensorType

__all__ = ["scan_parts"]


def scan_parts(node: Node) -> tuple[list[Value], list[Value], list[Value]]:
    """Operands of a scan as (initial states, sequences, invariants)."""
    inits, sequences = node.attrs["inits"], node.attrs["sequences"]
    operands = list(node.operands)
    return operands[:inits], operands[inits : inits + sequences], operands[inits + sequences :]


def _slice_type(type: TensorType, axis: int, length: DimLike) -> TensorType:
    if type.rank <= axis or type.shape[axis] != length:
        raise ShapeError(f"scan of {length} steps over axis {axis} cannot walk {type}")
    return type.with_shape(type.shape[:axis] + type.shape[axis + 1 :])


def _scan_infer(types: Sequence[TensorType], attrs: Attrs, regions: Sequence[Graph]) -> list[TensorType]:
    if len(regions) != 1:
        raise VerifyError("scan needs one region")
    (body,) = regions
    inits, sequences, axis, length = attrs["inits"], attrs["sequences"], attrs["axis"], attrs["length"]
    expected = [
        *types[:inits],
        *(_slice_type(t, axis, length) for t in types[inits : inits + sequences]),
        *types[inits + sequences :],
    ]
    got = [value.type for value in body.inputs]
    if got != expected:
        raise ShapeError(
            "scan: the arguments of the body do not fit the operands",
            got=", ".join(map(str, got)),
            needed=", ".join(map(str, expected)),
        )
    states = [value.type for value in body.outputs[:inits]]
    if states != list(types[:inits]):
        raise ShapeError(
            "scan: a state changes its type from step to step",
            got=", ".join(map(str, states)),
            needed=", ".join(map(str, types[:inits])),
        )
    stacked = [t.type.with_shape((*t.shape[:axis], length, *t.shape[axis:])) for t in body.outputs[inits:]]
    return [*states, *stacked]


def _scan_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    from kgraph.ir.passes.scan import scan_gradient

    return scan_gradient(b, node, grads)


define_op(
    "scan",
    doc=(
        "Loop over `length` steps.  Operands: `inits` initial states, `sequences` tensors walked along `axis`, the\n"
        "rest invariants.  Body: (states..., slices..., invariants...) -> (new states..., step outputs...).  Results:\n"
        "the final states, then each step output stacked along `axis`.  `reverse` walks from the last step to the\n"
        "first; stacked outputs keep the natural order."
    ),
    infer=lambda types, attrs: [],
    reference=None,
    vjp=_scan_vjp,
    attrs={"inits": ..., "sequences": ..., "axis": 0, "length": ..., "reverse": False},
    regions=1,
    infer_regions=_scan_infer,
)


def _kernel_infer(types: Sequence[TensorType], attrs: Attrs, regions: Sequence[Graph]) -> list[TensorType]:
    if len(regions) != 1:
        raise VerifyError("kernel needs one region")
    (body,) = regions
    got = [value.type for value in body.inputs]
    if got != list(types):
        raise ShapeError("kernel: the arguments of the body do not fit the operands", got=str(got), needed=str(types))
    return [value.type for value in body.outputs]


def _kernel_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    raise VerifyError("a scheduled graph cannot be differentiated", fix="take gradients before scheduling")


define_op(
    "kernel",
    doc=(
        "A fused group of a schedule: runs its region as one native kernel of the given family.  `name` tells people\n"
        "which layer and ops it holds."
    ),
    infer=lambda types, attrs: [],
    reference=None,
    vjp=_kernel_vjp,
    attrs={"family": ..., "name": ...},
    regions=1,
    infer_regions=_kernel_infer,
)
