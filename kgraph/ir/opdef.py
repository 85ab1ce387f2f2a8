"""How an op is declared: one `define_op` call holds everything that is true of the op on every target.

    relu = define_op("relu", doc=..., infer=same_type, reference=lambda x: np.maximum(x, 0), vjp=_relu_vjp,
    traits={ELEMENTWISE})

`infer` maps operand types and attributes to result types and raises `ShapeError`/`DtypeError`; `reference` is the
NumPy oracle; `vjp` writes the derivative in IR.  What a back end needs to emit the op stands in that back end's own
table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kgraph.errors import InternalError, UnknownNameError
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.types import TensorType

if TYPE_CHECKING:
    from kgraph.ir.builder import Builder

__all__ = [
    "COMMUTATIVE",
    "COMPOSITE",
    "ELEMENTWISE",
    "OPS",
    "REDUCTION",
    "VIEW",
    "Attrs",
    "Grads",
    "Infer",
    "OpDef",
    "define_op",
    "get_op",
    "no_gradient",
]

Attrs = Mapping[str, Any]
Infer = Callable[[Sequence[TensorType], Attrs], list[TensorType]]
Grads = Sequence["Value | None"]
Vjp = Callable[["Builder", Node, Sequence["Value | None"]], Grads]
Reference = Callable[..., Any]
Decompose = Callable[["Builder", Node], Sequence[Value]]

# Traits: what passes may assume.
ELEMENTWISE = "elementwise"  # one result element from the operand elements at the same (broadcast) place
COMMUTATIVE = "commutative"  # two operands may be swapped
REDUCTION = "reduction"  # folds the axes in attribute `axes`
VIEW = "view"  # each result element is one operand element, moved
COMPOSITE = "composite"  # has a decomposition into smaller ops


@dataclass(frozen=True)
class OpDef:
    """All that is known of an op, for every target.

    Attributes:
        name: the name in the text form.
        doc: meaning, shapes, and the choice made where the mathematics leaves one.
        infer: operand types, attrs -> result types.  Total for valid input, raises otherwise.
        reference: NumPy arrays (operands), attrs as keywords -> array or tuple of arrays.
        vjp: (builder, node, result gradients) -> operand gradients; None for an operand means that none flows.
        attrs: attribute defaults; `...` marks a required attribute.
        traits: see the constants of this module.
        decompose: for composites, (builder, node) -> replacement values.
        regions: number of regions.
    """

    name: str
    doc: str
    infer: Infer
    reference: Reference | None
    vjp: Vjp | None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()
    decompose: Decompose | None = None
    regions: int = 0
    infer_regions: Callable[[Sequence[TensorType], Attrs, Sequence[Graph]], list[TensorType]] | None = None

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpDef) and other.name == self.name


OPS: dict[str, OpDef] = {}


def define_op(
    name: str,
    *,
    doc: str,
    infer: Infer,
    reference: Reference | None,
    vjp: Vjp | None,
    attrs: Attrs | None = None,
    traits: Iterable[str] = (),
    decompose: Decompose | None = None,
    regions: int = 0,
    infer_regions: Callable[[Sequence[TensorType], Attrs, Sequence[Graph]], list[TensorType]] | None = None,
) -> OpDef:
    """Declare an op and enter it in `OPS`.

    Raises:
        InternalError: the name is taken.
    """
    if name in OPS:
        raise InternalError(f"op {name!r} is defined twice")
    op = OpDef(name, doc, infer, reference, vjp, attrs or {}, frozenset(traits), decompose, regions, infer_regions)
    OPS[name] = op
    return op


def get_op(name: str) -> OpDef:
    """The op called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    try:
        return OPS[name]
    except KeyError:
        from difflib import get_close_matches

        near = get_close_matches(name, OPS, 3)
        raise UnknownNameError(
            f"unknown op {name!r}", fix=f"did you mean {', '.join(near)}?" if near else "see `kgraph.ir.OPS`"
        ) from None


def no_gradient(builder: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    """The vjp of ops through which no gradient flows (integers, comparisons, indices, random bits)."""
    return [None] * len(node.operands)
