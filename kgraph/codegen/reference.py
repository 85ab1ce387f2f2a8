"""The reference target: the NumPy interpreter behind the interface of a compiled program.

Slow, and the oracle for every other target.  It runs the optimised graph, so the passes are checked with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kgraph.codegen.options import CompileOptions
from kgraph.codegen.program import Executable, Program
from kgraph.ir.dims import evaluate_shape
from kgraph.ir.graph import Graph
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.base import PassContext, run_passes
from kgraph.ir.passes.pipeline import OPTIMIZE
from kgraph.ir.types import numpy_dtype

__all__ = ["ReferenceExecutable", "ReferenceProgram", "compile_program"]

Array = np.ndarray[Any, np.dtype[Any]]


def compile_program(graph: Graph, options: CompileOptions) -> Program:
    """Optimise a copy of `graph`; there is nothing else to compile."""
    optimized = graph.copy()
    if options.optimize and graph.attrs.get("stage") != "schedule":
        dump = options.dump
        context = PassContext(verify=bool(options.verify), dump=dump.stage if dump else None)
        run_passes(optimized, OPTIMIZE, context)
    if options.dump:
        options.dump.stage("optimized", str(optimized))
    return ReferenceProgram(graph, optimized)


class ReferenceProgram(Program):
    """A graph run op by op.  Its `"schedule"` is the optimised graph: one op a kernel, in program order."""

    target = "reference"

    def __init__(self, graph: Graph, optimized: Graph) -> None:
        super().__init__(graph)
        self.stages = {"optimized": optimized, "schedule": optimized}

    def sources(self) -> dict[str, str]:
        """Nothing is emitted."""
        return {}

    def explain(self) -> str:
        """There are no boundaries to explain."""
        return "target reference runs each op of the optimised graph by itself: no kernels, no fusion"

    def make_executable(self, dims: Mapping[str, int], params: Mapping[str, Array]) -> Executable:
        """Allocate the input buffers."""
        return ReferenceExecutable(self.graph, self.stages["optimized"], dims, params)


class ReferenceExecutable(Executable):
    """Input buffers, and the outputs of the last run."""

    def __init__(self, graph: Graph, optimized: Graph, dims: Mapping[str, int], params: Mapping[str, Array]) -> None:
        super().__init__(graph, dims)
        self._optimized = optimized
        self._params = {value.name: params[value.name] for value in optimized.params}
        self._inputs = {
            value.name: np.zeros(evaluate_shape(value.shape, self.dims), numpy_dtype(value.dtype))
            for value in graph.inputs
        }
        self._used = {value.name: self._inputs[value.name] for value in optimized.inputs}
        self._outputs = [
            np.zeros(evaluate_shape(value.shape, self.dims), numpy_dtype(value.dtype)) for value in graph.outputs
        ]

    def input(self, name: str) -> Array:
        """The buffer of an input."""
        return self._inputs[name]

    def output(self, index: int) -> Array:
        """An output of the last run."""
        return self._outputs[index]

    def run(self) -> None:
        """Interpret the optimised graph once."""
        result = interpret(self._optimized, self._used, self._params, self.dims)
        for buffer, array in zip(self._outputs, result.outputs):
            buffer[...] = array
        # Every new value is there before the first param changes: the interpreter may return views of params.
        fresh = [(self._params[name], np.array(array)) for name, array in result.updates.items()]
        for param, array in fresh:
            param[...] = array
