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

from kgraph import ops
from kgraph.codegen import CompileOptions, Dump, Executable, Program
from kgraph.codegen import compile as compile_graph
from kgraph.config import settings
from kgraph.core import Trace, TracedTensor, Variable
from kgraph.core.tree import flatten
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim, Shape
from kgraph.ir.graph import Graph, Value
from kgraph.ir.passes.autodiff import append_gradients
from kgraph.ir.passes.base import PassContext, run_passes
from kgraph.ir.passes.pipeline import BEFORE_GRADIENTS
from kgraph.trainer.arguments import OutputPlan
from kgraph.trainer.bounds import Bound, index_bounds

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["Recorded", "Signature", "Step", "build_step", "record", "signature_of", "target_name", "weight_name"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Signature:
    """Types of what is fed beside the inputs: (output name, sizes after the batch, dtype).

    Attributes:
        targets: one for each output with a target.
        weights: one for each output with sample weights.
    """

    targets: tuple[tuple[str, Shape, str], ...] = ()
    weights: tuple[tuple[str, Shape, str], ...] = ()


def target_name(output: str) -> str:
    """Name of the graph input for the target of an output."""
    return f"y/{output}"


def weight_name(output: str) -> str:
    """Name of the graph input for the sample weights of an output."""
    return f"sample_weight/{output}"


def signature_of(outputs: Mapping[str, Shape], targets: Mapping[str, Array], weights: Mapping[str, Array]) -> Signature:
    """The signature of given arrays.

    Args:
        outputs: symbolic sizes of each output, to tell which sizes of a target vary with the data.
        targets: arrays by output name.
        weights: arrays by output name.
    """

    def entries(arrays: Mapping[str, Array]) -> tuple[tuple[str, Shape, str], ...]:
        return tuple((name, _tail(outputs[name], array), array.dtype.name) for name, array in arrays.items())

    return Signature(entries(targets), entries(weights))


def _tail(output: Shape, array: Array) -> Shape:
    """Sizes after the batch: symbolic where the output's size at that axis is."""
    return tuple(
        output[axis] if axis < len(output) and isinstance(output[axis], Dim) else int(array.shape[axis])
        for axis in range(1, array.ndim)
    )


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
    return Step(mode, signature, recorded.graph, program, recorded.variables, recorded.bounds, seconds)


@dataclass(frozen=True)
class Recorded:
    """A traced step.

    Attributes:
        graph: of the step.
        variables: by param name.
        bounds: inputs that are row numbers, by input name.
        seconds: of the stages: tracing, passes, gradients and update.
    """

    graph: Graph
    variables: dict[str, Variable]
    bounds: dict[str, list[Bound]]
    seconds: dict[str, float] = field(default_factory=dict)


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
    model = trainer.model
    graph = Graph(f"{model.name}.{mode}")
    trainable = list(model.trainable_variables)
    updates = mode == "train" and backward
    if updates and trainable:
        trainer.optimizer.build(trainable)  # makes the slots, as ordinary variables, before tracing
        trainer.optimizer.extend(trainable)  # of layers released since
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    trace = Trace(graph, training=mode == "train", seed_step=trainer.seed_step)
    with trace:
        _forward(trainer, trace, mode, signature)
    # Before the passes, which may turn a one-hot into comparisons.
    bounds = index_bounds(graph, [target_name(name) for name, _, _ in signature.targets])
    seconds["trace"] = time.perf_counter() - began
    if not backward:
        return Recorded(graph, dict(trace.variables), bounds, seconds)
    if dump:
        dump.stage("graph", str(graph))
    began = time.perf_counter()
    run_passes(graph, BEFORE_GRADIENTS, PassContext(dump=dump.stage if dump else None))
    seconds["passes before gradients"] = time.perf_counter() - began
    if updates:
        began = time.perf_counter()
        _adopt(trace)
        with trace:
            _update(trainer, trace, graph.outputs[0], trainable)
            _count_step(trainer, trace)
        graph.updates = list({param: (param, value) for param, value in graph.updates}.values())
        seconds["gradients and update"] = time.perf_counter() - began
    return Recorded(graph, dict(trace.variables), bounds, seconds)


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
        trace.graph.outputs = [_losses_and_metrics(trainer, trace, outputs, fed, batch).value]


def _adopt(trace: Trace) -> None:
    """Take up a trace whose graph passes have rewritten: an assigned variable has the value of its update."""
    trace.builder.nodes = trace.graph.nodes  # passes make a new list
    for param, value in trace.graph.updates:
        trace._current[id(trace.variables[param.name])] = TracedTensor(value, trace)


def _losses_and_metrics(
    trainer: Trainer, trace: Trace, outputs: Sequence[Any], fed: Mapping[str, Any], batch: Any
) -> TracedTensor:
    """Total loss; metrics and loss trackers are updated on the way."""
    rows = batch if isinstance(batch, int) else trace.emit("dim_size", dim=batch, dtype="f32")
    terms: list[Any] = []
    for plan, output in zip(trainer.outputs, outputs):
        if plan.loss_object is None:
            continue
        with trace.layer("loss"):
            value = plan.loss_object(fed[target_name(plan.name)], output, fed.get(weight_name(plan.name)))
            value = _scalar(value, plan)
            tracker = trainer.tally.output_trackers.get(plan.name)
            if tracker is not None:
                _track(tracker, value, rows)  # the loss of one output is shown without its weight
            terms.append(value if plan.weight is None else value * plan.weight)
    with trace.layer("loss"):
        terms += [ops.sum(ops.cast(term, "float32")) for term in trace.losses]
        terms += trainer.regularization()
        if not terms:
            raise InvalidArgumentError(
                "there is no loss to compute", fix="pass loss= to compile(), or call add_loss in a layer"
            )
        total = terms[0]
        for term in terms[1:]:
            total = total + term
    with trace.layer("metrics"):
        _track(trainer.tally.loss_tracker, total, rows)
        for plan, output in zip(trainer.outputs, outputs):
            _metrics(plan, output, fed)
    found: TracedTensor = total
    return found


def _scalar(value: Any, plan: OutputPlan) -> Any:
    value = ops.cast(value, "float32")
    if len(value.shape):
        raise ShapeError(
            f"the loss of output {plan.name!r} is no single number",
            got=f"shape {value.shape}",
            fix="use a loss with a reduction, e.g. reduction='sum_over_batch_size'",
        )
    return value


def _track(tracker: Any, value: Any, rows: Any) -> None:
    """Add a loss to a running mean in which each sample counts once."""
    tracker.total.assign(tracker.total + value * rows)
    tracker.count.assign(tracker.count + rows)


def _metrics(plan: OutputPlan, output: Any, fed: Mapping[str, Any]) -> None:
    target = fed.get(target_name(plan.name))
    for _, metric in plan.metric_objects:
        metric.update_state(target, output)
    for _, metric in plan.weighted_metric_objects:
        metric.update_state(target, output, sample_weight=fed.get(weight_name(plan.name)))


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


def _count_step(trainer: Trainer, trace: Trace) -> None:
    """Advance the step number that random ops are keyed by, when the graph has any."""
    step = trainer.seed_step[1]
    if any(variable is step for variable in trace.variables.values()):
        trace.assign(step, trace.value_of(step) + 1)
