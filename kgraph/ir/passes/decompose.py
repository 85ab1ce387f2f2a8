"""Composites become smaller ops, so that a target need only know those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kgraph.ir.graph import Graph, Node
from kgraph.ir.opdef import COMPOSITE
from kgraph.ir.passes.base import Pass, PassContext, Pattern, Rewriter, rewrite

__all__ = ["Decompose"]


@dataclass(frozen=True)
class Decompose(Pass):
    """Replace each op with the trait COMPOSITE by what its `decompose` writes (which may hold composites again).

    Requires: gradients are there, since composites have better derivatives than their parts.
    Ensures: no composite is left.
    Example (golden): tests/golden/ir/decompose/softmax.kg
    """

    name: ClassVar[str] = "decompose"
    ensures: ClassVar[str] = "decomposed"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when there was a composite."""
        return rewrite(graph, [Pattern((), _decompose)], ctx)


def _decompose(node: Node, r: Rewriter) -> bool:
    if COMPOSITE not in node.op.traits or node.op.decompose is None:
        return False
    return r.replace(node, *node.op.decompose(r, node))
