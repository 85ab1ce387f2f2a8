"""`Pipeline`: layers one after another, as one layer that is no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph.core import Layer
from kgraph.core.call_spec import signature_of
from kgraph.core.dispatch import has_symbolic
from kgraph.core.trace import current_trace
from kgraph.errors import InvalidArgumentError

__all__ = ["Pipeline"]


class Pipeline(Layer):
    """Applies layers in order; unlike a `Sequential`, in training mode unless it is told otherwise.

    Args:
        layers: the layers.
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(layers, (list, tuple)) or not all(isinstance(layer, Layer) for layer in layers):
            raise InvalidArgumentError(
                "Pipeline takes a list of layers", got=repr(layers), fix="write Pipeline([first, second])"
            )
        self.layers = list(layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layers; on arrays, in training mode by default."""
        if current_trace() is None and not has_symbolic(args):
            kwargs.setdefault("training", True)
        return super().__call__(*args, **kwargs)

    def call(self, inputs: Any, training: bool | None = True, mask: Any = None) -> Any:
        """Apply the layers."""
        x = inputs
        for layer in self.layers:
            takes = signature_of(type(layer).call)
            kwargs: dict[str, Any] = {}
            if "mask" in takes.names and mask is not None:
                kwargs["mask"] = mask
            if takes.takes_training and training is not None:
                kwargs["training"] = training
            x = layer(x, **kwargs)
            mask = getattr(x, "_keras_mask", None)
        return x

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        from kgraph.saving.objects import serialize_keras_object

        return {**super().get_config(), "layers": [serialize_keras_object(layer) for layer in self.layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Pipeline:
        """A new layer from `get_config()`."""
        from kgraph.saving.objects import deserialize_keras_object

        made = [
            layer if isinstance(layer, Layer) else deserialize_keras_object(layer)
            for layer in config.get("layers") or []
        ]
        return cls(**{**config, "layers": made})
