"""Whole-graph cleaning: dead nodes, common subexpressions, constants.

None of these changes a value. Regions are cleaned as the graphs they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kgraph.ir.dims import Dim
from kgraph.ir.graph import Graph, Literal, Node, Value, literal
from kgraph.ir.opdef import COMMUTATIVE
from kgraph.ir.passes.base import Pass, PassContext, Pattern, Rewriter, rewrite
from kgraph.ir.printer import print_graph
from kgraph.ir.types import numpy_dtype

__all__ = ["CommonSubexpressions", "DeadCode", "FoldConstants", "constant_of", "fold_patterns"]


# -- dead code ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class DeadCode(Pass):
    """Drop nodes whose results nobody reads.

    Ensures: every node is needed by an output or an update.
    Example (golden): tests/golden/ir/dce/unused.kg
    """

    name: ClassVar[str] = "dce"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when anything was dropped."""
        changed = graph.remove_dead() > 0
        for node in graph.nodes:
            for region in node.regions:
                changed |= self.run(region, ctx)
        return changed


# -- common subexpressions ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CommonSubexpressions(Pass):
    """Compute equal expressions once: same op, operands and attributes.

    `random_uniform` is no exception: equal seed, step and stream mean equal numbers.  Loops are equal when their texts
    are.
    Example (golden): tests/golden/ir/cse/commutative.kg
    """

    name: ClassVar[str] = "cse"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when anything was merged."""
        changed = False
        first: dict[tuple[Any, ...], Node] = {}
        kept: list[Node] = []
        replaced: dict[Value, Value] = {}
        for node in graph.nodes:
            for region in node.regions:
                changed |= self.run(region, ctx)
            same = first.setdefault(_node_key(node), node)
            if same is node:
                kept.append(node)
                continue
            for old, new in zip(node.results, same.results):
                for user in list(old.uses):
                    for position, operand in enumerate(user.operands):
                        if operand is old:
                            user.set_operand(position, new)
                new.name = new.name or old.name
                replaced[old] = new
            node.drop_uses()
        graph.nodes[:] = kept
        graph.outputs = [replaced.get(value, value) for value in graph.outputs]
        graph.updates = [(param, replaced.get(value, value)) for param, value in graph.updates]
        return changed or bool(replaced)


def _node_key(node: Node) -> tuple[Any, ...]:
    operands = [_operand_key(value) for value in node.operands]
    if COMMUTATIVE in node.op.traits:
        operands.sort()
    attrs = tuple([attr_key(value) for value in node.attrs.values()])  # held in sorted order, defaults included
    regions = tuple([print_graph(region, locs=False) for region in node.regions])
    return (node.op.name, *operands, attrs, regions)


def _operand_key(value: Value) -> tuple[int, str, bytes]:
    if isinstance(value, Literal):
        return (0, value.dtype, rounded(value).tobytes())  # by bits: 0.0 and -0.0 differ, NaN equals itself
    return (id(value), "", b"")


def attr_key(value: Any) -> Any:
    """A hashable key; 1, 1.0 and True are different."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, tuple):
        return tuple([attr_key(item) for item in value])
    if isinstance(value, float):
        return (float, value.hex())
    return (type(value), value)


# -- constants ------------------------------------------------------------------------------------------------------
# Made up from indices: cheaper to compute again than to read from memory.
_NOT_FOLDED = frozenset(
    {"constant", "iota", "dim_size", "broadcast_to", "random_uniform", "scan", "kernel", "gradients"}
)


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Compute nodes whose operands are all literals or constants, by the op's own reference.

    Scalars become literals.  Sizes that depend on symbols, and results of more than `max_elements`, stay.
    Example (golden): tests/golden/ir/fold/scalars.kg
    """

    name: ClassVar[str] = "fold"
    max_elements: int = 1024

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when anything was computed."""
        return rewrite(graph, fold_patterns(self.max_elements), ctx)


def fold_patterns(max_elements: int = 1024) -> list[Pattern]:
    """The patterns of `FoldConstants`, for passes that fold as they go."""

    def fold(node: Node, r: Rewriter) -> bool:
        return _fold(node, r, max_elements)

    return [Pattern((), fold)]


def _fold(node: Node, r: Rewriter, max_elements: int) -> bool:
    if not node.operands or node.op.name in _NOT_FOLDED or node.op.reference is None:
        return False
    arrays: list[npt.NDArray[Any]] = []
    for value in node.operands:
        array = constant_of(value)
        if array is None or array.size > max_elements:
            return False
        arrays.append(array)
    if not all(_is_small(value, max_elements) for value in node.results) or _has_symbols(tuple(node.attrs.values())):
        return False
    with np.errstate(all="ignore"):
        computed = node.op.reference(*arrays, **node.attrs)
    results = computed if isinstance(computed, tuple) else (computed,)
    return r.replace(node, *[_as_value(r, np.asarray(array), value) for array, value in zip(results, node.results)])


def constant_of(value: Value) -> npt.NDArray[Any] | None:
    """The array of a literal or of a `constant`, in the element type of the value; None for every other value."""
    if isinstance(value, Literal):
        return rounded(value)
    if value.producer is not None and value.producer.op.name == "constant":
        array: npt.NDArray[Any] = value.producer.attrs["value"]
        return array
    return None


def rounded(value: Literal) -> npt.NDArray[Any]:
    """The number of a literal in its own element type, as an array of shape []."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(value.number, numpy_dtype(value.dtype))


def _is_small(value: Value, max_elements: int) -> bool:
    volume = value.type.volume
    return isinstance(volume, int) and volume <= max_elements


def _has_symbols(values: Sequence[Any]) -> bool:
    return any(isinstance(v, Dim) or (isinstance(v, tuple) and _has_symbols(v)) for v in values)


def _as_value(r: Rewriter, array: npt.NDArray[Any], like: Value) -> Value:
    array = array.astype(numpy_dtype(like.dtype)).reshape([int(dim) for dim in like.shape if not isinstance(dim, Dim)])
    if not like.shape:
        return literal(array.item(), like.dtype)
    array.flags.writeable = False
    return r.node("constant", [], {"value": array}).results[0]
