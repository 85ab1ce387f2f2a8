"""`FunctionGraph`: the recorded nodes between some inputs and some outputs, in an order in which they can run.

It is what functional and sequential models are made of.  Running it on traced tensors lowers the model; running it on
symbolic tensors records the same calls again (nested models, cloning).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kgraph.core import tree
from kgraph.core.layer import Layer
from kgraph.core.node import Node, origin
from kgraph.core.operation import Operation
from kgraph.core.tensors import SymbolicTensor, TracedTensor, substitute
from kgraph.core.trace import current_trace, node_barrier
from kgraph.errors import GraphDisconnectedError, InternalError, InvalidArgumentError
from kgraph.ir.dims import Dim, DimLike

__all__ = ["FunctionGraph"]


class FunctionGraph:
    """The computation from `inputs` to `outputs` (nested structures of symbolic tensors).

    Attributes:
        nodes: calls in running order, without those of inputs.
        operations: layers and operations, inputs first, ordered by depth as in Keras.

    Raises:
        GraphDisconnectedError: an output depends on an input that is not given.
        InvalidArgumentError: something is no symbolic tensor, or two layers have one name.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str) -> None:
        self.name = name
        self.inputs_struct, self.outputs_struct = inputs, outputs
        self.inputs: list[SymbolicTensor] = _tensors(inputs, "inputs", name)
        self.outputs: list[SymbolicTensor] = _tensors(outputs, "outputs", name)
        if len({id(tensor) for tensor in self.inputs}) != len(self.inputs):
            raise InvalidArgumentError(f"the inputs of model {name!r} hold one tensor twice", got=_names(self.inputs))
        order, indices = self._walk()
        self.nodes = [node for node in order if not node.is_input]
        self.operations = _by_depth(order, indices, self.inputs)
        self._check_names()

    def _walk(self) -> tuple[list[Node], dict[Operation, int]]:
        """Nodes, each after those it needs, and operations numbered as they are met from the outputs (without
        recursion).
        """
        given = {id(tensor) for tensor in self.inputs}
        done: set[int] = set()
        order: list[Node] = []
        indices: dict[Operation, int] = {}
        for output in self.outputs:
            stack: list[tuple[SymbolicTensor, bool, str]] = [(output, False, "")]
            while stack:
                tensor, finished, reader = stack.pop()
                base = tensor if id(tensor) in given or tensor._mask_of is None else tensor._mask_of
                node = origin(base)
                if node is None:
                    if id(base) in given:
                        continue
                    raise self._disconnected(base, reader)
                if finished:
                    if id(node) not in done:
                        done.add(id(node))
                        order.append(node)
                    continue
                if id(node) in done:
                    continue
                if id(base) in given and not node.is_input:
                    continue  # cut here: a model from the middle of another
                if node.is_input and id(base) not in given:
                    raise self._disconnected(base, reader)
                indices.setdefault(node.operation, len(indices))
                stack.append((tensor, True, reader))
                stack.extend((parent, False, node.operation.name) for parent in reversed(node.input_tensors))
        return order, indices

    def _disconnected(self, tensor: SymbolicTensor, reader: str) -> GraphDisconnectedError:
        return GraphDisconnectedError(
            f"Graph disconnected: cannot obtain value for tensor {tensor.name!r} {tensor.shape}"
            + (f" at layer {reader!r}" if reader else ""),
            where=f"model {self.name!r}",
            got=f"inputs: {_names(self.inputs)}",
            needed=f"{tensor.name!r} among the inputs, since the outputs depend on it",
        )

    def _check_names(self) -> None:
        seen: dict[str, int] = {}
        for operation in self.operations:
            seen[operation.name] = seen.get(operation.name, 0) + 1
        for name, count in seen.items():
            if count > 1:
                raise InvalidArgumentError(
                    f'The name "{name}" is used {count} times in the model. All operation names should be unique.',
                    where=f"model {self.name!r}",
                    fix="give the layers other names with name=",
                )

    @property
    def layers(self) -> list[Layer]:
        """The layers among the operations."""
        return [operation for operation in self.operations if isinstance(operation, Layer)]

    def run(self, inputs: Sequence[Any], replace: Callable[[Operation], Any] | None = None) -> Any:
        """Call every node again, on other tensors.

        Args:
            inputs: traced (or symbolic) tensors in the order of `self.inputs`.
            replace: another operation for each operation; the same by default.

        Returns:
            Outputs in the structure of the model's outputs.
        """
        trace = current_trace()
        values: dict[int, Any] = {}
        sizes: dict[str, DimLike] = {}
        for symbolic, value in zip(self.inputs, inputs):
            values[id(symbolic)] = value
            for old, new in zip(symbolic.dims, value.dims):
                if isinstance(old, Dim) and len(old.symbols) == 1 and str(old) == old.symbols[0]:
                    sizes.setdefault(str(old), new)

        def lookup(leaf: Any) -> Any:
            if isinstance(leaf, SymbolicTensor):
                if id(leaf) in values:
                    return values[id(leaf)]
                if leaf._mask_of is not None:
                    return values[id(leaf._mask_of)]._keras_mask
                raise InternalError(f"tensor {leaf.name!r} was read before it was made")
            return substitute(leaf, sizes) if isinstance(leaf, Dim) else leaf

        for node in self.nodes:
            operation = node.operation if replace is None else replace(node.operation)
            args = tree.map_structure(lookup, node.args)
            kwargs = tree.map_structure(lookup, node.kwargs)
            if trace is None:
                outputs = operation(*args, **kwargs)
            else:
                with trace.recorded_node(node.location):
                    outputs = operation(*args, **kwargs)
            made = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, (TracedTensor, SymbolicTensor))]
            for symbolic, value in zip(node.output_tensors, made):
                values.setdefault(id(symbolic), value)
        return tree.map_structure(lookup, self.outputs_struct)


node_barrier(FunctionGraph.run.__code__)


def _tensors(structure: Any, what: str, name: str) -> list[SymbolicTensor]:
    leaves = tree.flatten(structure)
    for leaf in leaves:
        if not isinstance(leaf, SymbolicTensor):
            raise InvalidArgumentError(
                f"the {what} of model {name!r} must be tensors of `Input` or outputs of layers called on them",
                got=repr(leaf),
                fix=f"call the layer on a tensor: {leaf.name}(x)" if isinstance(leaf, Layer) else "",
            )
    if not leaves and what == "outputs":
        raise InvalidArgumentError(f"model {name!r} has no outputs")
    return leaves


def _names(tensors: Sequence[SymbolicTensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors)


def _by_depth(order: list[Node], indices: dict[Operation, int], inputs: Sequence[SymbolicTensor]) -> list[Operation]:
    """Operations by falling depth (longest way to an output), then as met: the order of `model.layers` in Keras."""
    present = {id(node) for node in order}
    node_depth: dict[int, int] = {}
    depth_of: dict[Operation, int] = {}
    for node in reversed(order):
        depth = max(node_depth.get(id(node), 0), depth_of.get(node.operation, 0))
        depth_of[node.operation] = node_depth[id(node)] = depth
        for parent in node.parent_nodes:
            if id(parent) in present:
                node_depth[id(parent)] = max(depth + 1, node_depth.get(id(parent), 0))
    for tensor in inputs:
        node_of = origin(tensor)
        if node_of is not None and node_of.is_input and node_of.operation not in depth_of:
            depth_of[node_of.operation] = 0  # an input that no output needs
            indices[node_of.operation] = -1
    return sorted(depth_of, key=lambda operation: (-depth_of[operation], indices[operation]))
