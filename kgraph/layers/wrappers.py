"""Layers around a layer: `TimeDistributed` and `Bidirectional`."""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.core import Layer, tree
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.normalization import BatchNormalization
from kgraph.registry import serialize

__all__ = ["Bidirectional", "TimeDistributed", "Wrapper"]


class Wrapper(Layer):
    """A layer around one other layer, kept as `layer`."""

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise InvalidArgumentError(
                f"{type(self).__name__}: argument `layer` is {layer!r}", needed="a layer or a model"
            )
        super().__init__(**kwargs)
        self.layer = layer

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Wrapper:
        """A new layer from `get_config()`."""
        from kgraph.layers import deserialize

        config = dict(config)
        for key in ("layer", "backward_layer"):
            if isinstance(config.get(key), dict):
                config[key] = deserialize(config[key])
        return cls(**config)


class TimeDistributed(Wrapper):
    """A layer or model applied to every step.  x: [B, T, ...] -> [B, T, ...].

    Steps and batch become one axis, so that the layer sees one large batch (batch statistics go over both).
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Check the rank; the layer inside builds itself when it is called."""
        shapes = input_shape if isinstance(input_shape[0], (list, tuple)) else [input_shape]
        for shape in shapes:
            if len(shape) < 3:
                raise ShapeError(
                    f"TimeDistributed {self.name!r} needs inputs with an axis for the steps",
                    got=f"input shape {tuple(shape)}",
                    needed="(batch, steps, ...), rank 3 or more",
                )

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Apply the layer to all steps at once."""
        first = tree.flatten(inputs)[0]
        batch, steps = tuple(ops.shape(first))[:2]

        def merge(x: Any) -> Any:
            return ops.reshape(x, (batch * steps, *tuple(ops.shape(x))[2:]))

        def separate(y: Any) -> Any:
            return ops.reshape(y, (batch, steps, *tuple(ops.shape(y))[1:]))

        rows = tree.map_structure(merge, inputs)
        if mask is not None and not isinstance(mask, (list, tuple)):
            # A mask per step says which rows count; only some layers ask for it.
            if len(mask.shape) > 2 or isinstance(self.layer, BatchNormalization):
                rows._keras_mask = merge(mask)
        return tree.map_structure(separate, self.layer(rows, training=training))


class Bidirectional(Wrapper):
    """A recurrent layer walked forwards and a copy of it walked backwards, the outputs put together.

    Args:
        layer: a recurrent layer.
        merge_mode: "concat", "sum", "mul", "ave", or None for both outputs apart.
        weights: weights of the forward layer, then of the backward layer.
        backward_layer: a layer for the other direction, instead of the copy.
    """

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Layer | None = None,
        **kwargs: Any,
    ) -> None:
        if merge_mode not in ("sum", "mul", "ave", "concat", None):
            raise InvalidArgumentError(
                f"Bidirectional: argument `merge_mode` is {merge_mode!r}", needed="sum, mul, ave, concat or None"
            )
        recurrent: Any = layer
        if not isinstance(layer, Layer) or not hasattr(layer, "go_backwards"):
            raise InvalidArgumentError(f"Bidirectional: argument `layer` is {layer!r}", needed="a recurrent layer")
        if weights is not None:
            kwargs["weights"] = weights
        Layer.__init__(self, **kwargs)
        self.forward_layer: Any = _copy(layer, "forward", recurrent.go_backwards)
        self.backward_layer: Any = backward_layer
        if backward_layer is None:
            self.backward_layer = _copy(layer, "backward", not recurrent.go_backwards)
        self._given_backward = backward_layer is not None
        if self.forward_layer.go_backwards == self.backward_layer.go_backwards:
            raise InvalidArgumentError(
                "Bidirectional: both layers walk in one direction", fix="set go_backwards in one"
            )
        for key in ("stateful", "return_sequences", "return_state"):
            if getattr(self.forward_layer, key) != getattr(self.backward_layer, key):
                raise InvalidArgumentError(f"Bidirectional: the two layers differ in `{key}`", needed="equal values")
        both: list[Any] = [self.forward_layer, self.backward_layer]
        for one in both:
            one.zero_output_for_mask = one.return_sequences
        self.merge_mode = merge_mode
        self.return_sequences, self.return_state = recurrent.return_sequences, recurrent.return_state
        self.stateful = bool(recurrent.stateful)
        self.supports_masking = True

    @property
    def layer(self) -> Any:
        """The forward layer."""
        return self.forward_layer

    @layer.setter
    def layer(self, value: Any) -> None:
        self.forward_layer = value

    def reset_state(self) -> None:
        """Set the kept states of both directions to zeros."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """Keras 2's name of `reset_state`."""
        self.reset_state()

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None) -> Any:
        """Walk both ways and put the outputs together."""
        if isinstance(sequences, (list, tuple)):
            sequences, *given = sequences
            initial_state = given or initial_state
        states: list[Any] = list(initial_state) if initial_state is not None else []
        half = len(states) // 2
        kwargs: dict[str, Any] = {"mask": mask, "training": training}
        forward = self.forward_layer(sequences, initial_state=states[:half] or None, **kwargs)
        backward = self.backward_layer(sequences, initial_state=states[half:] or None, **kwargs)
        final: tuple[Any, ...] = ()
        if self.return_state:
            (forward, *one), (backward, *two) = forward, backward
            final = (*one, *two)
        if self.return_sequences:
            backward = ops.flip(backward, axis=1)
        merged: Any
        if self.merge_mode == "concat":
            merged = ops.concatenate([forward, backward], axis=-1)
        elif self.merge_mode == "sum":
            merged = ops.add(forward, backward)
        elif self.merge_mode == "ave":
            merged = ops.add(forward, backward) / 2.0
        elif self.merge_mode == "mul":
            merged = ops.multiply(forward, backward)
        else:
            return (forward, backward, *final)
        return (merged, *final) if self.return_state else merged

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the steps, if all outputs are returned."""
        mask = previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask
        if not self.return_sequences:
            mask = None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            outputs += [None] * (2 * len(tree.flatten(self.forward_layer.cell.state_size)))
        return outputs if len(outputs) > 1 else mask

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = {**Layer.get_config(self), "layer": serialize(self.forward_layer), "merge_mode": self.merge_mode}
        if self._given_backward:
            config["backward_layer"] = serialize(self.backward_layer)
        return config


def _copy(layer: Any, direction: str, go_backwards: bool) -> Any:
    config = dict(layer.get_config())
    name = str(config["name"])
    for prefix in ("forward_", "backward_"):
        name = name.removeprefix(prefix)
    config["name"] = f"{direction}_{name}"
    config["go_backwards"] = go_backwards
    config.pop("batch_input_shape", None)
    return type(layer).from_config(config)
