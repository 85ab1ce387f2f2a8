"""`Sequential`: layers in a row.  Each is called once, as soon as the shape of its input is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph.core.input_layer import Input, InputLayer
from kgraph.core.layer import Layer, is_shape
from kgraph.core.session import floatx
from kgraph.core.tensors import SymbolicTensor
from kgraph.core.trace import eager_scope
from kgraph.errors import InvalidArgumentError, NotBuiltError, ShapeError
from kgraph.models.graph import FunctionGraph
from kgraph.models.model import Model

__all__ = ["Sequential"]


class Sequential(Model):
    """A linear stack of layers.

    Args:
        layers: layers in order; an `Input` may come first, or the first layer has `input_shape=`.
        trainable: whether training changes the weights.
        name: automatic when not given.

    Example:
        >>> model = Sequential([Dense(32, activation="relu", input_dim=100), Dense(1, activation="sigmoid")])
        >>> model.output_shape
        (None, 1)
    """

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        if isinstance(trainable, str):  # Keras 2: (layers, name)
            trainable, name = True, trainable
        super().__init__(name=name)
        self._stack: list[Layer] = []
        self._chain: list[SymbolicTensor] = []  # the input and the outputs of the layers, while shapes are known
        if layers is not None:
            for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
                self.add(layer)
        if not trainable:
            self.trainable = False

    def _sublayers(self) -> list[Layer]:
        return list(self.__dict__.get("_stack", []))

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._stack)

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer; it is built at once when the input shape is known.

        Raises:
            InvalidArgumentError: not a layer, a name that is taken, a layer with several outputs, or an Input in the
                middle.
        """
        if isinstance(layer, SymbolicTensor):
            history = layer._keras_history
            if history is None or not isinstance(history.operation, InputLayer):
                raise InvalidArgumentError("only layers and an Input can be added to a Sequential", got=repr(layer))
            layer = history.operation
        if callable(layer) and not isinstance(layer, Layer) and not isinstance(layer, type):
            from kgraph.layers.core import Lambda

            layer = Lambda(layer)
        if not isinstance(layer, Layer):
            raise InvalidArgumentError(
                "Only instances of `Layer` can be added to a Sequential model.",
                got=f"{layer!r} ({type(layer).__name__})",
                fix=f"write {layer.__name__}(...)" if isinstance(layer, type) else "",
            )
        if isinstance(layer, InputLayer):
            self._add_input(layer)
            return
        if any(one.name == layer.name for one in self._stack):
            raise InvalidArgumentError(
                f"All layers added to a Sequential model should have unique names. Name {layer.name!r} is "
                f"already the name of a "
                "layer in this model.",
                fix="give the layer another name with name=",
            )
        if not self._stack and not self._chain:
            shape, dtype = _shape_asked(layer)
            if shape is not None:
                self._chain = [Input(batch_shape=shape, dtype=dtype, name=f"{layer.name}_input")]
        if self._chain:
            self._chain.append(self._called(layer, self._chain[-1]))
        self._stack.append(layer)
        self._changed()

    def _add_input(self, layer: InputLayer) -> None:
        if self._stack or self._chain:
            raise InvalidArgumentError(
                f"Sequential model {self.name!r} has already been configured to use input shape "
                f"{self._chain[0].shape if self._chain else None}. You cannot add a different Input layer to it."
            )
        self._chain = [layer._inbound_nodes[0].output_tensors[0]]
        self._changed()

    def _called(self, layer: Layer, tensor: SymbolicTensor) -> SymbolicTensor:
        with eager_scope():
            output = layer(tensor)
        if not isinstance(output, SymbolicTensor):
            raise InvalidArgumentError(
                f"all layers of a Sequential model need one output tensor; {layer.name!r} returned "
                f"{type(output).__name__}",
                fix="use the functional interface: Model(inputs, outputs)",
            )
        return output

    def _changed(self) -> None:
        """Shapes, layers or their order are new: the graph follows when it is next asked for."""
        self._graph = None
        self._symbolic_losses = []  # they belonged to outputs that are no longer the last
        if self._chain:
            self._symbolic = (self._chain[0], self._chain[-1])
            self.built = bool(self._stack)
        else:
            self._symbolic = None
            self.built = False

    def _function_graph(self) -> FunctionGraph:
        if self._graph is None:
            self._graph = FunctionGraph(self._chain[0], self._chain[-1], self.name)
        return self._graph

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it.

        Raises:
            InvalidArgumentError: there is none.
        """
        if not self._stack:
            raise InvalidArgumentError(f"There are no layers in the model {self.name!r}.")
        layer = self._stack.pop()
        if self._chain:
            self._chain.pop()
        if not self._stack and self._chain and self._chain[0].name == f"{layer.name}_input":
            self._chain = []
        self._changed()
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Create the weights for an input shape (with batch).

        Raises:
            NotBuiltError: the model has no layers, or no shape was given.
            ShapeError: not one shape.
        """
        if self._chain:
            return
        if input_shape is None or not self._stack:
            raise NotBuiltError(
                f"Sequential model {self.name!r} cannot be built: "
                + ("it has no layers" if not self._stack else "no shape is given"),
                fix="begin it with an Input, or call build((None, ...))"
                if self._stack
                else "call model.add(...) first",
            )
        if not is_shape(input_shape):
            raise ShapeError(f"Sequential model {self.name!r} takes one input", got=repr(input_shape))
        with eager_scope():
            dtype = getattr(self._stack[0], "host_input_dtype", None) or _first_dtype(self._stack[0])
            chain = [
                Input(batch_shape=(None, *tuple(input_shape)[1:]), dtype=dtype, name=f"{self._stack[0].name}_input")
            ]
        for layer in self._stack:
            chain.append(self._called(layer, chain[-1]))
        self._chain = chain
        self._changed()

    def _maybe_build(self, bound: dict[str, Any]) -> None:
        inputs = bound.get("inputs")
        if inputs is None or not hasattr(inputs, "shape"):
            raise ShapeError(f"Sequential model {self.name!r} takes one input", got=type(inputs).__name__)
        self.build(inputs.shape)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Apply the layers in order."""
        return self._run(self._matched(inputs, mask))

    def _matched(self, inputs: Any, mask: Any = None) -> list[Any]:
        self._function_graph()
        return super()._matched(inputs, mask)

    @property
    def input_names(self) -> list[str]:
        """Name of the input."""
        return [self._chain[0].name] if self._chain else []

    def get_config(self) -> dict[str, Any]:
        """The configuration: the input, when it is known, and the layers."""
        from kgraph.saving.graphs import sequential_config

        return sequential_config(self)

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Sequential:
        """A new model from `get_config()`, or from the list of layers that Keras 2 wrote."""
        from kgraph.saving.graphs import sequential_from_config
        from kgraph.saving.objects import custom_object_scope

        with custom_object_scope(custom_objects):
            return sequential_from_config(cls, config)

    def __len__(self) -> int:
        return len(self._stack)

    def __bool__(self) -> bool:
        return True


def _first_dtype(layer: Layer) -> str:
    """The type of a first layer's input: whole numbers for an Embedding, floats for most."""
    return layer._input_dtype() if type(layer)._input_dtype is not Layer._input_dtype else floatx()


def _shape_asked(layer: Any) -> tuple[Sequence[int | None] | None, str | None]:
    """The input shape a first layer brings along: `input_shape=`, or that of a model."""
    if layer._batch_input_shape is not None:
        return layer._batch_input_shape, _first_dtype(layer)
    if isinstance(layer, Model) and len(layer.inputs) == 1:
        return layer.inputs[0].shape, layer.inputs[0].dtype
    wrapped = getattr(layer, "layer", None)
    if isinstance(wrapped, Layer) and wrapped._batch_input_shape is not None and layer._batch_input_shape is None:
        return wrapped._batch_input_shape if type(layer).__name__ == "Bidirectional" else None, None
    return None, None
