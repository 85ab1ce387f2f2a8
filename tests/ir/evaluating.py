"""Short ways for tests to build a graph of one op, to run it, and to ask for its type."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from kgraph.ir import OPS, Builder, Dim, Graph, TensorType, Value, dtype_of_numpy
from kgraph.ir.builder import normalise_attrs
from kgraph.ir.interpreter import interpret

B, T = Dim.symbol("B"), Dim.symbol("T")


def apply(op: str, *arrays: Any, **attrs: Any) -> Any:
    """The op's result (or tuple of results) on arrays, through builder and interpreter."""
    operands = [np.asarray(array) for array in arrays]
    graph = Graph()
    b = Builder(graph)
    values = [b.input(f"x{i}", TensorType(dtype_of_numpy(a.dtype), a.shape)) for i, a in enumerate(operands)]
    results = b.op(op, *values, **attrs)
    graph.outputs = [results] if isinstance(results, Value) else list(results)
    outputs = interpret(graph, operands).outputs
    return outputs[0] if isinstance(results, Value) else tuple(outputs)


def tensor(text: str) -> TensorType:
    """`tensor("f32[B, 3]")`; a size may be a product such as `20*B`."""
    match = re.fullmatch(r"(\w+)\[(.*)\]", text)
    assert match is not None, text
    sizes = [size.strip() for size in match[2].split(",") if size.strip()]
    return TensorType(match[1], tuple(eval(size, {"B": B, "T": T}) for size in sizes))


def result_type(op: str, *operands: str, **attrs: Any) -> str:
    """Text of the inferred result types, joined by ` and `."""
    types = OPS[op].infer([tensor(operand) for operand in operands], normalise_attrs(OPS[op], attrs))
    return " and ".join(map(str, types))
