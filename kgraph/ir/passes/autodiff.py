"""Reverse-mode differentiation, graph to graph.

Walks the nodes that lie between `wrt` and `loss` backwards and lets each op's `vjp` write its derivative (Griewank
and Walther, Evaluating Derivatives, ch. 3).  The gradients are ordinary nodes of the same graph: at its end, or, where
the program itself asks for derivatives, in the place of its `gradients` nodes (`ExpandGradients`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kgraph.errors import ShapeError, UnsupportedError
from kgraph.ir.builder import Builder
from kgraph.ir.graph import Graph, Literal, Node, Value, literal
from kgraph.ir.opdef import no_gradient
from kgraph.ir.passes.base import Pass, PassContext
from kgraph.ir.types import is_float

__all__ = ["ExpandGradients", "append_gradients", "backpropagate", "reached_by_gradient"]


def append_gradients(graph: Graph, loss: Value, wrt: Sequence[Value]) -> list[Value | None]:
    """Append d loss / d wrt for a scalar `loss`.

    Returns:
        One gradient of the type of each `wrt`; None where `loss` does not depend on it.

    Raises:
        ShapeError: `loss` is not a floating-point scalar.
    """
    if loss.shape != () or not is_float(loss.dtype):
        raise ShapeError(
            "the loss must be one floating-point number", got=str(loss.type), fix="reduce it with sum or mean first"
        )
    builder = Builder(graph)
    return backpropagate(builder, graph.nodes, {loss: literal(1.0, loss.dtype)}, wrt)


def backpropagate(
    builder: Builder, nodes: Sequence[Node], seeds: dict[Value, Value], wrt: Sequence[Value]
) -> list[Value | None]:
    """Pull the gradients `seeds` (value -> its gradient) back to `wrt` through `nodes` (in program order)."""
    active = _depends_on(nodes, wrt)
    grads: dict[Value, Value] = dict(seeds)
    for node in reversed(list(nodes)):
        if not any(result in grads for result in node.results) or not any(v in active for v in node.results):
            continue
        if node.op.vjp is None:
            raise UnsupportedError(f"op {node.op.name} has no derivative", where=str(node.loc))
        results = [grads.get(result) for result in node.results]
        with builder.location(node.loc):
            for value, grad in zip(node.operands, node.op.vjp(builder, node, results), strict=True):
                if grad is None or value not in active:
                    continue
                have = grads.get(value)
                grads[value] = grad if have is None else builder.op("add", have, grad)
    return [_materialised(builder, grads.get(value), value) for value in wrt]


def _depends_on(nodes: Sequence[Node], wrt: Sequence[Value]) -> set[Value]:
    """Floating-point values that depend on `wrt`: only these carry gradients."""
    active = set(wrt)
    for node in nodes:
        if any(value in active for value in node.operands):
            active.update(value for value in node.results if is_float(value.dtype))
    return active


def _materialised(builder: Builder, grad: Value | None, value: Value) -> Value | None:
    """A gradient must have the type of its value, also when it is the seed itself or a literal."""
    if grad is not None and grad.shape != value.shape:
        grad = builder.op("broadcast_to", grad, shape=value.shape)
    return grad


def reached_by_gradient(loss: Value) -> set[Value]:
    """The values that a gradient of `loss` comes to: those it depends on through floats and ops with a derivative."""
    reached, stack = {loss}, [loss]
    while stack:
        node = stack.pop().producer
        if node is None or node.op.vjp is no_gradient:
            continue
        for value in node.operands:
            if value not in reached and not isinstance(value, Literal) and is_float(value.dtype):
                reached.add(value)
                stack.append(value)
    return reached


@dataclass(frozen=True)
class ExpandGradients(Pass):
    """Write derivatives in the place of `gradients` nodes, and drop the `watch` nodes that marked their ends.

    In program order, so that a derivative of a derivative meets ordinary nodes.
    Example (golden): tests/golden/ir/expand_gradients/twice.kg
    """

    name: ClassVar[str] = "expand-gradients"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change `graph`; True when there was a `gradients` node."""
        if not any(node.op.name in ("gradients", "watch") for node in graph.nodes):
            return False
        nodes, graph.nodes = graph.nodes, []
        for node in nodes:
            if node.op.name == "gradients":
                _expand(graph, node)
            else:
                graph.nodes.append(node)
        for node in [node for node in graph.nodes if node.op.name == "watch"]:
            graph.replace(node.result, node.operands[0])
            node.drop_uses()
        graph.nodes = [node for node in graph.nodes if node.op.name != "watch"]
        graph.remove_dead()
        return True


def _expand(graph: Graph, node: Node) -> None:
    """Append the derivative that `node` asks for, and let it stand for the node's results."""
    loss, *wrt = node.operands
    builder = Builder(graph)
    grads = backpropagate(builder, list(graph.nodes), {loss: literal(1.0, loss.dtype)}, wrt)
    with builder.location(node.loc):
        for result, grad, value in zip(node.results, grads, wrt, strict=True):
            if grad is None or isinstance(grad, Literal):
                grad = builder.op("broadcast_to", grad or literal(0.0, value.dtype), shape=value.shape)
            graph.replace(result, grad)
    node.drop_uses()
