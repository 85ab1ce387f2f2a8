"""Activations that are layers because they have arguments or weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph import activations, ops
from kgraph.core import InputSpec, Layer
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import add_weight, known_size, set_weight_settings, weight_config

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"]


class ReLU(Layer):
    """max(x, 0) with a cap, a slope below and a threshold; see `activations.relu`."""

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for argument, value in (
            ("max_value", max_value or 0.0),
            ("negative_slope", negative_slope),
            ("threshold", threshold),
        ):
            if value is None or value < 0.0:
                raise InvalidArgumentError(
                    f"ReLU: argument `{argument}` is {value!r}", needed="0 or more", where=self.name
                )
        self.max_value, self.negative_slope, self.threshold = max_value, float(negative_slope), float(threshold)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"max_value": self.max_value, "negative_slope": self.negative_slope, "threshold": self.threshold}
        return {**super().get_config(), **own}


class ThresholdedReLU(Layer):
    """x where x > theta, 0 elsewhere (Keras 2)."""

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = float(theta)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        return activations.threshold(inputs, self.theta, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "theta": self.theta}


class LeakyReLU(Layer):
    """x for x > 0, negative_slope · x below; the slope is 0.3 unless given (`alpha` in Keras 2)."""

    def __init__(self, negative_slope: float | None = 0.3, alpha: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        slope = negative_slope if alpha is None else alpha
        if slope is None or slope < 0:
            raise InvalidArgumentError(
                f"LeakyReLU: argument `negative_slope` is {slope!r}", needed="0 or more", where=self.name
            )
        self.negative_slope = float(slope)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(Layer):
    """x for x > 0, alpha · (e^x - 1) below."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "alpha": self.alpha}


class PReLU(Layer):
    """x for x > 0, alpha · x below, with a learned alpha per position (He et al. 2015).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of alpha, whose shape is that of one sample.
        shared_axes: axes (from 1) along which one alpha serves all.
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_weight_settings(self, "alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or []) or None
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make alpha."""
        shared = self.shared_axes or []
        shape = [
            1 if axis in shared else known_size(self, input_shape, axis, f"the size of axis {axis}")
            for axis in range(1, len(input_shape))
        ]
        self.alpha = add_weight(self, "alpha", shape)
        axes = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        return ops.relu(inputs) - ops.multiply(self.alpha, ops.relu(-inputs))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), **weight_config(self, "alpha"), "shared_axes": self.shared_axes}


class Softmax(Layer):
    """e^x / Σ e^x over `axis`; entries off the mask become 0."""

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Apply the function."""
        # A mask of time steps says nothing about the classes of a step; it is handed on.
        if mask is None or len(mask.shape) == len(inputs.shape) - 1:
            return activations.softmax(inputs, self.axis)
        mask = ops.cast(mask, "bool")
        return ops.where(mask, activations.softmax(ops.where(mask, inputs, -1e9), self.axis), 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "axis": self.axis}
