"""Op by column: what each op must have.  An empty cell fails by name; a deliberate gap is a line with its reason.

To add a column, add a function to `COLUMNS`: it says whether an op has what the column asks for.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kgraph.errors import KGraphError
from kgraph.ir import OPS, Builder, Graph, Node, OpDef, TensorType, dtype_of_numpy
from kgraph.ir.builder import normalise_attrs
from kgraph.ir.interpreter import REGION_RUNNERS
from kgraph.ir.opdef import no_gradient
from tests.gradients.cases import CASES
from tests.numeric.cases import covered

Column = Callable[[OpDef], bool]


def has_infer(op: OpDef) -> bool:
    return op.infer_regions is not None if op.regions else callable(op.infer)


def has_reference(op: OpDef) -> bool:
    return op.reference is not None


def has_vjp(op: OpDef) -> bool:
    return op.vjp is not None


def has_doc(op: OpDef) -> bool:
    """At least one whole sentence."""
    return len(op.doc) > 10 and op.doc.rstrip().endswith(".")


def has_gradient_test(op: OpDef) -> bool:
    """Ops that declare that no gradient flows need none."""
    return op.vjp is no_gradient or bool(CASES.get(op.name))


def has_cpu_test(op: OpDef) -> bool:
    """Compared on the CPU target with the interpreter, in `tests/numeric`."""
    return op.name in covered()


COLUMNS: dict[str, Column] = {
    "infer": has_infer,
    "reference": has_reference,
    "vjp": has_vjp,
    "doc": has_doc,
    "gradient test": has_gradient_test,
    "cpu": has_cpu_test,
}

GAPS: dict[tuple[str, str], str] = {
    ("reference", "scan"): "its meaning is in its region; the interpreter runs that",
    ("reference", "gradients"): "its meaning is in the graph around it; the pass expand-gradients writes it there",
    ("cpu", "gradients"): "the pass expand-gradients takes it away before anything is compiled",
    ("gradient test", "gradients"): "expanded before autodiff; tests/parity/test_own_steps.py takes second derivatives",
    ("reference", "kernel"): "its meaning is in its region; the interpreter runs that",
    ("cpu", "kernel"): "what the scheduler makes; every program on the CPU target is made of them",
    ("gradient test", "kernel"): "schedules are not differentiated; its vjp is the error that says so",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_no_empty_cell(column: str) -> None:
    empty = [op.name for op in OPS.values() if not COLUMNS[column](op) and (column, op.name) not in GAPS]
    assert not empty, f"ops without {column}: {', '.join(empty)}"


@pytest.mark.parametrize(("column", "op"), GAPS)
def test_gaps_are_gaps(column: str, op: str) -> None:
    assert op in OPS, f"the gap ({column}, {op}) names no op"
    assert not COLUMNS[column](OPS[op]), f"{op} has a {column} now: take the line out of GAPS"


def test_ops_with_regions_can_be_interpreted() -> None:
    assert {op.name for op in OPS.values() if op.regions} == set(REGION_RUNNERS)


# -- infer is total -------------------------------------------------------------------------------------------------
EXAMPLE_ATTRS: dict[str, dict[str, object]] = {
    "argmax": {"axis": 0},
    "argmin": {"axis": 0},
    "bitcast": {"dtype": "i32"},
    "iota": {"shape": (2,)},
    "dim_size": {"dim": 2},
    "one_hot": {"depth": 2},
    "random_uniform": {"shape": (2,), "stream": 0},
}


def example(op: OpDef) -> Node | None:
    """A valid node of the op, taken from its first gradient case."""
    for case in CASES.get(op.name, [])[:1]:
        graph = Graph()
        b = Builder(graph)
        values = [b.input(f"x{i}", TensorType(dtype_of_numpy(a.dtype), a.shape)) for i, a in enumerate(case.operands)]
        case.write(b, *values)
        return next(node for node in graph.nodes if node.op is op)
    return None


@pytest.mark.parametrize("name", [op.name for op in OPS.values() if not op.regions and op.name != "constant"])
def test_infer_is_total(name: str) -> None:
    """Whatever the operands, `infer` gives types or one of our errors: never an IndexError of its own."""
    op = OPS[name]
    node = example(op)
    attrs = normalise_attrs(op, node.attrs if node else EXAMPLE_ATTRS.get(name, {}))
    odd = [TensorType(dtype, shape) for dtype in ("f32", "i32", "bool") for shape in ((), (2,), (2, 3), (2, 3, 4, 5))]
    refused = 0
    for count in range(5):
        for type in odd:
            operands = [type] * count
            try:
                assert all(isinstance(result, TensorType) for result in op.infer(operands, attrs))
            except KGraphError:
                refused += 1
    assert refused, f"{name} accepts any number of operands of any type"
