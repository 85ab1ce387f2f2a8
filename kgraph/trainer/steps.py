"""One step of a model as a graph: forward, losses and metrics; for training also gradients and the optimizer's update.

The whole step is one graph, so that it is optimised, scheduled and compiled as one program.  Everything kept between
steps (weights, slots, running sums of loss and metrics, the step number) is a param that the graph updates; nothing
returns to Python.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph.codegen import CompileOptions, Dump, Executable, Program
from kgraph.codegen import compile as compile_graph
from kgraph.config import settings
from kgraph.core import Trace, TracedTensor, Variable
from kgraph.core.trace import compiled_part
from kgraph.core.tree import flatten
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim
from kgraph.ir.graph import Graph, Value
from kgraph.ir.passes.autodiff import append_gradients
from kgraph.ir.passes.base import PassContext, run_passes
from kgraph.ir.passes.pipeline import BEFORE_GRADIENTS
from kgraph.trainer import own
from kgraph.trainer.bounds import Bound, index_bounds
from kgraph.trainer.objective import losses_and_metrics
from kgraph.trainer.signature import Signature, target_name, weight_name

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["Recorded", "Step", "build_step", "record"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Step:
    """A compiled step.

    Attributes:
        mode: `"train"`, `"eval"` or `"predict"`.
        signature: of targets and weights.
        graph: the whole graph before optimisation (stage `"grad"` for training).
        program: compiled for the target.
        variables: by param name.
        bounds: inputs that are row numbers.
        seconds: wall time of tracing and compiling.
        form: of what a step of the user's own returns; None otherwise.
        params: the variables' arrays, by param name.
        free_dims: for each symbol the (input, axis) pairs that show its size.
        pace: seconds a run took lately, by rows; the loops choose by it how long to stay in native code.
    """

    mode: str
    signature: Signature
    graph: Graph
    program: Program
    variables: dict[str, Variable]
    bounds: dict[str, list[Bound]]
    seconds: float
    form: Any = None
    params: dict[str, Array] = field(init=False)
    free_dims: dict[str, list[tuple[str, int]]] = field(init=False)
    pace: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.params = {name: variable.array for name, variable in self.variables.items()}
        self.free_dims = {}
        for value in self.graph.inputs:
            for axis, dim in enumerate(value.shape):
                if isinstance(dim, Dim) and dim == Dim.symbol(str(dim)):
                    self.free_dims.setdefault(str(dim), []).append((value.name, axis))

    def sizes(self, arrays: Mapping[str, Array], rows: int | None = None) -> dict[str, int]:
        """The size of each symbol for given arrays.

        Args:
            arrays: by input name.
            rows: the batch, when it is not that of the arrays.

        Raises:
            ShapeError: two arrays need different sizes of one symbol.
        """
        found: dict[str, int] = {}
        for symbol in self.graph.symbols:
            if symbol == "B" and rows is not None:
                found[symbol] = rows
                continue
            for name, axis in self.free_dims.get(symbol, ()):
                size = arrays[name].shape[axis]
                if found.setdefault(symbol, size) != size:
                    first, at = self.free_dims[symbol][0]
                    raise ShapeError(
                        f"two arrays need different sizes of {symbol}",
                        got=f"{first!r} has {found[symbol]} at axis {at}, {name!r} has {size} at axis {axis}",
                        needed="the same size in both",
                    )
        return found

    def bind(self, sizes: Mapping[str, int]) -> Executable:
        """The executable for these sizes, on the variables' own arrays."""
        return self.program.bind(sizes, self.params)


def build_step(trainer: Trainer, mode: str, signature: Signature) -> Step:
    """Trace and compile one step.

    Raises:
        KGraphError: of tracing (shapes, types, names), see the layers, or of compiling.
    """
    start = time.perf_counter()
    label = f"{trainer.model.name}.{mode}"
    dump = Dump(settings().dump, label)
    recorded = record(trainer, mode, signature, dump=dump)
    if dump and mode == "train":
        dump.stage("grad", str(recorded.graph))
    traced = time.perf_counter()
    options = CompileOptions(label=label, dump=dump)
    program = compile_graph(recorded.graph, trainer.target, options)
    seconds = time.perf_counter() - start
    if settings().timings:
        print(_timings(label, recorded.seconds, traced - start, program, seconds))
    if settings().explain:
        print(f"{label} on target {trainer.target}:\n{program.explain()}")
    form = recorded.form
    return Step(mode, signature, recorded.graph, program, recorded.variables, recorded.bounds, seconds, form)


@dataclass(frozen=True)
class Recorded:
    """A traced step.

    Attributes:
        graph: of the step.
        variables: by param name.
        bounds: inputs that are row numbers, by input name.
        seconds: of the stages: tracing, passes, gradients and update.
        form: of what a step of the user's own returns.
    """

    graph: Graph
    variables: dict[str, Variable]
    bounds: dict[str, list[Bound]]
    seconds: dict[str, float] = field(default_factory=dict)
    form: Any = None


def _timings(label: str, stages: Mapping[str, float], before: float, program: Program, total: float) -> str:
    """One line a stage: seconds of wall time."""
    rows = dict(stages)
    inner = getattr(program, "stage_seconds", None)
    if inner:
        rows.update(inner)
    else:
        rows["optimise, schedule, emit, compile"] = total - before
    lines = [f"  {name:<36} {seconds:8.3f} s" for name, seconds in rows.items()]
    return "\n".join([f"{label}: {total:.3f} s", *lines])


def record(
    trainer: Trainer, mode: str, signature: Signature, backward: bool = True, dump: Dump | None = None
) -> Recorded:
    """Trace one step.

    Args:
        trainer: knows model, losses, metrics and optimizer.
        mode: `"train"`, `"eval"` or `"predict"`.
        signature: of targets and weights.
        backward: run the passes that come before autodiff and, for training, append gradients and update; without it
            the graph is as recorded.
        dump: gets the graph as recorded and what the passes made of it.
    """
    graph = Graph(f"{trainer.model.name}.{mode}")
    trainable = list(trainer.model.trainable_variables)
    if mode == "train" and backward and trainable:
        trainer.optimizer.build(trainable)  # makes the slots, as ordinary variables, before tracing
        trainer.optimizer.extend(trainable)  # of layers released since
    began = time.perf_counter()
    trace = Trace(graph, training=mode == "train", seed_step=trainer.seed_step)
    form = None
    with trace:
        if signature.data is None:
            _forward(trainer, trace, mode, signature)
        else:
            form = own.trace_step(trainer, trace, mode, signature.data)
            _count_step(trainer, trace, mode)
    # Before the passes, which may turn a one-hot into comparisons.
    bounds = index_bounds(graph, [target_name(name) for name, _, _ in signature.targets])
    seconds = {"trace": time.perf_counter() - began}
    if backward:
        if dump:
            dump.stage("graph", str(graph))
        began = time.perf_counter()
        run_passes(graph, BEFORE_GRADIENTS, PassContext(dump=dump.stage if dump else None))
        seconds["passes before gradients"] = time.perf_counter() - began
        if mode == "train" and signature.data is None:
            began = time.perf_counter()
            _append_update(trainer, trace, trainable)
            seconds["gradients and update"] = time.perf_counter() - began
    return Recorded(graph, dict(trace.variables), bounds, seconds, form)


def _append_update(trainer: Trainer, trace: Trace, trainable: Sequence[Variable]) -> None:
    """Gradients, the optimizer's update and the count of steps, after what is recorded."""
    graph = trace.graph
    _adopt(trace)
    with trace, trace.recorded_node(trainer.compiled_at):
        _update(trainer, trace, graph.outputs[0], trainable)
        _count_step(trainer, trace, "train")
    graph.updates = list({param: (param, value) for param, value in graph.updates}.values())


def _forward(trainer: Trainer, trace: Trace, mode: str, signature: Signature) -> None:
    """Outputs of the model; for training and evaluation loss and metrics."""
    inputs = [trace.input(port.name, tensor.dims, tensor.dtype) for port, tensor in trainer.input_tensors()]
    batch = inputs[0].dims[0]
    fed = {
        name: trace.input(name, (batch, *tail), dtype)
        for name, tail, dtype in [
            *((target_name(output), tail, dtype) for output, tail, dtype in signature.targets),
            *((weight_name(output), tail, dtype) for output, tail, dtype in signature.weights),
        ]
    }
    outputs = flatten(trainer.call_model(inputs, mode == "train"))
    if mode == "predict":
        trace.graph.outputs = [trace.operand(output) for output in outputs]
    else:
        with trace.recorded_node(trainer.compiled_at):
            trace.graph.outputs = [losses_and_metrics(trainer, trace, outputs, fed, batch).value]


def _adopt(trace: Trace) -> None:
    """Take up a trace whose graph passes have rewritten: an assigned variable has the value of its update."""
    trace.builder.nodes = trace.graph.nodes  # passes make a new list
    for param, value in trace.graph.updates:
        trace._current[id(trace.variables[param.name])] = TracedTensor(value, trace)


def _update(trainer: Trainer, trace: Trace, loss: Value, trainable: Sequence[Variable]) -> None:
    """Gradients of the trainable variables that the loss depends on, and the optimizer's update."""
    read = {id(variable) for variable in trace.variables.values()}
    used = [variable for variable in trainable if id(variable) in read]
    loss = trainer.optimizer.scale_loss(TracedTensor(loss, trace)).value
    grads = append_gradients(trace.graph, loss, [trace.param_of(variable) for variable in used])
    pairs = [(TracedTensor(grad, trace), variable) for grad, variable in zip(grads, used) if grad is not None]
    if trainable and not pairs:
        raise InvalidArgumentError(
            "the loss depends on no trainable variable",
            got=f"{len(trainable)} trainable variables",
            fix="check the loss function: argmax, rounding and comparisons have no gradient",
        )
    if pairs:
        with trace.layer(trainer.optimizer.name):
            trainer.optimizer.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])


def _count_step(trainer: Trainer, trace: Trace, mode: str) -> None:
    """Advance the step number that random ops are keyed by, when a training step has any."""
    step = trainer.seed_step[1]
    if mode == "train" and any(variable is step for variable in trace.variables.values()):
        trace.assign(step, trace.value_of(step) + 1)


for part in (losses_and_metrics, _append_update):
    compiled_part(part.__code__)
