"""`Trace`: the context in which layers and operations emit IR instead of computing.

    graph = ir.Graph("step")
    with Trace(graph, training=True) as trace:
        x = trace.input("x", (Dim.symbol("B"), 784), "float32")
        graph.outputs.append(model(x).value)

A trace maps each Variable it meets to a graph param and each `assign` to a graph update.  Traces nest: the body of a
loop is a trace of its own, and what it reads from outside becomes an extra argument of the loop (`capture`).
Locations are the nearest stack frame outside kgraph, or, while a model's recorded nodes run, the line that recorded
the node; what a step adds to the model (losses, metrics, the optimizer's update) has the line of `compile`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import numpy as np

from kgraph.core.dtypes import ir_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.core.variable import Variable
from kgraph.errors import LINE_BARRIERS, InternalError, InvalidArgumentError, KGraphError, ShapeError
from kgraph.ir.builder import Builder, make_node
from kgraph.ir.dims import shape_text
from kgraph.ir.graph import Graph, Location, Node, Value
from kgraph.ir.opdef import get_op
from kgraph.ir.types import TensorType

__all__ = ["Trace", "compiled_part", "current_trace", "eager_scope", "node_barrier", "require_trace", "user_location"]


class _Active(threading.local):
    def __init__(self) -> None:
        self.traces: list[Trace | None] = []


_ACTIVE = _Active()
# Functions below which the frames of the stack belong to a recorded node: their location is the node's.
_BARRIERS = LINE_BARRIERS
# The same for the parts of a step that `compile` asked for; errors in them still show the line on the stack.
_COMPILED_PARTS: set[CodeType] = set()


def current_trace() -> Trace | None:
    """The innermost active trace of this thread, or None."""
    traces = _ACTIVE.traces
    return traces[-1] if traces else None


def require_trace(what: str) -> Trace:
    """The active trace.

    Raises:
        InvalidArgumentError: there is none.
    """
    trace = current_trace()
    if trace is None:
        raise InvalidArgumentError(
            f"{what} can only be used while a function is traced", fix="use it inside `with Trace(graph):`"
        )
    return trace


@contextmanager
def eager_scope() -> Iterator[None]:
    """Compute with values inside the block even though a function is being traced (initialisers, seeds)."""
    _ACTIVE.traces.append(None)
    try:
        yield
    finally:
        _ACTIVE.traces.pop()


def node_barrier(code: CodeType) -> None:
    """Make frames older than `code` invisible to locations; the running node's own location is used instead."""
    _BARRIERS.add(code)


def compiled_part(code: CodeType) -> None:
    """Make frames older than `code` invisible to locations, but not to errors: `compile`'s line is used instead."""
    _COMPILED_PARTS.add(code)


def _is_own(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name.startswith("kgraph.") or name == "kgraph" or name in ("contextlib", "functools")


def user_location() -> tuple[str, int]:
    """File (base name) and line of the nearest caller outside kgraph; `("", 0)` when a recorded node is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in _BARRIERS or frame.f_code in _COMPILED_PARTS:
            return "", 0
        if not _is_own(frame):
            # The base name only: no path of a machine ends up in IR text or in a cache key.
            return os.path.basename(frame.f_code.co_filename), frame.f_lineno
        frame = frame.f_back
    return "", 0


class Trace:
    """Emits IR into `graph` while it is active.

    Args:
        graph: receives nodes, params and updates.
        training: what layers take as `training` when no call says otherwise.
        seed_step: (seed, step) int64 Variables that drive random numbers; unseeded generators share this seed.
        parent: the trace around a loop body.
    """

    def __init__(
        self,
        graph: Graph,
        training: bool | None = None,
        seed_step: tuple[Variable, Variable] | None = None,
        parent: Trace | None = None,
    ) -> None:
        self.graph = graph
        self.builder = Builder(graph)
        self.training = training
        self.seed_step = seed_step
        self.parent = parent
        self.losses: list[TracedTensor] = []
        self.loss_owners: list[Any] = []
        self.variables: dict[str, Variable] = {}
        self.layer_path: list[str] = []
        self.node_locations: list[tuple[str, int]] = []
        self.scratch = False
        self.in_model = False
        self.captured: list[tuple[Value, Value]] = []  # (value of the parent's graph, argument of this one)
        self._params: dict[int, Value] = {}
        self._current: dict[int, TracedTensor] = {}
        self._assigned: dict[int, Variable] = {}
        self._versions: dict[int, list[Value]] = {}
        self._watched: dict[Value, Value] = {}
        self.cuts_assignments = False  # no gradient flows through an assignment: set for steps with several of them
        self._captures: dict[Value, Value] = {}
        self._streams = 0

    # -- being active ---------------------------------------------------------------------------------------------
    def __enter__(self) -> Trace:
        _ACTIVE.traces.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, stack: Any) -> None:
        _ACTIVE.traces.pop()
        if error is None:
            for key, variable in self._assigned.items():
                self.graph.updates.append((self.param_of(variable), self._current[key].value))
            self._assigned = {}

    # -- values ---------------------------------------------------------------------------------------------------
    def input(self, name: str, shape: Sequence[Any], dtype: Any = "float32") -> TracedTensor:
        """Add a graph input.

        Args:
            name: its name in the graph.
            shape: integers and Dims.
            dtype: e.g. `"float32"`.
        """
        return TracedTensor(self.builder.input(name, TensorType(ir_dtype(dtype), tuple(shape))), self)

    def tensor(self, value: Value) -> TracedTensor:
        """Wrap an IR value of this trace's graph."""
        return TracedTensor(value, self)

    def emit(self, op: str, *operands: Any, **attrs: Any) -> Any:
        """Append one IR node; TracedTensors in, TracedTensor (or a tuple of them) out.  Numbers become literals."""
        node = self.emit_node(op, [self.operand(x) for x in operands], attrs)
        results = tuple(TracedTensor(value, self) for value in node.results)
        return results[0] if len(results) == 1 else results

    def emit_node(
        self, op: str, operands: Sequence[Any], attrs: Mapping[str, Any], regions: Sequence[Graph] = ()
    ) -> Node:
        """Append one IR node at the present location."""
        self.builder.loc = self.location()
        return self.builder.node(op, operands, attrs, regions)

    def operand(self, x: Any) -> Any:
        """The IR value of a TracedTensor, captured from an outer trace where needed; numbers pass."""
        if isinstance(x, TracedTensor):
            value = x.value if x.trace is self else self.capture(x).value
            return self._watched.get(value, value)
        return x

    def location(self) -> Location:
        """User's file and line, and the path of the layer that is running."""
        file, line = user_location()
        if not file and self.node_locations:
            file, line = self.node_locations[-1]
        return Location(file, line, "/".join(self.layer_path))

    def capture(self, tensor: TracedTensor) -> TracedTensor:
        """A tensor of an enclosing trace as an argument of this one.

        Raises:
            InvalidArgumentError: the tensor belongs to a trace that does not enclose this one.
        """
        if tensor.trace is self:
            return tensor
        if self.parent is None:
            raise InvalidArgumentError(
                "a tensor of one traced function was used in another",
                where=str(self.location()),
                got=repr(tensor),
                fix="return it from the function, or keep it in a Variable; do not store it on an object",
            )
        outer = self.parent.capture(tensor)
        inner = self._captures.get(outer.value)
        if inner is None:
            inner = self.graph.add_input(outer.value.name or f"captured_{len(self.captured)}", outer.value.type)
            self._captures[outer.value] = inner
            self.captured.append((outer.value, inner))
        return TracedTensor(inner, self)

    # -- variables ------------------------------------------------------------------------------------------------
    def param_of(self, variable: Variable) -> Value:
        """The graph param that stands for the variable; made on first use, named by its path.

        Raises:
            InternalError: asked for in a loop body, which has no params.
        """
        if self.parent is not None:
            raise InternalError("a loop body has no params of its own")
        value = self._params.get(id(variable))
        if value is None:
            name, number = variable.path, 0
            while name in self.variables:
                number += 1
                name = f"{variable.path}_{number}"
            value = self.builder.param(name, TensorType(ir_dtype(variable.dtype), variable.shape))
            self._params[id(variable)] = value
            self.variables[name] = variable
        return value

    def value_of(self, variable: Variable) -> TracedTensor:
        """The variable's present value in this trace: the param, or what was assigned last."""
        if self.parent is not None:
            return self.capture(self.parent.value_of(variable))
        current = self._current.get(id(variable))
        return TracedTensor(self.param_of(variable), self) if current is None else current

    def assign(self, variable: Variable, value: Any) -> TracedTensor:
        """Give the variable a new value from here on; the graph gets an update when the trace closes.

        Raises:
            ShapeError: the shape is another one.
            InvalidArgumentError: inside a loop body.
        """
        if self.parent is not None:
            raise InvalidArgumentError(
                f"variable {variable.path!r} cannot be assigned inside a loop body",
                fix="carry its value as a state of the loop",
            )
        from kgraph import ops

        param = self.param_of(variable)
        tensor: TracedTensor = ops.cast(ops.convert_to_tensor(value), variable.dtype)
        if tensor.dims != param.shape:
            if tensor.dims and tensor.dims != (1,) * len(tensor.dims):
                raise ShapeError(
                    f"cannot assign to variable {variable.path!r}: the shapes differ",
                    where=str(self.location()),
                    got=shape_text(tensor.dims),
                    needed=f"{shape_text(param.shape)}, the shape it was created with",
                )
            tensor = ops.broadcast_to(ops.reshape(tensor, ()), variable.shape)
        if self.cuts_assignments:
            tensor = ops.stop_gradient(tensor)
            self._versions.setdefault(id(variable), []).append(tensor.value)
        self._current[id(variable)] = tensor
        self._assigned[id(variable)] = variable
        return tensor

    def versions_of(self, variable: Variable) -> list[Value]:
        """The variable's values in the order in which it had them: the param, then what was assigned."""
        values = [self.param_of(variable), *self._versions.get(id(variable), ())]
        return [self._watched.get(value, value) for value in values]

    def watched(self, value: Value) -> Value:
        """`value` marked as one that a gradient is asked for: passes never make one of two such values.

        A param stands for itself; for any other value a `watch` node is put behind it, which its readers read.
        """
        node = value.producer
        if node is None or node.op.name == "watch":
            return value
        mark = make_node(get_op("watch"), [value], {"number": len(self._watched)}, node.loc)
        self.graph.nodes.insert(self.graph.nodes.index(node) + 1, mark)
        for user in [user for user in value.uses if user is not mark]:
            for position, operand in enumerate(user.operands):
                if operand is value:
                    user.set_operand(position, mark.result)
        self._watched[value] = mark.result
        return mark.result

    def add_loss(self, loss: Any, owner: Any = None) -> None:
        """Collect a scalar term of the loss."""
        self.losses.append(loss)
        self.loss_owners.append(owner)

    def next_stream(self) -> int:
        """A number for one random call site: 0, 1, 2, ... in program order."""
        if self.parent is not None:
            return self.parent.next_stream()
        self._streams += 1
        return self._streams - 1

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """Within the block, locations end in this layer's name."""
        self.layer_path.append(name)
        try:
            yield
        finally:
            self.layer_path.pop()

    @contextmanager
    def recorded_node(self, loc: tuple[str, int]) -> Iterator[None]:
        """Within the block a recorded node runs: its call site is the location of what it emits."""
        self.node_locations.append(loc)
        try:
            yield
        finally:
            self.node_locations.pop()

    def region(self, name: str) -> Trace:
        """A trace for a loop body inside this one."""
        inner = Trace(Graph(name), self.training, self.seed_step, parent=self)
        inner.layer_path = list(self.layer_path)
        inner.node_locations = list(self.node_locations)
        inner.scratch = self.scratch
        inner.in_model = self.in_model
        return inner


def located(error: KGraphError, trace: Trace | None) -> KGraphError:
    """Fill in where a mistake was made, when the error does not know yet."""
    if trace is not None:
        location = trace.location()
        path = f", {location.layer}" if location.layer else ""
        # The line on the stack is the nearest one: inside a custom layer rather than at its call.
        return error.located(f"{error.user_line}{path}" if error.user_line else str(location))
    file, line = user_location()
    return error.located(f"{file}:{line}" if file else "")


def run_graph_of(
    trace: Trace, inputs: Mapping[str, Any], outputs: Sequence[TracedTensor], assign: bool = True
) -> list[np.ndarray[Any, Any]]:
    """Run what `trace` has recorded on arrays, with the variables' present values; write its updates back.

    Args:
        trace: closed.
        inputs: array for each graph input.
        outputs: what to compute.
        assign: whether updates of variables take effect.
    """
    from kgraph.ir.interpreter import interpret

    trace.graph.outputs = [trace.operand(tensor) for tensor in outputs]
    params = {name: variable.array for name, variable in trace.variables.items()}
    result = interpret(trace.graph, inputs, params)
    if assign:
        for name, value in result.updates.items():
            trace.variables[name].array[...] = value
    return [np.asarray(output) for output in result.outputs]
