"""To which part of a step a kernel belongs: forward, backward or update; and to which layer of the model."""

from __future__ import annotations

from collections.abc import Collection

from kgraph.ir.graph import Graph, Node, Value

__all__ = ["layer_of", "parts_of"]


def layer_of(path: str, nested: Collection[str]) -> str:
    """The layer that a row of a report stands for: the first of a path that is no nested model, with those before it.

    Args:
        path: of a location, e.g. `encoder/attention/query`.
        nested: names of models within the model.

    Returns:
        E.g. `encoder/attention`; empty for code outside all layers.
    """
    names = path.split("/")
    depth = next((k for k, name in enumerate(names) if name not in nested), len(names) - 1)
    return "/".join(names[: depth + 1])


def parts_of(schedule: Graph, optimizers: Collection[str]) -> dict[Node, str]:
    """`"forward"`, `"backward"` or `"update"` for each kernel of a training step, those of loops included.

    Forward is what loss, metrics and other results of the forward pass (moving averages) are computed from, update
    what the optimizers write; the rest is backward.  A kernel that does two things counts for the first of them: a
    product that updates the weights with its gradient is backward.

    Args:
        schedule: of the step.
        optimizers: names of its optimizers, which locations begin with.
    """
    roots = [*schedule.outputs]
    roots += [value for _, value in schedule.updates if _origin(value).split("/")[0] not in optimizers]
    forward = _ancestors(roots)
    found: dict[Node, str] = {}
    for node in schedule.nodes:
        if node.op.name not in ("kernel", "scan"):
            continue
        if not forward.isdisjoint(node.results):
            part = "forward"
        elif all(_origin(value).split("/")[0] in optimizers for value in node.results) and not _has_product(node):
            part = "update"
        else:
            part = "backward"
        found.update(dict.fromkeys(_kernels(node), part))
    return found


def _has_product(node: Node) -> bool:
    return any(inner.op.name == "matmul" for kernel in _kernels(node) for inner in kernel.regions[0].nodes)


def _kernels(node: Node) -> list[Node]:
    if node.op.name == "kernel":
        return [node]
    inner = node.regions[0].nodes if node.op.name == "scan" else []
    return [kernel for part in inner for kernel in _kernels(part)]


def _origin(value: Value) -> str:
    """The path of the layer that computes a value, in a kernel or outside."""
    node = value.producer
    if node is None:
        return ""
    if node.op.name == "kernel":
        inner = node.regions[0].outputs[value.index].producer
        return node.loc.layer if inner is None else inner.loc.layer
    return node.loc.layer if node.op.name == "scan" or not node.operands else _origin(node.operands[0])


def _ancestors(roots: Collection[Value]) -> set[Value]:
    """All values that `roots` are computed from, and themselves; of a kernel only what the result in question needs."""
    found: set[Value] = set()
    stack = list(roots)
    while stack:
        value = stack.pop()
        if value in found:
            continue
        found.add(value)
        node = value.producer
        if node is not None:
            stack.extend(_needed(node, value))
    return found


def _needed(node: Node, value: Value) -> list[Value]:
    if node.op.name != "kernel":
        return list(node.operands)
    region = node.regions[0]
    inside = _ancestors([region.outputs[value.index]])
    return [outer for inner, outer in zip(region.inputs, node.operands, strict=True) if inner in inside]
