"""The derivative of `scan`: back-propagation through time, with the work that need not be in the loop taken out of it.

The loop body is differentiated like any graph; its backward half becomes the body of a second scan that runs the
other way. What the backward half reads of the forward half is stacked by the forward scan (its node grows extra
results).  Gradients of invariants that are `a^T dz` at each step (every recurrent kernel) are not accumulated step by
step: the `dz` are stacked and one large product over all steps follows the loop; likewise for sums (recurrent biases).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kgraph.ir.builder import Builder, make_node
from kgraph.ir.dims import shape_volume
from kgraph.ir.graph import Graph, Node, Value, clone_node, literal
from kgraph.ir.opdef import Grads
from kgraph.ir.ops.control import scan_parts
from kgraph.ir.passes.autodiff import backpropagate
from kgraph.ir.types import is_float

__all__ = ["scan_gradient"]

_Stack = Callable[[Value], Value]


@dataclass
class _Term:
    """One summand of an invariant's gradient that is computed after the loop from stacked step values."""

    kind: str  # "matmul": a^T dz;  "sum": sum of dz over axis 0
    operands: tuple[Value, ...]


@dataclass
class _Backward:
    """The differentiated body: forward clone, then backward nodes, in one graph."""

    joint: Graph
    states: list[Value]
    slices: list[Value]
    invariants: list[Value]
    to_joint: dict[Value, Value]
    forward_count: int
    state_seeds: list[Value]
    output_seeds: list[Value | None]
    state_grads: list[Value | None] = field(default_factory=list)
    slice_grads: list[Value | None] = field(default_factory=list)
    invariant_grads: list[Value | None] = field(default_factory=list)


def scan_gradient(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    """Write the reverse loop of `node`; returns the gradients of its operands."""
    inits = node.attrs["inits"]
    back = _differentiate_body(node, grads)
    terms = [_split_terms(back, grad) for grad in back.invariant_grads]
    step_values = list(back.slice_grads) + [v for group in terms for term in group or () for v in term.operands]
    accumulated = [grad if group is None else None for grad, group in zip(back.invariant_grads, terms, strict=True)]
    needed = _forward_values_read(back, [*back.state_grads, *step_values, *accumulated])
    stacked = _stack_residuals(node, back, needed)

    loop = _ReverseLoop(b, node, back, stacked)
    for position, (seed, grad) in enumerate(zip(back.state_seeds, back.state_grads, strict=True)):
        loop.add_state(seed, grad, _or_zero(b, grads[position], seed))
    accumulator_of: dict[int, int] = {}
    for position, grad in enumerate(accumulated):
        if grad is not None:
            accumulator_of[position] = loop.add_accumulator(grad)
    for step_seed, step_grad in zip(back.output_seeds, grads[inits:], strict=False):
        if step_seed is not None and step_grad is not None:
            loop.sequences.append((step_seed, step_grad))
    results = loop.finish([v for v in step_values if v is not None])

    invariant_grads: list[Value | None] = []
    for position, group in enumerate(terms):
        if position in accumulator_of:
            invariant_grads.append(results.states[accumulator_of[position]])
        else:
            invariant_grads.append(_sum_terms(b, group or [], results.stack))
    slice_grads = [None if g is None else results.stack(g) for g in back.slice_grads]
    return [*results.states[:inits], *slice_grads, *invariant_grads]


def _differentiate_body(node: Node, grads: Sequence[Value | None]) -> _Backward:
    body, inits = node.regions[0], node.attrs["inits"]
    sequences = node.attrs["sequences"]
    to_joint: dict[Value, Value] = {}
    joint = Graph("joint")
    for value in body.inputs:
        to_joint[value] = joint.add_input("", value.type)
    for inner in body.nodes:
        joint.nodes.append(clone_node(inner, to_joint))
    args = joint.inputs[:]
    builder = Builder(joint)
    count = len(joint.nodes)
    seeds: dict[Value, Value] = {}
    outputs = [to_joint.get(value, value) for value in body.outputs]
    state_seeds = [joint.add_input("", value.type) for value in outputs[:inits]]
    output_seeds: list[Value | None] = []
    for value, grad in zip(outputs[inits:], grads[inits:], strict=False):
        output_seeds.append(None if grad is None else joint.add_input("", value.type))
    for value, seed in zip(outputs, [*state_seeds, *output_seeds], strict=True):
        if seed is None or not is_float(value.dtype):
            continue
        seeds[value] = builder.op("add", seeds[value], seed) if value in seeds else seed
    wrt = [value for value in args if is_float(value.dtype)]
    found = dict(zip(wrt, backpropagate(builder, joint.nodes[:count], seeds, wrt), strict=True))
    back = _Backward(
        joint,
        args[:inits],
        args[inits : inits + sequences],
        args[inits + sequences :],
        to_joint,
        count,
        state_seeds,
        output_seeds,
    )
    back.state_grads = [found.get(value) for value in back.states]
    back.slice_grads = [found.get(value) for value in back.slices]
    back.invariant_grads = [found.get(value) for value in back.invariants]
    return back


def _split_terms(back: _Backward, grad: Value | None) -> list[_Term] | None:
    """The gradient as a sum of terms that can leave the loop; None: it must be accumulated; []: there is none."""
    if grad is None:
        return []
    producer = grad.producer
    if producer is None:
        return None
    if producer.op.name == "add" and all(v.literal is None for v in producer.operands):
        parts = [_split_terms(back, value) for value in producer.operands]
        return None if any(part is None for part in parts) else [term for part in parts for term in part or ()]
    if any(value in back.invariants or value.literal is not None for value in producer.operands):
        return None
    attrs = producer.attrs
    if producer.op.name == "matmul" and grad.type.rank == 2 and attrs["transpose_a"] and not attrs["transpose_b"]:
        return [_Term("matmul", producer.operands)]
    if producer.op.name == "sum" and attrs["axes"] == (0,) and not attrs["keepdims"]:
        return [_Term("sum", producer.operands)]
    return None


def _forward_values_read(back: _Backward, roots: Sequence[Value | None]) -> list[Value]:
    """Forward values (results, and arguments that are states) that the backward half needs, in program order."""
    backward = set(back.joint.nodes[back.forward_count :])
    seen: set[Value] = set()
    stack = [value for value in roots if value is not None]
    while stack:
        value = stack.pop()
        if value in seen or value.literal is not None:
            continue
        seen.add(value)
        if value.producer in backward:
            stack.extend(value.producer.operands if value.producer else ())
    forward = [*back.states, *(v for n in back.joint.nodes[: back.forward_count] for v in n.results)]
    return [value for value in forward if value in seen]


def _stack_residuals(node: Node, back: _Backward, needed: Sequence[Value]) -> dict[Value, Value]:
    """Let the forward scan stack what is needed; returns joint value -> stacked value.  Grows `node` in place, so
    that every holder of its results keeps valid values.
    """
    inits, axis = node.attrs["inits"], node.attrs["axis"]
    body, from_joint = _forward_body(node, back)
    node.regions = (body,)
    stacked: dict[Value, Value] = {}
    for value in needed:
        original = from_joint[value]
        if original in body.outputs[inits:]:
            stacked[value] = node.results[inits + body.outputs[inits:].index(original)]
            continue
        body.outputs.append(original)
        shape = (*original.shape[:axis], node.attrs["length"], *original.shape[axis:])
        result = Value(original.type.with_shape(shape), "", node, len(node.results))
        node.results = (*node.results, result)
        stacked[value] = result
    return stacked


def _forward_body(node: Node, back: _Backward) -> tuple[Graph, dict[Value, Value]]:
    """The body again, from the forward half of the joint graph, where loops inside it have grown residuals."""
    old = node.regions[0]
    body = Graph(old.name)
    mapping: dict[Value, Value] = {}
    for value in old.inputs:
        mapping[back.to_joint[value]] = body.add_input(value.name, value.type)
    for inner in back.joint.nodes[: back.forward_count]:
        body.nodes.append(clone_node(inner, mapping))
    body.outputs = [mapping[back.to_joint[value]] if value in back.to_joint else value for value in old.outputs]
    return body, mapping


def _or_zero(b: Builder, grad: Value | None, like: Value) -> Value:
    if grad is not None:
        return grad
    zero: Value = b.op("broadcast_to", literal(0, like.dtype), shape=like.shape)
    return zero


@dataclass
class _LoopResults:
    states: list[Value]
    stacks: dict[Value, Value]

    def stack(self, value: Value) -> Value:
        """All steps of a step value, stacked along the time axis."""
        return self.stacks[value]


class _ReverseLoop:
    """Collects states, sequences and outputs of the backward scan, then builds it."""

    def __init__(self, b: Builder, node: Node, back: _Backward, stacked: dict[Value, Value]) -> None:
        self.b, self.node, self.back, self.stacked = b, node, back, stacked
        self.states: list[tuple[Value, Value | None, Value]] = []  # (argument in joint, new value, initial value)
        self.accumulators: list[Value] = []
        self.sequences: list[tuple[Value, Value]] = []  # (argument in joint, stacked tensor)

    def add_state(self, argument: Value, new: Value | None, initial: Value) -> None:
        self.states.append((argument, new, initial))

    def add_accumulator(self, grad: Value) -> int:
        """A sum over the steps; returns its place among the states."""
        self.accumulators.append(grad)
        return len(self.states) + len(self.accumulators) - 1

    def finish(self, step_values: Sequence[Value]) -> _LoopResults:
        """Emit the scan and return its results."""
        b, node, back = self.b, self.node, self.back
        _, sequences, invariants = scan_parts(node)
        walked = [*self.sequences, *self.stacked.items(), *zip(back.slices, sequences, strict=True)]
        known = {argument for argument, _ in walked} | set(back.invariants)
        produced = [v for v in dict.fromkeys(step_values) if v not in known]

        body = Graph("step")
        mapping: dict[Value, Value] = {argument: body.add_input("", argument.type) for argument, _, _ in self.states}
        sums = [body.add_input("", grad.type) for grad in self.accumulators]
        for argument, _ in walked:
            mapping[argument] = body.add_input("", argument.type)
        for argument in back.invariants:
            mapping[argument] = body.add_input("", argument.type)
        for inner in back.joint.nodes[back.forward_count :]:
            body.nodes.append(_clone_reading(inner, mapping))
        inside = Builder(body)
        new_states = [
            mapping[new] if new is not None else _or_zero(inside, None, argument) for argument, new, _ in self.states
        ]
        new_sums = [inside.op("add", have, mapping[g]) for have, g in zip(sums, self.accumulators, strict=True)]
        body.outputs = [*new_states, *new_sums, *(mapping[v] for v in produced)]
        body.remove_dead()
        extra = _hoist_transposes(b, body, list(invariants))

        starts = [initial for _, _, initial in self.states] + [_or_zero(b, None, grad) for grad in self.accumulators]
        attrs = dict(node.attrs)
        attrs.update(inits=len(starts), sequences=len(walked), reverse=not node.attrs["reverse"])
        loop = b.node("scan", [*starts, *(tensor for _, tensor in walked), *invariants, *extra], attrs, [body])
        results = list(loop.results)
        stacks = dict(zip(produced, results[len(starts) :], strict=True))
        stacks.update((argument, tensor) for argument, tensor in walked)
        return _LoopResults(results[: len(starts)], stacks)


def _clone_reading(node: Node, mapping: dict[Value, Value]) -> Node:
    """Clone a backward node; a forward value that is not at hand belongs to a dead branch: any value will do."""
    for value in node.operands:
        if value not in mapping and value.literal is None:
            mapping[value] = Value(value.type)
    return clone_node(node, mapping)


def _hoist_transposes(b: Builder, body: Graph, invariants: list[Value]) -> list[Value]:
    """Transpose matrices that no step changes once before the loop; returns the new invariants.

    A product with a transposed right side repacks that side each time, which costs as much as the small product itself.
    """
    first = len(body.inputs) - len(invariants)
    outer = dict(zip(body.inputs[first:], invariants, strict=True))
    turned: dict[Value, Value] = {}
    extra: list[Value] = []
    for position, node in enumerate(body.nodes):
        if node.op.name != "matmul" or not node.attrs["transpose_b"] or node.operands[1] not in outer:
            continue
        matrix = node.operands[1]
        if matrix.type.rank != 2:
            continue
        if matrix not in turned:
            hoisted = b.op("transpose", outer[matrix], perm=(1, 0))
            turned[matrix] = body.add_input("", hoisted.type)
            extra.append(hoisted)
        attrs = {**node.attrs, "transpose_b": False}
        plain = make_node(node.op, [node.operands[0], turned[matrix]], attrs, node.loc)
        body.nodes[position] = plain
        body.replace(node.results[0], plain.results[0])
        node.drop_uses()
    return extra


def _sum_terms(b: Builder, terms: Sequence[_Term], stack: _Stack) -> Value | None:
    """Sum of the terms over all steps, from stacked values."""
    total: Value | None = None
    for term in terms:
        tensors = [stack(value) for value in term.operands]
        if term.kind == "matmul":
            flat = [b.op("reshape", t, shape=(shape_volume(t.shape[:2]), t.shape[2])) for t in tensors]
            value: Value = b.op("matmul", *flat, transpose_a=True)
        else:
            # The step's own axis 0 and the time axis stand first whatever the scan's axis is (0 or 1).
            value = b.op("sum", tensors[0], axes=(0, 1))
        total = value if total is None else b.op("add", total, value)
    return total
