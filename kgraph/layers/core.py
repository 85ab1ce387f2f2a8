"""Dense, Activation, Flatten and the other everyday layers that change values or form without a window."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kgraph import activations, ops
from kgraph.core import InputSpec, Layer, Variable
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import add_weight, known_size, positive, set_weight_settings, weight_config
from kgraph.registry import serialize

__all__ = ["Activation", "ActivityRegularization", "Dense", "Identity", "Lambda", "Masking", "Rescaling"]


class Dense(Layer):
    """activation(x · kernel + bias) on the last axis.  x: f32[B, ..., N] -> f32[B, ..., units].

    Args:
        units: size of the last axis of the output.
        activation: name or function; None is linear.
        use_bias: whether to add a bias.
        kernel_initializer, kernel_regularizer, kernel_constraint: of the kernel (N, units).
        bias_initializer, bias_regularizer, bias_constraint: of the bias (units,).
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        set_weight_settings(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_weight_settings(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True
        self.bias: Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        inputs = known_size(self, input_shape, -1, "the last size of the input")
        self.kernel = add_weight(self, "kernel", (inputs, self.units))
        if self.use_bias:
            self.bias = add_weight(self, "bias", (self.units,))
        self.input_spec = InputSpec(min_ndim=2, axes={-1: inputs})

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        if len(inputs.shape) == 2:
            return self.activation(self._affine(inputs))
        # One matrix product for all positions; what works on the last axis alone runs before the form comes back.
        lead = tuple(ops.shape(inputs))[:-1]
        outputs = self._affine(ops.reshape(inputs, (-1, inputs.shape[-1])))
        if activations.is_last_axis(self.activation):
            return ops.reshape(self.activation(outputs), (*lead, self.units))
        return self.activation(ops.reshape(outputs, (*lead, self.units)))

    def _affine(self, inputs: Any) -> Any:
        outputs = ops.matmul(inputs, self.kernel)
        return outputs if self.bias is None else ops.add(outputs, self.bias)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **weight_config(self, "kernel", "bias"),
        }


class Activation(Layer):
    """A function of the values, by name or as a function."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class Identity(Layer):
    """The input itself."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Return the input."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return super().get_config()


class ActivityRegularization(Layer):
    """The input itself; adds l1 · Σ|x| + l2 · Σx², divided by the batch size, to the loss."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        from kgraph import regularizers

        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Return the input."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {**config, "l1": self.l1, "l2": self.l2}


class Masking(Layer):
    """Masks the time steps whose entries all equal `mask_value`, and sets them to zero.  x: f32[B, T, ...]."""

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """bool[B, T]: the steps that count."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        """Zero the masked steps."""
        keep = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(keep, inputs, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "mask_value": self.mask_value}


class Rescaling(Layer):
    """x · scale + offset."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        outputs = ops.multiply(ops.cast(inputs, self.compute_dtype), self.scale)
        return outputs if isinstance(self.offset, (int, float)) and not self.offset else ops.add(outputs, self.offset)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class Lambda(Layer):
    """Any function of tensors, written in `kgraph.ops` or `kgraph.backend`, as a layer.

    Args:
        function: `f(inputs, **arguments)`; may also take `mask` and `training`.
        output_shape: accepted as in Keras; the shape follows from the function itself.
        mask: mask of the output, or `f(inputs, mask)`.
        arguments: keyword arguments for the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise InvalidArgumentError(
                f"Lambda: argument `function` is {function!r}", needed="a function", where=self.name
            )
        self.function, self.output_shape_argument, self.mask = function, output_shape, mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            parameters = inspect.signature(lambda: None).parameters
        self._takes = tuple(name for name in ("mask", "training") if name in parameters)

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        """Apply the function."""
        extra = dict(self.arguments)
        if "mask" in self._takes:
            extra["mask"] = mask
        if "training" in self._takes:
            extra["training"] = training
        return self.function(inputs, **extra)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask that was given, or what the given function makes of the input's."""
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer; the function itself is kept as the object it is."""
        config = super().get_config()
        own = {"function": self.function, "arguments": serialize(self.arguments)}
        if self.output_shape_argument is not None:
            own["output_shape"] = self.output_shape_argument
        if self.mask is not None:
            own["mask"] = self.mask
        return {**config, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Lambda:
        """A new layer from `get_config()`, or from a file: code in it is refused unless `safe_mode=False`."""
        from kgraph.saving.functions import function_from

        config = dict(config)
        for key in ("function", "mask", "output_shape"):
            if key in config:
                config[key] = function_from(config[key], str(config.get("name", "lambda")), key)
        return cls(**config)
