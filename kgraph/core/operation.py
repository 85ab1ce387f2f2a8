"""`Operation`: anything that can be recorded as a node, and the questions that Keras answers about nodes.

The node interface of Keras 2 (`get_input_at`, `input_shape`, ...) stands beside that of Keras 3; the errors are those
that Keras 2 raises, see each method.
"""

from __future__ import annotations

from typing import Any

from kgraph.core.node import Node
from kgraph.core.session import unique_name
from kgraph.errors import InvalidArgumentError, KGraphError, LayerAttributeError

__all__ = ["LayerNotCalledError", "Operation"]


class LayerNotCalledError(KGraphError, RuntimeError):
    """`get_input_at` and its kin were used on a layer that was never called on symbolic tensors."""


def _one_or_list(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _inputs_of(node: Node) -> Any:
    return _one_or_list(node.input_tensors or node.output_tensors)


def _outputs_of(node: Node) -> Any:
    return _one_or_list(node.output_tensors)


def _shapes(tensors: Any) -> Any:
    return [tensor.shape for tensor in tensors] if isinstance(tensors, list) else tensors.shape


def _masks(tensors: Any) -> Any:
    return [tensor._keras_mask for tensor in tensors] if isinstance(tensors, list) else tensors._keras_mask


class Operation:
    """A named operation with the nodes recorded for it."""

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise InvalidArgumentError("a layer's name must be a string", got=repr(name))
        self._inbound_nodes: list[Node] = []
        self._outbound_nodes: list[Node] = []
        self._name = name or unique_name(type(self).__name__)

    @property
    def name(self) -> str:
        """Its name; automatic ones are the class in snake case with a number from the second on."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def inbound_nodes(self) -> list[Node]:
        """The calls of this operation (Keras 2 spelling)."""
        return self._inbound_nodes

    @property
    def outbound_nodes(self) -> list[Node]:
        """The calls that use its outputs (Keras 2 spelling)."""
        return self._outbound_nodes

    def _node_at(self, index: int, what: str) -> Node:
        nodes = self._inbound_nodes
        if not nodes:
            raise LayerNotCalledError(
                f"The layer {self.name!r} has never been called and thus has no defined {what}.",
                fix="call it on an Input, or on the output of another layer, first",
            )
        if not -len(nodes) <= index < len(nodes):
            raise InvalidArgumentError(
                f"Asked to get {what} at node {index}, but the layer {self.name!r} has only {len(nodes)} inbound nodes."
            )
        return nodes[index]

    def get_input_at(self, node_index: int) -> Any:
        """Input tensor (or list of them) of the call `node_index`.

        Raises:
            RuntimeError: never called.
            ValueError: no such call.
        """
        return _inputs_of(self._node_at(node_index, "input"))

    def get_output_at(self, node_index: int) -> Any:
        """Output tensor (or list) of the call `node_index`; errors as `get_input_at`."""
        return _outputs_of(self._node_at(node_index, "output"))

    def get_input_shape_at(self, node_index: int) -> Any:
        """Input shape (or list) of the call `node_index`; errors as `get_input_at`."""
        return _shapes(_inputs_of(self._node_at(node_index, "input shape")))

    def get_output_shape_at(self, node_index: int) -> Any:
        """Output shape (or list) of the call `node_index`; errors as `get_input_at`."""
        return _shapes(_outputs_of(self._node_at(node_index, "output shape")))

    def get_input_mask_at(self, node_index: int) -> Any:
        """Mask of the input of the call `node_index`, or None; errors as `get_input_at`."""
        return _masks(_inputs_of(self._node_at(node_index, "input mask")))

    def get_output_mask_at(self, node_index: int) -> Any:
        """Mask of the output of the call `node_index`, or None; errors as `get_input_at`."""
        return _masks(_outputs_of(self._node_at(node_index, "output mask")))

    def _only_node(self, what: str) -> Node:
        if not self._inbound_nodes:
            raise LayerAttributeError(
                f"The layer {self.name!r} has never been called and thus has no defined {what}.",
                fix="call it on an Input, or on the output of another layer, first",
            )
        if len(self._inbound_nodes) > 1:
            raise LayerAttributeError(
                f"The layer {self.name!r} has multiple inbound nodes, hence the notion of {what!r} is ill-defined.",
                got=f"{len(self._inbound_nodes)} calls",
                fix=f"use `get_{what.replace(' ', '_')}_at(node_index)` instead",
            )
        return self._inbound_nodes[0]

    @property
    def input(self) -> Any:
        """Input tensor (or list) of the only call.

        Raises:
            AttributeError: never called, or called more than once.
        """
        return _inputs_of(self._only_node("input"))

    @property
    def output(self) -> Any:
        """Output tensor (or list) of the only call; errors as `input`."""
        return _outputs_of(self._only_node("output"))

    @property
    def input_mask(self) -> Any:
        """Mask of the input of the only call, or None; errors as `input`."""
        return _masks(_inputs_of(self._only_node("input mask")))

    @property
    def output_mask(self) -> Any:
        """Mask of the output of the only call, or None; errors as `input`."""
        return _masks(_outputs_of(self._only_node("output mask")))

    def _only_shape(self, what: str, shapes: list[Any]) -> Any:
        if not shapes:
            raise LayerAttributeError(
                f"The layer {self.name!r} has never been called and thus has no defined {what}.",
                fix="call it on an Input, or on the output of another layer, first",
            )
        if any(shape != shapes[0] for shape in shapes):
            raise LayerAttributeError(
                f"The layer {self.name!r} has multiple inbound nodes with different {what}s, hence the notion of "
                f"{what!r} is ill-defined.",
                got=", ".join(str(shape) for shape in shapes),
                fix=f"use `get_{what.replace(' ', '_')}_at(node_index)` instead",
            )
        return shapes[0]

    @property
    def input_shape(self) -> Any:
        """Input shape (or list) that all calls share.

        Raises:
            AttributeError: never called, or called on several shapes.
        """
        return self._only_shape("input shape", [_shapes(_inputs_of(node)) for node in self._inbound_nodes])

    @property
    def output_shape(self) -> Any:
        """Output shape (or list) that all calls share; errors as `input_shape`."""
        return self._only_shape("output shape", [_shapes(_outputs_of(node)) for node in self._inbound_nodes])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the operation."""
        raise NotImplementedError
