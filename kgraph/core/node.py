"""`Node`: one recorded call of a layer or operation on symbolic tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgraph.core import tree
from kgraph.core.tensors import SymbolicTensor
from kgraph.core.trace import user_location

if TYPE_CHECKING:
    from kgraph.core.operation import Operation

__all__ = ["History", "Node"]


class History(NamedTuple):
    """Where a symbolic tensor comes from: `tensor._keras_history`."""

    operation: Any
    node_index: int
    tensor_index: int


class Node:
    """A call: `operation(*args, **kwargs) -> outputs`, with symbolic tensors among the arguments.

    Attributes:
        operation: the layer or operation called.
        args, kwargs: its arguments as given.
        input_tensors: the symbolic tensors among them, in order.
        outputs: what was returned, with its nesting.
        output_tensors: the symbolic tensors returned, in order.
        location: (file, line) of the user's call.
        index: position in `operation._inbound_nodes`.
    """

    def __init__(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.outputs = outputs
        leaves = tree.flatten([list(args), kwargs])
        self.input_tensors = [leaf for leaf in leaves if isinstance(leaf, SymbolicTensor)]
        self.output_tensors = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, SymbolicTensor)]
        self.location = user_location()
        self.index = len(operation._inbound_nodes)
        operation._inbound_nodes.append(self)
        for position, tensor in enumerate(self.output_tensors):
            tensor._keras_history = History(operation, self.index, position)
        for node in self.parent_nodes:
            node.operation._outbound_nodes.append(self)

    @property
    def is_input(self) -> bool:
        """Whether this is the node of an `Input`."""
        return not self.input_tensors

    @property
    def parent_nodes(self) -> list[Node]:
        """The nodes that made the input tensors, each once."""
        parents: list[Node] = []
        for tensor in self.input_tensors:
            node = origin(tensor)
            if node is not None and node not in parents:
                parents.append(node)
        return parents

    def __repr__(self) -> str:
        return f"<Node operation={self.operation.name}, id={self.index}>"


def origin(tensor: SymbolicTensor) -> Node | None:
    """The node that made the tensor (for a mask: that of the tensor it belongs to)."""
    if tensor._mask_of is not None:
        tensor = tensor._mask_of
    history = tensor._keras_history
    if history is None:
        return None
    node: Node = history.operation._inbound_nodes[history.node_index]
    return node
