"""Models of layers to configurations and back: `Sequential`, functional graphs with shared layers and nested models.

Reads the forms of Keras 3 (`args`, `kwargs`) and of Keras 2 (lists of [layer, node, tensor, settings]).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from kgraph.core import tree
from kgraph.core.dispatch import OpOperation
from kgraph.core.input_layer import InputLayer
from kgraph.core.layer import Layer
from kgraph.core.node import origin
from kgraph.core.operation import Operation
from kgraph.core.tensors import SymbolicTensor
from kgraph.errors import FileError, InvalidArgumentError
from kgraph.models.model import Functional, Model
from kgraph.models.sequential import Sequential
from kgraph.saving.objects import _object, _tensor_config, serialize_keras_object
from kgraph.saving.operations import describe_operation, is_operation, revive_operation

__all__ = [
    "functional_config",
    "functional_from_config",
    "is_functional",
    "sequential_config",
    "sequential_from_config",
]


def is_functional(model: Model) -> bool:
    """Whether the model's graph, and not its constructor, says what it is."""
    if model._graph is None or isinstance(model, Sequential):
        return False
    if type(model) in (Functional, Model):
        return True
    parameters = list(inspect.signature(type(model).__init__).parameters.values())[1:]
    kinds = {parameter.kind for parameter in parameters}
    given = {"inputs", "outputs"} <= {parameter.name for parameter in parameters}
    return given or kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


# In the entry of a layer: which of its outputs, [call, output], were given to `model.add_loss`.  Keras passes it by.
LOSSES = "kgraph_add_loss"


# -- writing ----------------------------------------------------------------------------------------------------------
def sequential_config(model: Sequential) -> dict[str, Any]:
    """The configuration of a row of layers, its input first when the shape is known."""
    layers: list[dict[str, Any]] = []
    if model._symbolic_losses:
        warnings.warn(
            f"losses added to the Sequential {model.name!r} with add_loss(tensor) are not kept in its file; "
            "make it a Model(inputs, outputs) to keep them",
            stacklevel=4,
        )
    config: dict[str, Any] = {"name": model.name, "trainable": model.trainable}
    config["dtype"] = serialize_keras_object(model.dtype_policy)
    first = origin(model._chain[0]) if model._chain else None
    if first is not None:
        layers.append(serialize_keras_object(first.operation))
    for layer in model.layers:
        layers.append(_stripped(serialize_keras_object(layer)))
    config["layers"] = layers
    if model._chain:
        config["build_input_shape"] = list(model._chain[0].shape)
    return config


def _stripped(description: dict[str, Any]) -> dict[str, Any]:
    """Without the input shape that a Keras 2 layer brings along: the graph says it."""
    description["config"].pop("batch_input_shape", None)
    return description


class _Writer:
    """Numbers the calls of one model as Keras does: per layer, those of the model only."""

    def __init__(self, model: Model) -> None:
        assert model._graph is not None
        graph = model._graph
        self.graph = graph
        self.losses = {id(tensor) for tensor in model._symbolic_losses}
        self.outputs_struct = model._symbolic[1] if model._symbolic is not None else graph.outputs_struct
        self.own = {id(node) for node in graph.nodes}
        self.inputs: dict[int, str] = {}  # inputs from the middle of another model
        self.cut: list[dict[str, Any]] = []
        for tensor in graph.inputs:
            node = origin(tensor)
            if node is not None and node.is_input:
                self.own.add(id(node))
            else:
                name = f"{tensor.name}_input"
                self.inputs[id(tensor)] = name
                layer = InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
                self.cut.append({**serialize_keras_object(layer), "name": name, "inbound_nodes": []})

    def place(self, tensor: SymbolicTensor) -> list[Any]:
        """[layer, call, output] of a tensor, as inside `inbound_nodes`."""
        if id(tensor) in self.inputs:
            return [self.inputs[id(tensor)], 0, 0]
        history = tensor._keras_history
        assert history is not None
        before = history.operation._inbound_nodes[: history.node_index]
        index = sum(1 for node in before if id(node) in self.own)
        return [history.operation.name, index, history.tensor_index]

    def end(self, tensor: SymbolicTensor) -> list[Any]:
        """The same among the model's inputs and outputs, where nested models count from 1."""
        name, index, position = self.place(tensor)
        history = tensor._keras_history
        nested = history is not None and isinstance(history.operation, Functional) and id(tensor) not in self.inputs
        return [name, index + 1 if nested else index, position]

    def argument(self, value: Any) -> Any:
        """An argument of a call with its tensors replaced."""
        if isinstance(value, SymbolicTensor):
            return None if value._mask_of is not None else _tensor_config(value, self.place(value))
        if isinstance(value, dict):
            return {str(key): self.argument(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.argument(item) for item in value]
        return serialize_keras_object(value)

    def layer(self, operation: Operation) -> dict[str, Any]:
        """One entry of `layers`."""
        calls = [node for node in operation._inbound_nodes if id(node) in self.own and not node.is_input]
        nodes = []
        if isinstance(operation, OpOperation):
            description, args, kwargs = describe_operation(operation, calls[0])
            description = serialize_keras_object(description)
            nodes.append({"args": self.argument(list(args)), "kwargs": self.argument(kwargs)})
        else:
            description = _stripped(serialize_keras_object(operation))
            nodes += [{"args": self.argument(list(n.args)), "kwargs": self.argument(n.kwargs)} for n in calls]
        entry = {**description, "name": operation.name, "inbound_nodes": nodes}
        if self.losses:
            ends = [
                [index, position]
                for index, node in enumerate(calls)
                for position, tensor in enumerate(node.output_tensors)
                if id(tensor) in self.losses
            ]
            if ends:
                entry[LOSSES] = ends
        return entry


def functional_config(model: Model) -> dict[str, Any]:
    """The configuration of a functional model."""
    writer = _Writer(model)
    graph = writer.graph
    layers = [*writer.cut, *(writer.layer(operation) for operation in graph.operations)]
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": _ends(graph.inputs_struct, writer),
        "output_layers": _ends(writer.outputs_struct, writer),
    }


def _ends(structure: Any, writer: _Writer) -> Any:
    if isinstance(structure, SymbolicTensor):
        return writer.end(structure)
    if isinstance(structure, dict):
        return {key: _ends(value, writer) for key, value in structure.items()}
    return [_ends(item, writer) for item in structure]


# -- reading ----------------------------------------------------------------------------------------------------------
def sequential_from_config(cls: type[Sequential], config: Any) -> Sequential:
    """A `Sequential` from its configuration: a dict, or the list of layers of Keras 2.

    Raises:
        FileError: the configuration is damaged.
    """
    if isinstance(config, list):
        config = {"layers": config}
    layers = config.get("layers")
    if not isinstance(layers, list):
        raise FileError("the configuration of a Sequential has no layers", got=repr(config)[:200])
    model = cls(name=config.get("name"))
    for description in layers:
        layer = _object(description)
        if not isinstance(layer, Layer):
            raise FileError("a layer of a Sequential cannot be read", got=repr(description)[:200])
        model.add(layer)
    shape = config.get("build_input_shape")
    if shape and not model.built and model.layers and isinstance(shape, (list, tuple)):
        model.build(tuple(shape))
    if config.get("trainable") is False:
        model.trainable = False
    return model


def _pair(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise FileError("a loss in the configuration cannot be read", got=repr(value)[:200])
    return value[0], value[1]


class _NotYet(Exception):
    """A call needs the output of one that was not made yet."""


class _Reader:
    """Makes the layers, then the calls, as soon as their inputs are there."""

    def __init__(self, layers: Sequence[Mapping[str, Any]]) -> None:
        self.made: dict[str, Any] = {}
        self.outputs: dict[str, list[list[SymbolicTensor]]] = {}
        self.waiting: list[tuple[str, list[Any]]] = []
        self.losses: list[tuple[str, Any, Any]] = []
        self.old = False
        for data in layers:
            if not isinstance(data, Mapping) or "class_name" not in data:
                raise FileError("a layer in the configuration cannot be read", got=repr(data)[:200])
            inner = data.get("config")
            name = data.get("name") or (inner.get("name") if isinstance(inner, Mapping) else None)
            if not isinstance(name, str) or name in self.made:
                raise FileError("two layers in the configuration have one name, or one has none", got=repr(name))
            layer = revive_operation(dict(data)) if is_operation(dict(data)) else _object(data)
            if isinstance(layer, InputLayer):
                self.outputs[name] = [layer._inbound_nodes[0].output_tensors]
            elif callable(layer):
                self.outputs[name] = []
            else:
                raise FileError("a layer in the configuration is none", got=repr(data)[:200])
            self.made[name] = layer
            self.losses += [(name, *_pair(end)) for end in data.get(LOSSES) or ()]
            nodes = data.get("inbound_nodes") or []
            if nodes and isinstance(nodes[0], str):  # a legacy node: one list of names
                nodes = [[[node, 0, 0] for node in nodes]]
            if nodes and not isinstance(layer, InputLayer):
                self.waiting.append((name, list(nodes)))

    def run(self) -> None:
        """Make all calls.

        Raises:
            FileError: some call can never be made.
        """
        while self.waiting:
            rest: list[tuple[str, list[Any]]] = []
            moved = False
            for name, nodes in self.waiting:
                while nodes:
                    try:
                        self._call(name, nodes[0])
                    except _NotYet:
                        break
                    nodes.pop(0)
                    moved = True
                if nodes:
                    rest.append((name, nodes))
            if rest and not moved:
                raise FileError(
                    "the configuration cannot be read: layers wait for each other or for layers that are not there",
                    got=", ".join(name for name, _ in rest[:8]),
                )
            self.waiting = rest

    def _call(self, name: str, node: Any) -> None:
        if isinstance(node, Mapping):
            args = [self._resolved(arg) for arg in node.get("args", ())]
            kwargs = {key: self._resolved(value) for key, value in (node.get("kwargs") or {}).items()}
        else:
            args, kwargs = self._old_arguments(node)
        layer = self.made[name]
        for key in ("mask", "training", "initial_state", "constants"):
            if key in kwargs and kwargs[key] is None:
                del kwargs[key]
        if kwargs.get("training") is False and not isinstance(layer, Model):
            del kwargs["training"]  # Keras notes it for every call; the model's own mode decides
        outputs = layer(*args, **kwargs)
        flat = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, SymbolicTensor)]
        self.outputs[name].append(flat)

    def tensor(self, name: Any, index: Any, position: Any) -> SymbolicTensor:
        """The output `position` of the call `index` of a layer."""
        if name not in self.made:
            raise FileError(f"the configuration names a layer {name!r} that is not there")
        calls = self.outputs[name]
        if not isinstance(index, int) or not isinstance(position, int) or index < 0 or position < 0:
            raise FileError("the configuration is damaged", where=f"a call of layer {name!r}", got=f"{index!r}")
        if index >= len(calls):
            raise _NotYet
        if position >= len(calls[index]):
            raise FileError(f"layer {name!r} has no output {position}", got=f"{len(calls[index])} outputs")
        return calls[index][position]

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
            return self.tensor(*value["config"]["keras_history"])
        if isinstance(value, Mapping) and "class_name" not in value:
            return {key: self._resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            items = [self._resolved(item) for item in value]
            return tuple(items) if any(isinstance(item, slice) or item is Ellipsis for item in items) else items
        return _object(value)

    def _old_index(self, name: Any, index: Any) -> Any:
        """Nested models counted their own creation as a call."""
        nested = isinstance(self.made.get(name), Model)
        return index - 1 if nested and isinstance(index, int) and index > 0 else index

    def _old_arguments(self, node: Any) -> tuple[list[Any], dict[str, Any]]:
        self.old = True
        tensors, kwargs = [], {}
        entries = [node] if node and isinstance(node[0], str) else node
        for entry in entries:
            tensors.append(self.tensor(entry[0], self._old_index(entry[0], entry[1]), entry[2]))
            if len(entry) > 3 and isinstance(entry[3], Mapping):
                kwargs.update({key: self._old_value(value) for key, value in entry[3].items()})
        return [tensors[0] if len(tensors) == 1 else tensors], kwargs

    def _old_value(self, value: Any) -> Any:
        place = isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and value[0] in self.made
        if place:
            return self.tensor(value[0], self._old_index(value[0], value[1]), value[2])
        return [self._old_value(item) for item in value] if isinstance(value, list) else value

    def ends(self, structure: Any, what: str) -> Any:
        """Tensors for `input_layers` and `output_layers`."""
        if isinstance(structure, Mapping):
            return {key: self.ends(value, what) for key, value in structure.items()}
        if not isinstance(structure, (list, tuple)):
            raise FileError(f"the configuration's {what} cannot be read", got=repr(structure)[:200])
        if len(structure) == 3 and isinstance(structure[0], str):
            name, index, position = structure
            if self.old:
                index = self._old_index(name, index)
            elif isinstance(self.made.get(name), Functional):
                index -= 1
            return self.made_tensor(name, index, position, what)
        return [self.ends(item, what) for item in structure]

    def made_tensor(self, name: Any, index: Any, position: Any, what: str = "losses") -> SymbolicTensor:
        """`tensor`, when all calls were made."""
        try:
            return self.tensor(name, index, position)
        except _NotYet:
            raise FileError(f"the configuration's {what} name a call that is not there", got=repr(name)) from None


def functional_from_config(cls: type[Model], config: Mapping[str, Any]) -> Model:
    """A functional model from its configuration.

    Raises:
        FileError: the configuration is damaged.
    """
    missing = [key for key in ("layers", "input_layers", "output_layers") if key not in config]
    if missing or not isinstance(config["layers"], list):
        raise FileError("the configuration of a model is not complete", got=f"no {', '.join(missing) or 'layers'}")
    reader = _Reader(config["layers"])
    reader.run()
    inputs = reader.ends(config["input_layers"], "inputs")
    outputs = reader.ends(config["output_layers"], "outputs")
    if reader.old:  # Keras 2: one tensor stands for itself
        inputs = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else inputs
        outputs = outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs
    known = ("layers", "input_layers", "output_layers", "name", "trainable", "dtype")
    rest = {key: value for key, value in config.items() if key not in known}
    if cls in (Model, Functional):
        rest = {}
    model = cls(inputs=inputs, outputs=outputs, name=config.get("name"), **rest)
    if config.get("trainable") is False:
        model.trainable = False
    if not isinstance(model, Model):
        raise InvalidArgumentError(f"{cls.__name__}(inputs=..., outputs=...) made no model")
    if reader.losses:
        model.add_loss([reader.made_tensor(*place) for place in reader.losses])
    return model
