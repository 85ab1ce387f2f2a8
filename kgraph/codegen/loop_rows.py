"""Which loops over time may run row by row: all steps for one row of the batch, whatever the other rows do meanwhile.

In most recurrent layers row r of every state depends on row r of the states before it and on what the loop only reads:
sequences, weights, masks.  Then a target may cut the batch into blocks and let each thread run the whole loop over its
own blocks, where it would else meet the other threads after every kernel of every step.  The analysis looks at the
schedule and never at sizes; what it does not know keeps a loop as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import ELEMENTWISE

__all__ = ["independent_rows"]

_FAMILIES = frozenset({"map", "rows", "gemm", "concat"})


def independent_rows(scan: Node) -> DimLike | None:
    """The number of rows of a scheduled `scan`, if no row of what it computes depends on another row, else None.

    Rows are axis 0 of the states.  What comes from outside the loop may be read in any way; values of the loop itself
    (states and results of its kernels) are read at the row that is being written only.
    """
    body, inits = scan.regions[0], scan.attrs["inits"]
    states = body.inputs[:inits]
    if not states or not states[0].shape:
        return None
    rows = states[0].shape[0]
    if any(value.shape[:1] != (rows,) for value in states):
        return None
    made = set(states)
    for node in body.nodes:
        if node.op.name != "constant" and not _runs_by_rows(node, made, rows):
            return None
    return rows


def _runs_by_rows(node: Node, made: set[Value], rows: DimLike) -> bool:
    """Whether a node of a loop's body computes each row from that row of `made`, to which its results are added."""
    if node.op.name == "reshape" and node.operands[0] not in made:
        return True
    if node.op.name == "kernel":
        fits = node.attrs["family"] in _FAMILIES and _region_by_rows(node, made, rows)
    else:
        fits = node.op.name == "reshape"
    made.update(node.results)
    return fits and all(value.shape[:1] == (rows,) for value in node.results)


def _region_by_rows(kernel: Node, made: set[Value], rows: DimLike) -> bool:
    region: Graph = kernel.regions[0]
    own = {inner for inner, outer in zip(region.inputs, kernel.operands, strict=True) if outer in made}
    for node in region.nodes:
        if not any(value in own for value in node.operands):
            continue
        if any(value.shape[:1] != (rows,) for value in node.results) or not _keeps_rows(node, own):
            return False
        own.update(node.results)
    return True


def _keeps_rows(node: Node, own: set[Value]) -> bool:
    """Whether row r of the results takes of the operands in `own` nothing but row r.  All of them have as many rows."""
    if ELEMENTWISE in node.op.traits:
        # Axes are matched from the right: an operand of smaller rank would have its rows along another axis.
        return all(value.type.rank == node.results[0].type.rank for value in node.operands if value in own)
    rule = _RULES.get(node.op.name)
    return rule is not None and rule(node, own)


def _product_by_rows(node: Node, own: set[Value]) -> bool:
    left, right = node.operands
    return bool(left.type.rank == 2 and right not in own and not node.attrs["transpose_a"])


def _other_axis(node: Node, own: set[Value]) -> bool:
    return bool(node.attrs["axis"] % node.operands[0].type.rank != 0)


def _other_axes(node: Node, own: set[Value]) -> bool:
    return all(axis % node.operands[0].type.rank != 0 for axis in node.attrs["axes"])


def _whole_slice(node: Node, own: set[Value]) -> bool:
    strides = node.attrs["strides"]
    return bool(node.attrs["starts"][0] == 0 and (not strides or strides[0] == 1))


_RULES: dict[str, Callable[[Node, set[Value]], bool]] = {
    "matmul": _product_by_rows,
    "reshape": lambda node, own: True,  # row-major, and axis 0 keeps its size
    "broadcast_to": lambda node, own: node.operands[0].type.rank == node.results[0].type.rank,
    "transpose": lambda node, own: node.attrs["perm"][0] == 0,
    "slice": _whole_slice,
    "concat": _other_axis,
    "split": _other_axis,
    "argmax": _other_axis,
    "argmin": _other_axis,
    "reverse": _other_axes,
    "sum": _other_axes,
    "max": _other_axes,
    "min": _other_axes,
    "prod": _other_axes,
}
