"""What of a model runs in Python on the data, before its native program: layers that read strings or hash.

A `HostStage` splits the graph of a model at the tensors that such layers (`kgraph.layers.host.HostLayer`) give to the
rest: up to there it runs on the user's arrays, and what it gives are the inputs of the program.  The invariant: no node
of the native part reads a tensor of strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.core import tree
from kgraph.core.node import Node
from kgraph.core.tensors import SymbolicTensor
from kgraph.errors import DtypeError, ShapeError, UnsupportedError
from kgraph.trainer.data import Array, Port, fitted, pick

__all__ = ["HostStage", "host_stage"]


def host_stage(model: Any) -> HostStage | None:
    """The part of a model that runs in Python; None when there is none."""
    make = getattr(model, "_function_graph", None)  # a Sequential makes its graph when it is asked
    graph = make() if make is not None else model._graph
    if graph is None or not any(_on_host(node) for node in graph.nodes):
        return None
    return HostStage(model, graph)


def _on_host(node: Node) -> bool:
    runs = getattr(node.operation, "runs_on_host", None)
    return runs is not None and bool(runs())


class HostStage:
    """The layers of a model that run in Python, and the rest as a model of its own.

    Attributes:
        native: the rest; it shares all layers with the model.
        border: the inputs of `native`: results of layers in Python, and inputs of the model that the rest reads.
        ports: the same as the program takes them.
    """

    def __init__(self, model: Any, graph: Any) -> None:
        from kgraph.models.model import Model

        self.inputs: list[SymbolicTensor] = list(graph.inputs)
        self.nodes = [node for node in graph.nodes if _on_host(node)]
        made = {id(tensor): tensor for node in self.nodes for tensor in node.output_tensors}
        known = {**{id(tensor): tensor for tensor in self.inputs}, **made}
        rest = [node for node in graph.nodes if not _on_host(node)]
        read = [tensor for node in rest for tensor in node.input_tensors] + list(graph.outputs)
        self.border = list({id(tensor): tensor for tensor in read if id(tensor) in known}.values())
        for tensor in self.border:
            if tensor.dtype == "string":
                raise UnsupportedError(
                    f"model {model.name!r} gives out its input {tensor.name!r}, which holds strings",
                    fix="leave it out of the outputs",
                )
        self.native = Model(self.border, model._symbolic[1], name=model.name)
        if model._symbolic_losses:
            self.native.add_loss(model._symbolic_losses)
        self.ports = [Port(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in self.border]

    def apply(self, x: Any) -> dict[str, Array]:
        """The inputs of the program by name, from what the user gave as `x`.

        Raises:
            DataError, ShapeError, DtypeError: the data do not fit the inputs; or a layer refuses a value.
        """
        values: dict[int, Any] = {}
        given = pick(x, [tensor.name for tensor in self.inputs], "input", "x")
        for tensor, data in zip(self.inputs, given):
            port = Port(tensor.name, tuple(tensor.shape), tensor.dtype)
            values[id(tensor)] = _texts(port, data) if port.dtype == "string" else fitted(port, data)
        for node in self.nodes:
            args = tree.map_structure(lambda leaf: values.get(id(leaf), leaf), node.args)
            output = node.output_tensors[0]
            values[id(output)] = np.asarray(node.operation.host_call(*args), output.dtype)
        return {port.name: values[id(tensor)] for port, tensor in zip(self.ports, self.border)}

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        """Apply the rest to tensors in the order of the border."""
        return self.native(list(inputs) if len(inputs) > 1 else inputs[0], training=training)


def _texts(port: Port, data: Any) -> Array:
    """Strings in the rank of the input."""
    name = f"input {port.name!r}"
    array = np.asarray(data)
    if array.dtype.kind not in "USO":
        raise DtypeError(f"{name} takes strings", got=f"dtype {array.dtype}", fix="convert the numbers: x.astype(str)")
    if array.ndim == len(port.shape) - 1 and port.shape[-1] == 1:
        array = array[..., None]
    elif array.ndim == len(port.shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != len(port.shape) or any(w not in (None, h) for w, h in zip(port.shape[1:], array.shape[1:])):
        raise ShapeError(
            f"{name} does not take an array of shape {np.shape(data)}",
            needed="(" + ", ".join("n" if i == 0 else str(size or "any") for i, size in enumerate(port.shape)) + ")",
            fix="give one row for each sample, also for a single one: np.array(['a text'])",
        )
    return array
