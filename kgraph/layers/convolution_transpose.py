"""Transposed convolutions: each input cell spreads a kernel over the output."""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import add_weight, normal_tuple, positive, set_weight_settings, weight_config
from kgraph.layers.convolutional import _Convolution
from kgraph.layers.reshaping import channels_last

__all__ = ["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"]


class _ConvTranspose(_Convolution):
    """What the three share; weights [kernel (*window, filters, channels), bias]."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        bias = (use_bias, bias_initializer, bias_regularizer, bias_constraint)
        super().__init__(window, activation, bias, activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive(self, "filters", filters)
        self.output_padding = (
            None
            if output_padding is None
            else normal_tuple(self, "output_padding", output_padding, self.rank, zero=True)
        )
        if self.output_padding and any(more >= step for more, step in zip(self.output_padding, self.strides)):
            raise InvalidArgumentError(
                f"{type(self).__name__}: argument `output_padding` is {self.output_padding}",
                needed=f"less than the strides {self.strides}",
                where=self.name,
            )
        set_weight_settings(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def _check_window(self, input_shape: Any) -> None:
        """Any input is large enough."""

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        channels = self._channels(input_shape)
        self.kernel = add_weight(self, "kernel", (*self.kernel_size, self.filters, channels))
        if self.use_bias:
            self.bias = add_weight(self, "bias", (self.filters,))

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        y = ops.conv_transpose(
            channels_last(inputs, self.data_format),
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            "channels_last",
            self.dilation_rate,
        )
        return self._finish(y)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"filters": self.filters, "output_padding": self.output_padding}
        return {**super().get_config(), **own, **weight_config(self, "kernel")}


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution over steps.  x: f32[B, T, C] -> f32[B, T', filters]; see `Conv2DTranspose`."""

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution over an image.  x: f32[B, H, W, C] -> f32[B, H', W', filters].

    The output has n·s + max(k - s, 0) cells along an axis for "valid", n·s for "same".

    Args:
        filters: number of output channels.
        kernel_size, strides, dilation_rate: an integer or a pair.
        padding: "valid" or "same".
        output_padding: cells added at the end of the output, fewer than the stride; None for the usual length.
        data_format: "channels_last" or "channels_first".
        activation: name or function; None is linear.
        use_bias: whether to add a bias per filter.
    """


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution over a volume.  x: f32[B, D, H, W, C] -> f32[B, D', H', W', filters]."""

    rank = 3
