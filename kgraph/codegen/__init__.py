"""From a graph to a program: `compile` for a target, `run_graph` to run a graph once.

    program = kgraph.codegen.compile(graph, target="cpu")
    exe = program.bind(dims={"B": 32}, params={"dense/kernel": kernel, "dense/bias": bias})
    exe.input("x")[...] = batch
    exe.run()
    exe.output(0)

Knows no layer and no model.  Importing it loads no target.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kgraph.codegen.dump import Dump
from kgraph.codegen.options import CompileOptions
from kgraph.codegen.program import Executable, Program
from kgraph.codegen.targets import TARGETS, check_target, compile_function, get_num_threads, set_num_threads
from kgraph.errors import DataError, DtypeError
from kgraph.ir.graph import Graph, Value
from kgraph.ir.interpreter import infer_sizes
from kgraph.ir.types import numpy_dtype

__all__ = [
    "TARGETS",
    "CompileOptions",
    "Dump",
    "Executable",
    "Program",
    "RunResult",
    "check_target",
    "compile",
    "get_num_threads",
    "run_graph",
    "set_num_threads",
]

Array = np.ndarray[Any, np.dtype[Any]]


def compile(graph: Graph, target: str = "cpu", options: CompileOptions | None = None) -> Program:
    """Compile a graph; optimises and schedules it on the way.  `graph` itself is not changed.

    Args:
        graph: any graph, also one read by `kgraph.ir.parse` and edited by hand.
        target: a name of `kgraph.codegen.TARGETS`.
        options: see `CompileOptions`.

    Raises:
        TargetError: the target is unknown, or cannot be used on this machine.
        VerifyError: the graph breaks a rule of the IR (checked when `verify` is on).
        CompileError: a kernel could not be compiled.
    """
    function = compile_function(target)
    given = options or CompileOptions()
    resolved = given.resolved(graph.name)
    if given.dump is None and resolved.dump:
        resolved.dump.stage("graph", str(graph))
    start = time.perf_counter()
    program = function(graph, resolved)
    program.compile_seconds = time.perf_counter() - start
    return program


@dataclass(frozen=True)
class RunResult(Sequence[Array]):
    """What one run of a graph gave; as a sequence it is the outputs.

    Attributes:
        outputs: the outputs in order.
        updates: the new value of each param that the graph updates, by name.
    """

    outputs: list[Array]
    updates: dict[str, Array]

    def __getitem__(self, index: Any) -> Any:
        return self.outputs[index]

    def __len__(self) -> int:
        return len(self.outputs)


def run_graph(graph: Graph, inputs: Mapping[str, Any] | Sequence[Any], target: str = "reference") -> RunResult:
    """Run a graph once on arrays.  No array given is changed: new values of params are in the result's `updates`.

    Args:
        graph: any graph.
        inputs: arrays by name, for inputs and params alike; or a list for the inputs followed by the params in graph
            order.
        target: a name of `kgraph.codegen.TARGETS`.

    Raises:
        DataError: an array is missing, or one too many.
        ShapeError: a shape does not fit, or two arrays need different sizes of one symbol.
    """
    arrays = _by_name(graph, inputs)
    values = [*graph.inputs, *graph.params]
    sizes = infer_sizes(graph, [(value.name, value.type, arrays[value.name].shape) for value in values])
    # Own copies: the executable writes updates in place.
    params = {value.name: np.array(arrays[value.name], order="C") for value in graph.params}
    executable = compile(graph, target).bind(sizes, params)
    for value in graph.inputs:
        executable.input(value.name)[...] = arrays[value.name]
    executable.run()
    outputs = [np.array(executable.output(k)) for k in range(len(graph.outputs))]
    return RunResult(outputs, {param.name: params[param.name] for param, _ in graph.updates})


def _as_array(graph: Graph, value: Value, data: Any) -> Array:
    try:
        array = np.asarray(data)
        if array.dtype.kind in "biufO":
            return np.asarray(array, numpy_dtype(value.dtype))
        got = f"dtype {array.dtype}"
    except (TypeError, ValueError) as error:
        got = str(error)
    raise DtypeError(
        f"graph @{graph.name}: the data for %{value.name} are no array of numbers", got=got, needed=str(value.type)
    )


def _by_name(graph: Graph, inputs: Mapping[str, Any] | Sequence[Any]) -> dict[str, Array]:
    values = [*graph.inputs, *graph.params]
    if not isinstance(inputs, Mapping):
        if len(inputs) != len(values):
            raise DataError(
                f"graph @{graph.name} takes {len(values)} arrays",
                got=f"{len(inputs)}",
                needed=", ".join(f"%{value.name}: {value.type}" for value in values),
            )
        inputs = {value.name: array for value, array in zip(values, inputs)}
    arrays: dict[str, Array] = {}
    for value in values:
        if value.name not in inputs:
            raise DataError(
                f"graph @{graph.name} has no array for %{value.name}",
                got=", ".join(inputs) or "nothing",
                needed=f"%{value.name}: {value.type}",
            )
        arrays[value.name] = _as_array(graph, value, inputs[value.name])
    extra = [name for name in inputs if name not in arrays]
    if extra:
        raise DataError(
            f"graph @{graph.name} has no input or param called {extra[0]!r}", needed=", ".join(arrays) or "nothing"
        )
    return arrays
