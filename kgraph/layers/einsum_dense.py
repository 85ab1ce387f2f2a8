"""EinsumDense: a product of the input with a kernel, as an einsum equation says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph import activations, ops
from kgraph.core import InputSpec, Layer, Variable
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.initializers import VarianceScaling
from kgraph.layers.common import add_weight, set_weight_settings, weight_config

__all__ = ["EinsumDense"]


class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias).

    Args:
        equation: of the forms "ab,bc->ac", "...b,bc->...c" or "ab...,bc->ac..."; labels of the kernel must occur in
            the input or in the output.
        output_shape: sizes of the output without the batch, None for those that the input gives.
        activation: name or function; None is linear.
        bias_axes: labels of the output that the bias has; None for no bias.
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        for name in ("lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size"):
            if kwargs.pop(name, None) is not None:
                raise InvalidArgumentError(f"EinsumDense: argument `{name}` is not supported")
        super().__init__(**kwargs)
        self.equation = equation
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        set_weight_settings(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_weight_settings(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.bias: Variable | None = None

    def _parts(self) -> tuple[str, str, str, str]:
        """Labels of input, kernel and output, and where "..." stands: "", "left" or "right"."""
        text = self.equation.replace(" ", "")
        left, _, output = text.partition("->")
        given, _, kernel = left.partition(",")
        place = "left" if given.startswith("...") else "right" if given.endswith("...") else ""
        agree = output.startswith("...") if place == "left" else output.endswith("...") if place else True
        given, output = given.replace("...", ""), output.replace("...", "")
        if not agree or not all(part.isalpha() for part in (given, kernel, output)):
            raise InvalidArgumentError(
                f"EinsumDense: argument `equation` is {self.equation!r}",
                needed="[X],[Y]->[Z], ...[X],[Y]->...[Z] or [X]...,[Y]->[Z]...",
                where=self.name,
            )
        return given, kernel, output, place

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias, of the sizes that equation and shapes give."""
        given, kernel, output, place = self._parts()
        shape = tuple(input_shape)
        elided = len(shape) - len(given)
        if elided < 0 or (elided and not place):
            raise ShapeError(
                f"EinsumDense {self.name!r}: the equation {self.equation!r} does not fit the input",
                got=f"input shape {shape}",
            )
        result: list[Any] = [shape[0], *self.partial_output_shape]
        if place == "left":
            result[1:1] = shape[1:elided] if elided else ()
        elif elided:
            result += shape[len(shape) - elided :]
        before = elided if place == "left" else 0
        of_input = dict(zip(given, shape[before : before + len(given)]))
        of_output = dict(zip(output, result[before : before + len(output)]))
        for label, size in of_input.items():
            if of_output.get(label) not in (None, size):
                raise ShapeError(
                    f"EinsumDense {self.name!r}: label {label!r} has size {size} in the input",
                    got=f"{of_output[label]} in argument `output_shape` {self.partial_output_shape}",
                )
        sizes = []
        for label in kernel:
            size = of_output.get(label) if of_output.get(label) is not None else of_input.get(label)
            if size is None:
                raise ShapeError(
                    f"EinsumDense {self.name!r}: the size of label {label!r} of the kernel is not known",
                    got=f"input shape {shape}, equation {self.equation!r}",
                    fix="name it in the input or output, and give its size in `output_shape`",
                )
            sizes.append(size)
        self.kernel = add_weight(self, "kernel", sizes, initializer=self._initializer(kernel, output, sizes))
        if self.bias_axes is not None:
            self._make_bias(output, of_output, elided if place == "right" else 0)
        self.input_spec = InputSpec(ndim=len(shape))

    def _initializer(self, kernel: str, output: str, sizes: Sequence[int]) -> Any:
        """The kernel's initializer; one that scales by fans is told which axes are which."""
        chosen = getattr(self, "kernel_initializer")  # noqa: B009  (set by set_weight_settings)
        if not isinstance(chosen, VarianceScaling):
            return chosen
        inputs = [size for label, size in zip(kernel, sizes) if label not in output]
        outputs = [size for label, size in zip(kernel, sizes) if label in output]

        def by_fans(shape: Any, dtype: Any = None) -> Any:
            fan_in, fan_out = 1, 1
            for size in inputs:
                fan_in *= size
            for size in outputs:
                fan_out *= size
            return ops.reshape(chosen((fan_in, fan_out), dtype=dtype), tuple(shape))

        return by_fans

    def _make_bias(self, output: str, sizes: dict[str, Any], elided: int) -> None:
        axes = self.bias_axes or ""
        if any(label not in output for label in axes):
            raise InvalidArgumentError(
                f"EinsumDense: argument `bias_axes` is {axes!r}", needed=f"labels of the output {output!r}"
            )
        first = min((output.index(label) for label in axes), default=len(output))
        shape = [sizes[label] if label in axes else 1 for label in output[first:]] + [1] * elided
        if None in shape:
            raise ShapeError(f"EinsumDense {self.name!r}: the bias would have an unknown size", got=str(shape))
        self.bias = add_weight(self, "bias", shape)

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        y = ops.einsum(self.equation, inputs, self.kernel)
        return self.activation(y if self.bias is None else ops.add(y, self.bias))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "equation": self.equation,
            "output_shape": self.partial_output_shape,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            **weight_config(self, "kernel", "bias"),
        }
