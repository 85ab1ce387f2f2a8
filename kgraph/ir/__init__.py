"""The intermediate representation: build it, print it, parse it, rewrite it, run it.

Knows no layer, no target and no file format.
"""

from __future__ import annotations

from typing import Any

from kgraph.ir import ops as _ops  # noqa: F401  (fills the op table)
from kgraph.ir.builder import Builder
from kgraph.ir.dims import Dim, shape_text
from kgraph.ir.graph import Graph, Location, Node, Value, literal
from kgraph.ir.opdef import OPS, OpDef, define_op
from kgraph.ir.types import TensorType, dtype_of_numpy, numpy_dtype

__all__ = [
    "OPS",
    "Builder",
    "Dim",
    "Graph",
    "Location",
    "Node",
    "OpDef",
    "TensorType",
    "Value",
    "define_op",
    "dtype_of_numpy",
    "literal",
    "numpy_dtype",
    "parse",
    "run",
    "shape_text",
    "verify",
]


def parse(text: str) -> Graph:
    """Read a graph from its text form.

    Raises:
        ParseError: with line and column.
    """
    from kgraph.ir.parser import parse_graph

    return parse_graph(text)


def verify(graph: Graph) -> None:
    """Check every rule of the IR.

    Raises:
        VerifyError: names the node and the rule.
    """
    from kgraph.ir.verifier import verify_graph

    verify_graph(graph)


def run(graph: Graph, inputs: dict[str, Any] | list[Any], target: str = "reference") -> Any:
    """Run a graph on NumPy arrays; see `kgraph.codegen.run_graph`."""
    from importlib import import_module

    # Looked up by name: the IR must not import a back end, yet a user looks for `run` here.
    return import_module("kgraph.codegen").run_graph(graph, inputs, target=target)
