"""Which inputs of a graph are used as row numbers, and of how many rows.

A gather out of range reads memory that is not the table's, so the trainer looks at the data first.  The walk goes
forward from each input through ops that only move or cast values; anything else (a `select`, an addition) ends it,
since it may bring values back into range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kgraph.errors import DataError
from kgraph.ir.graph import Graph, Node, Value

__all__ = ["Bound", "check_bounds", "index_bounds"]

Array = np.ndarray[Any, np.dtype[Any]]

_MOVES = frozenset(
    {"cast", "reshape", "transpose", "broadcast_to", "slice", "reverse", "stop_gradient", "split", "round", "floor"}
)


@dataclass(frozen=True)
class Bound:
    """Values of an input must be in `[0, rows)`.

    Attributes:
        rows: of the table.
        layer: that reads it.
        what: `"table"` (an embedding) or `"labels"` (classes of a loss).
    """

    rows: int
    layer: str
    what: str


def index_bounds(graph: Graph, labels: Sequence[str] = ()) -> dict[str, list[Bound]]:
    """For each input used as row numbers, the bounds its values must keep.

    Args:
        graph: as traced, before optimisation.
        labels: names of the inputs that hold targets; only these are bounded by `one_hot`, which is defined for any
            number.
    """
    found: dict[str, list[Bound]] = {}
    for value in graph.inputs:
        bounds: list[Bound] = []
        _walk(value, value.name in labels, bounds, set())
        if bounds:
            found[value.name] = bounds
    return found


def _walk(value: Value, is_label: bool, bounds: list[Bound], seen: set[int]) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    for node in value.uses:
        for position, operand in enumerate(node.operands):
            if operand is not value:
                continue
            bound = _bound_at(node, position, is_label)
            if bound is not None and bound not in bounds:
                bounds.append(bound)
            for target in _followed(node, position):
                _walk(target, is_label, bounds, seen)


def _bound_at(node: Node, position: int, is_label: bool) -> Bound | None:
    if node.op.name == "gather" and position == 1:
        rows = node.operands[0].shape[0]
        return Bound(rows, node.loc.layer, "table") if isinstance(rows, int) else None
    if node.op.name == "one_hot" and is_label:
        return Bound(int(node.attrs["depth"]), node.loc.layer, "labels")
    return None


def _followed(node: Node, position: int) -> list[Value]:
    name = node.op.name
    if name in _MOVES or name == "concat":
        return list(node.results)
    if name == "scan" and node.regions:
        # Region arguments stand in the order of the operands; a state may change from step to step, the others do not.
        return [node.regions[0].inputs[position]] if position >= int(node.attrs["inits"]) else []
    return []


def check_bounds(name: str, array: Array, bounds: Sequence[Bound]) -> None:
    """Check all values of an array of row numbers.

    Raises:
        DataError: a value is out of range; names the layer, the input, the row and the value.
    """
    if not array.size or not bounds:
        return
    least, most = array.min(), array.max()
    for bound in bounds:
        if least >= 0 and most < bound.rows:
            continue
        row = np.argwhere(~((array >= 0) & (array < bound.rows)))[0]  # NaN is out of range too
        place = "".join(f"[{int(i)}]" for i in row)
        value = array[tuple(row)]
        labels = bound.what == "labels" or name.startswith("y/")
        where = f"layer {bound.layer!r}" if bound.layer else ("the loss" if labels else "the model")
        if labels:
            what = f"a label of {name!r} is outside the {bound.rows} classes"
            small = f"use labels from 0 to {bound.rows - 1}"
            fix = f"{small}, or give the output as many units as there are classes"
        else:
            what = f"a number in input {name!r} is outside the {bound.rows} rows of its table"
            small = f"use ids from 0 to {bound.rows - 1}"
            fix = f"{small}, or raise input_dim of the embedding to {float(most) + 1:.0f}"
        raise DataError(
            what,
            where=f"row {int(row[0])}, used by {where}",
            got=f"{name}{place} = {value}",
            needed=f"0 <= value < {bound.rows}",
            fix=fix if bound.rows <= most < 2**31 - 1 else small,
        )
