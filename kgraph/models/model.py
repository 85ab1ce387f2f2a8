"""`Model`: layers grouped into one that can be trained.

Three ways to make one: from the tensors of a functional graph, `Sequential`, or a subclass with `call`.  Training
itself is `kgraph.trainer`; the methods here hand over to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from difflib import get_close_matches
from typing import Any

import numpy as np

from kgraph.core import tree
from kgraph.core.input_layer import Input
from kgraph.core.layer import Layer, tree_of_shapes
from kgraph.core.operation import Operation
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.trace import Trace, eager_scope
from kgraph.errors import (
    InvalidArgumentError,
    KGraphError,
    LayerAttributeError,
    NotBuiltError,
    ShapeError,
    UnsupportedError,
)
from kgraph.models.graph import FunctionGraph
from kgraph.models.training import TrainingMethods

__all__ = ["Functional", "Model"]


class MissingLayerError(InvalidArgumentError):
    """No layer of a model has the name or index asked for."""


def _is_functional_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    given = {"inputs", "outputs", "input", "output"} & set(kwargs)
    return len(args) >= 2 or (len(args) == 1 and bool({"outputs", "output"} & set(kwargs))) or len(given) == 2


class Model(TrainingMethods, Layer):
    """A group of layers with training and inference.

    Args:
        inputs: symbolic tensors of `Input` (or from the middle of another model): one, or a list, tuple or dict of
            them.
        outputs: symbolic tensors that depend on them.
        name: automatic when not given.
        trainable: whether training changes the weights.

    Example:
        >>> x = Input((784,))
        >>> model = Model(x, layers.Dense(10, activation="softmax")(x))

    A subclass calls `super().__init__()` and defines `call(self, inputs)`.
    """

    def __new__(cls: type[Model], *args: Any, **kwargs: Any) -> Any:
        """`Model(inputs, outputs)` makes a `Functional`."""
        if cls is Model and _is_functional_call(args, kwargs):
            return Layer.__new__(Functional, *args, **kwargs)
        return Layer.__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        functional = _is_functional_call(args, kwargs)
        inputs = outputs = None
        if functional:
            keywords = {"inputs": kwargs.pop("inputs", kwargs.pop("input", None))}
            keywords["outputs"] = kwargs.pop("outputs", kwargs.pop("output", None))
            inputs = args[0] if args else keywords["inputs"]
            outputs = args[1] if len(args) > 1 else keywords["outputs"]
            if len(args) > 2:
                kwargs.setdefault("name", args[2])
        elif args:
            raise InvalidArgumentError("Model takes inputs and outputs, or neither", got=repr(args))
        trainable = kwargs.pop("trainable", True)
        super().__init__(**kwargs)
        self._graph: FunctionGraph | None = None
        self._symbolic: tuple[Any, Any] | None = None
        self._symbolic_losses: list[SymbolicTensor] = []
        self.supports_masking = True
        self._init_training()
        if functional:
            self._set_graph(FunctionGraph(inputs, outputs, self.name))
        if not trainable:
            self.trainable = False

    def _set_graph(self, graph: FunctionGraph | None) -> None:
        self._graph = graph
        if graph is not None:
            self._symbolic = (graph.inputs_struct, graph.outputs_struct)
            self.built = True

    # -- structure ------------------------------------------------------------------------------------------------
    def _sublayers(self) -> list[Layer]:
        found = super()._sublayers()
        graph = self.__dict__.get("_graph")
        if graph is None:
            return found
        own = graph.layers
        known = {id(layer) for layer in own}
        return [*own, *(layer for layer in found if id(layer) not in known)]

    @property
    def layers(self) -> list[Layer]:
        """The layers: of a functional model in order of depth, else as they were set."""
        return self._sublayers()

    @property
    def operations(self) -> list[Operation]:
        """Layers and recorded operations."""
        return list(self._graph.operations) if self._graph else list(self._sublayers())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name or at this index.

        Raises:
            ValueError: there is none, or neither or both were given.
        """
        if (name is None) == (index is None):
            raise InvalidArgumentError("get_layer needs a name or an index", got=f"name={name!r}, index={index}")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise MissingLayerError(
                    f"Was asked to retrieve layer at index {index} but model only has {len(layers)} layers.",
                    where=f"model {self.name!r}",
                    needed=f"an index from {-len(layers)} to {len(layers) - 1}" if layers else "a model with layers",
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        near = get_close_matches(str(name), [layer.name for layer in layers], 1)
        raise MissingLayerError(
            f"No such layer: {name}. Existing layers are: {[layer.name for layer in layers]}.",
            where=f"model {self.name!r}",
            fix=f"did you mean {near[0]!r}?" if near else "",
        )

    def _ends(self, which: int, what: str) -> Any:
        if self._symbolic is None:
            raise LayerAttributeError(
                f"The model {self.name!r} has no defined {what}: its shapes are not known yet",
                fix="begin it with an Input, or call build(input_shape)",
            )
        return self._symbolic[which]

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The input tensors as a flat list; empty while shapes are not known."""
        return tree.flatten(self._symbolic[0]) if self._symbolic else []

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The output tensors as a flat list; empty while shapes are not known."""
        return tree.flatten(self._symbolic[1]) if self._symbolic else []

    @property
    def _inputs_struct(self) -> Any:
        return self._symbolic[0] if self._symbolic else None

    @property
    def _outputs_struct(self) -> Any:
        return self._symbolic[1] if self._symbolic else None

    @property
    def input(self) -> Any:
        """The input tensors as they were given.

        Raises:
            AttributeError: the shapes are not known yet.
        """
        return self._ends(0, "input")

    @property
    def output(self) -> Any:
        """The output tensors as they were given; errors as `input`."""
        return self._ends(1, "output")

    @property
    def input_shape(self) -> Any:
        """Shape of the input, or shapes in the structure of the inputs; errors as `input`."""
        return tree.map_structure(lambda tensor: tensor.shape, self._ends(0, "input shape"))

    @property
    def output_shape(self) -> Any:
        """Shape of the output, or shapes in the structure of the outputs; errors as `input`."""
        return tree.map_structure(lambda tensor: tensor.shape, self._ends(1, "output shape"))

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, by which dicts of data are read."""
        return [tensor.name for tensor in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs: those of the layers that make them; keys for a dict of outputs."""
        outputs = self._outputs_struct
        if isinstance(outputs, dict) and not any(tree.is_nested(value) for value in outputs.values()):
            return sorted(outputs)
        names = []
        for position, tensor in enumerate(self.outputs):
            history = tensor._keras_history
            names.append(history.operation.name if history else f"output_{position + 1}")
        return names

    # -- calling --------------------------------------------------------------------------------------------------
    def _trace_layer(self, trace: Trace) -> AbstractContextManager[None]:
        # The outermost model is left out of locations: "hidden", not "mlp/hidden".
        first = not trace.in_model
        trace.in_model = True
        return nullcontext() if first else trace.layer(self.name)

    def build(self, input_shape: Any) -> None:
        """Create the weights for an input shape, or for shapes in the structure of the inputs.

        Raises:
            NotBuiltError: the subclass's `call` cannot be traced on inputs of this shape.
        """
        if self._graph is not None:
            return
        inputs = tree_of_shapes(input_shape, _input_of_shape)
        try:
            # As a call from outside, also when the model is built while another one is traced.
            with eager_scope():
                self.built = True
                outputs = self.compute_output_spec(inputs)
        except KGraphError:
            self.built = False
            raise
        if self._symbolic is None:
            self._symbolic = (inputs, outputs)

    def _maybe_build(self, bound: dict[str, Any]) -> None:
        self.built = True  # sub-layers build themselves in `call`

    def _call_eagerly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from kgraph.trainer.host import host_stage

        stage = host_stage(self) if args and self.built else None
        if stage is not None:
            return stage.call(list(stage.apply(args[0]).values()), **kwargs)
        return super()._call_eagerly(args, kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the recorded nodes on `inputs`."""
        if self._graph is None:
            raise UnsupportedError(
                f"Model {type(self).__name__} does not have a `call()` method implemented.",
                needed="what the model computes",
                fix="define call(self, inputs) in its class, or make it from tensors: Model(inputs, outputs)",
            )
        return self._run(self._matched(inputs, mask))

    def _matched(self, inputs: Any, mask: Any = None) -> list[Any]:
        """The given tensors in the order of the model's inputs, with their types and ranks.

        Raises:
            ShapeError: another number of tensors, or a shape that does not fit.
        """
        assert self._graph is not None
        wanted = self._graph.inputs
        if isinstance(inputs, dict) and not isinstance(self._graph.inputs_struct, dict):
            missing = [tensor.name for tensor in wanted if tensor.name not in inputs]
            if missing:
                raise ShapeError(
                    f"model {self.name!r} was called without input {missing[0]!r}", got=", ".join(map(str, inputs))
                )
            given = [inputs[tensor.name] for tensor in wanted]
        else:
            given = tree.flatten(inputs)
        if len(given) != len(wanted):
            raise ShapeError(
                f"Layer {self.name!r} expected {len(wanted)} input(s). Received {len(given)} instead.",
                needed=", ".join(f"{tensor.name} {tensor.shape}" for tensor in wanted),
            )
        masks = tree.flatten(mask) if mask is not None else [None] * len(given)
        matched = [self._fitted(value, tensor) for value, tensor in zip(given, wanted)]
        for position, (tensor, one) in enumerate(zip(matched, masks)):
            if one is not None and tensor._keras_mask is None:
                matched[position] = (
                    type(tensor)(tensor.value, tensor.trace) if isinstance(tensor, TracedTensor) else tensor
                )
                matched[position]._keras_mask = one
        return matched

    def _fitted(self, value: Any, wanted: SymbolicTensor) -> Any:
        from kgraph import ops

        if isinstance(value, SymbolicTensor):
            return value
        tensor = ops.convert_to_tensor(value)
        kept = tensor._keras_mask
        have, need = tensor.shape, wanted.shape
        if len(have) == len(need) - 1 and need[-1] == 1:
            tensor = ops.expand_dims(tensor, -1)
        elif len(have) == len(need) + 1 and have[-1] == 1:
            tensor = ops.squeeze(tensor, -1)
        have = tensor.shape
        if len(have) != len(need) or any(a != b for a, b in zip(have[1:], need[1:]) if a is not None and b is not None):
            raise ShapeError(
                f"input {wanted.name!r} of model {self.name!r} has another shape",
                got=str(have),
                needed=f"{need}, as the model was made",
            )
        tensor = ops.cast(tensor, wanted.dtype)
        if kept is not None and tensor._keras_mask is None:
            tensor._keras_mask = kept
        return tensor

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the outputs carry the masks of the layers that made them."""
        return None

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to the loss: a value inside `call`, or a tensor that depends on the model's inputs.

        Raises:
            GraphDisconnectedError: the tensor depends on something else.
        """
        terms = loss if isinstance(loss, (list, tuple)) else [loss]
        symbolic = [term for term in terms if isinstance(term, SymbolicTensor)]
        if symbolic:
            if self._symbolic is None:
                raise NotBuiltError(
                    f"model {self.name!r} has no inputs yet that a loss could depend on",
                    fix="begin it with an Input, or call add_loss inside call()",
                )
            losses = [*self._symbolic_losses, *symbolic]
            inputs, outputs = self._symbolic
            self._graph = FunctionGraph(inputs, (outputs, losses), self.name)
            self._symbolic_losses = losses
        rest = [term for term in terms if not isinstance(term, SymbolicTensor)]
        if rest:
            super().add_loss(rest)

    def _run(self, inputs: list[Any]) -> Any:
        """Run the graph; losses that were added to it go to the trace."""
        assert self._graph is not None
        if not self._symbolic_losses:
            return self._graph.run(inputs)
        outputs, losses = self._graph.run(inputs)
        super().add_loss(losses)
        return outputs

    def reset_state(self) -> None:
        """Set the kept states of all stateful recurrent layers to zeros."""
        for layer in self._flatten_layers():
            if layer is not self and hasattr(layer, "reset_state"):
                layer.reset_state()

    reset_states = reset_state  # Keras 2

    # -- information ----------------------------------------------------------------------------------------------
    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters.

        Args:
            line_length: greatest width in characters.
            print_fn: takes the text; `print` by default.
            expand_nested: show the layers of nested models too.
            show_trainable: add a column.
            layer_range: names of the first and the last layer to show.
        """
        from kgraph.models.summary import summary_text

        text = summary_text(self, line_length, expand_nested, show_trainable, layer_range)
        (print_fn or print)(text)

    def count_params(self) -> int:
        """Number of elements of all weights.

        Raises:
            NotBuiltError: the model has layers without weights yet.
        """
        if not self.built and not self.weights:
            raise NotBuiltError(
                f"You tried to call `count_params` on model {self.name!r}, but the model isn't built.",
                fix="begin it with an Input, or call build(input_shape)",
            )
        return super().count_params()

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of the values of `weights`.

        Raises:
            NotBuiltError: the model is not built.
        """
        if not self.built and not self.weights:
            raise NotBuiltError(
                f"model {self.name!r} has no weights yet", fix="begin it with an Input, or call build(input_shape)"
            )
        return super().get_weights()

    # -- configuration and files ----------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """The configuration: layers and calls of a functional model, else the constructor's arguments.

        Raises:
            UnsupportedError: a subclass takes arguments that are no plain values, and does not override this.
        """
        from kgraph.saving.graphs import functional_config, is_functional

        if is_functional(self):
            return functional_config(self)
        base: dict[str, Any] = {"name": self.name, "trainable": self.trainable, "dtype": self._policy.name}
        overridden = type(self).get_config is not Model.get_config
        return base if overridden else self._automatic_config(base)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A new model from `get_config()`, with new weights.

        Raises:
            UnknownNameError: a layer's class is not known; the message names `custom_objects`.
        """
        from kgraph.saving.graphs import functional_from_config
        from kgraph.saving.objects import custom_object_scope

        with custom_object_scope(custom_objects):
            if cls is Model or issubclass(cls, Functional) or {"layers", "input_layers"} <= set(config):
                return functional_from_config(cls, config)
            return cls(**config)

    def get_build_config(self) -> dict[str, Any] | None:
        """The input shape that the model was built with; nothing when its graph says it."""
        return None if self._graph is not None or not self.built else super().get_build_config()

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, described; empty before."""
        from kgraph.saving.compiling import compile_config

        return compile_config(self)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` says."""
        from kgraph.saving.compiling import compile_from_config

        compile_from_config(self, config)

    def to_json(self, **kwargs: Any) -> str:
        """The configuration as JSON; `kwargs` go to `json.dumps`.  See `models.model_from_json`."""
        from kgraph.saving.files import model_to_json

        return model_to_json(self, **kwargs)

    def save(self, filepath: Any, overwrite: bool = True, include_optimizer: bool = True, **kwargs: Any) -> None:
        """Write model, weights and state of training to a `.keras` (or `.h5`) file; see `saving.save_model`.

        Raises:
            InvalidArgumentError: the end of the name is no format, or the file exists and `overwrite` is False.
        """
        from kgraph.saving.files import save_model

        save_model(self, filepath, overwrite, include_optimizer, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Write the weights to a `.weights.h5` file in the layout of Keras 3; the file appears whole or not at all.

        Raises:
            ValueError: the name does not end in `.weights.h5`, or the file exists and `overwrite` is False.
        """
        from kgraph.models.weights_file import save_weights

        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, by_name: bool = False, **kwargs: Any) -> None:
        """Read weights: `.weights.h5`, `.keras`, or `.h5` of Keras 2 (where `by_name` matches layers by name).

        Raises:
            ValueError: the file does not fit the model; names the layer and both shapes.
        """
        from kgraph.saving.files import load_weights

        load_weights(self, filepath, skip_mismatch, by_name, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


class Functional(Model):
    """A model made of a functional graph; what `Model(inputs, outputs)` returns."""


def _input_of_shape(shape: Sequence[Any]) -> SymbolicTensor:
    return Input(batch_shape=tuple(shape))


def clone_model(
    model: Model, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None
) -> Model:
    """The same architecture with new layers and new weights.

    Args:
        model: a functional or sequential model.
        input_tensors: tensors to build on; new inputs by default.
        clone_function: layer -> new layer; by its configuration by default.

    Raises:
        UnsupportedError: a subclassed model.
    """
    from kgraph.models.sequential import Sequential

    def copy(layer: Any) -> Any:
        if isinstance(layer, Model):
            return clone_model(layer, None, clone_function)
        if clone_function is not None:
            return clone_function(layer)
        return type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        twins = [copy(layer) for layer in model.layers]
        first = [] if not model.inputs else [Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)]
        return Sequential([*first, *twins], name=model.name)
    graph = model._graph
    if graph is None:
        raise UnsupportedError("a subclassed model cannot be cloned", fix="make a new object of its class")
    made: dict[int, Any] = {}

    def twin(operation: Operation) -> Any:
        if not isinstance(operation, Layer):
            return operation
        if id(operation) not in made:
            made[id(operation)] = copy(operation)
        return made[id(operation)]

    if input_tensors is None:
        input_tensors = [Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in graph.inputs]
    flat = tree.flatten(input_tensors)
    outputs = graph.run(flat, twin)
    if model._symbolic_losses:
        outputs, losses = outputs
    inputs = tree.pack_like(graph.inputs_struct, flat)
    new = Model(inputs, outputs, name=model.name)
    if model._symbolic_losses:
        new.add_loss(losses)
    return new
