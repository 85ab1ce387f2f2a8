"""Convolutions: kernels slide over the axes between batch and channels (cross-correlation, as in Keras).

All are one IR op on [B, H, W, C]; one axis is two with a size of 1, three are a sum over the depth of the kernel,
channels_first is a transpose before and after.
"""

from __future__ import annotations

from typing import Any

from kgraph import activations, ops
from kgraph.core import InputSpec, Layer, Variable
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.common import (
    add_weight,
    known_size,
    normal_data_format,
    normal_padding,
    normal_tuple,
    positive,
    set_weight_settings,
    weight_config,
)
from kgraph.layers.reshaping import channels_first, channels_last

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
]

_AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


class _Convolution(Layer):
    """What convolutions share: sizes of the window, bias and activation.

    Args:
        window: `kernel_size`, `strides`, `padding`, `data_format`, `dilation_rate`: sizes are an integer or one per
            axis; padding is "valid" or "same" (in one dimension also "causal"), whose odd cell is at the end.
        activation: name or function; None is linear.
        bias: whether there is one per filter, and its initializer, regularizer and constraint.
    """

    rank = 2
    causal = False

    def __init__(
        self,
        window: tuple[Any, Any, str, str | None, Any],
        activation: Any,
        bias: tuple[bool, Any, Any, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kernel_size, strides, padding, data_format, dilation_rate = window
        self.use_bias, *bias_settings = bias
        self.kernel_size = normal_tuple(self, "kernel_size", kernel_size, self.rank)
        self.strides = normal_tuple(self, "strides", strides, self.rank)
        self.dilation_rate = normal_tuple(self, "dilation_rate", dilation_rate, self.rank)
        self.padding = normal_padding(self, padding, causal=self.causal)
        self.data_format = normal_data_format(self, data_format)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise InvalidArgumentError(
                f"{type(self).__name__}: strides and dilation cannot both be more than 1",
                got=f"strides={self.strides}, dilation_rate={self.dilation_rate}",
                where=self.name,
            )
        self.activation = activations.get(activation)
        set_weight_settings(self, "bias", *bias_settings)
        self.bias: Variable | None = None
        self.input_spec = InputSpec(min_ndim=self.rank + 2)

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, input_shape: Any) -> int:
        if len(input_shape) != self.rank + 2:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs an input of rank {self.rank + 2}",
                got=f"shape {tuple(input_shape)}",
                needed=f"(batch, {_AXES[self.rank]}, channels)",
            )
        channels = known_size(self, input_shape, self._channel_axis, "the number of channels")
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self._channel_axis: channels})
        self._check_window(input_shape)
        return channels

    def _check_window(self, input_shape: Any) -> None:
        start = 1 if self.data_format == "channels_last" else 2
        if self.padding != "valid":
            return
        for position, (kernel, dilation) in enumerate(zip(self.kernel_size, self.dilation_rate)):
            size, reach = input_shape[start + position], (kernel - 1) * dilation + 1
            if size is not None and size < reach:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: the kernel is larger than the input",
                    got=f"input shape {tuple(input_shape)}, kernel_size={self.kernel_size}",
                    needed=f"at least {reach} on axis {start + position}",
                    fix="use padding='same' or a smaller kernel",
                )

    def _convolve(self, x: Any, kernel: Any) -> Any:
        """Convolve a channels-last tensor of the layer's rank."""
        padding = self.padding
        if padding == "causal":
            x = ops.pad(x, [(0, 0), ((self.kernel_size[0] - 1) * self.dilation_rate[0], 0), (0, 0)])
            padding = "valid"
        # The number of groups follows from the kernel's third size.
        convolve = ops.conv_3d if self.rank == 3 else ops.conv
        return convolve(x, kernel, self.strides, padding, "channels_last", self.dilation_rate)

    def _finish(self, y: Any) -> Any:
        if self.bias is not None:
            y = ops.add(y, self.bias)
        if activations.is_last_axis(self.activation) and self.activation is not activations.softmax:
            return channels_first(self.activation(y), self.data_format)
        return self.activation(channels_first(y, self.data_format))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **weight_config(self, "bias"),
        }


class _Conv(_Convolution):
    """A full convolution with `filters` outputs; weights [kernel (*window, channels / groups, filters), bias]."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
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
        self.groups = positive(self, "groups", groups)
        if self.filters % self.groups:
            raise InvalidArgumentError(
                f"{type(self).__name__}: `filters` must be a multiple of `groups`",
                got=f"filters={filters}, groups={groups}",
                where=self.name,
            )
        set_weight_settings(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the channels are no multiple of `groups`",
                got=f"{channels} channels, groups={self.groups}",
                needed="as many channels in each group",
                fix="give a number of groups that divides the channels of the input and `filters`",
            )
        self.kernel = add_weight(self, "kernel", (*self.kernel_size, channels // self.groups, self.filters))
        if self.use_bias:
            self.bias = add_weight(self, "bias", (self.filters,))

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        kernel = ops.convert_to_tensor(self.kernel)
        return self._finish(self._convolve(channels_last(inputs, self.data_format), kernel))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "filters": self.filters, "groups": self.groups, **weight_config(self, "kernel")}


class Conv1D(_Conv):
    """Convolution over steps.  x: f32[B, T, C] -> f32[B, T', filters]; see `Conv2D` for the arguments."""

    rank = 1
    causal = True


class Conv2D(_Conv):
    """Convolution over an image.  x: f32[B, H, W, C] -> f32[B, H', W', filters].

    Args:
        filters: number of output channels.
        kernel_size, strides, dilation_rate: an integer or a pair.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first".
        groups: blocks of channels that are convolved apart.
        activation: name or function; None is linear.
        use_bias: whether to add a bias per filter.
    """


class Conv3D(_Conv):
    """Convolution over a volume.  x: f32[B, D, H, W, C] -> f32[B, D', H', W', filters]; arguments as of `Conv2D`."""

    rank = 3


class _Depthwise(_Convolution):
    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        bias = (use_bias, bias_initializer, bias_regularizer, bias_constraint)
        super().__init__(window, activation, bias, activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        set_weight_settings(self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._depth_channels = 0

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        self._depth_channels = self._channels(input_shape)
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, self._depth_channels, self.depth_multiplier),
            initializer=getattr(self, "depthwise_initializer"),  # noqa: B009  (set by set_weight_settings)
            regularizer=getattr(self, "depthwise_regularizer"),  # noqa: B009
            constraint=getattr(self, "depthwise_constraint"),  # noqa: B009
            name="kernel",
        )
        if self.use_bias:
            self.bias = add_weight(self, "bias", (self._depth_channels * self.depth_multiplier,))

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        return self._finish(_depthwise(self, channels_last(inputs, self.data_format), self.kernel))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"depth_multiplier": self.depth_multiplier, **weight_config(self, "depthwise")}
        return {**super().get_config(), **own}


class DepthwiseConv1D(_Depthwise):
    """Each channel convolved by `depth_multiplier` kernels of its own.  x: f32[B, T, C] -> f32[B, T', C · m]."""

    rank = 1


class DepthwiseConv2D(_Depthwise):
    """Each channel convolved by `depth_multiplier` kernels of its own.  x: f32[B, H, W, C] -> f32[B, H', W', C · m]."""


def _depthwise(layer: _Convolution, x: Any, kernel: Variable) -> Any:
    # One group per channel: channel c and multiple m give output c · multiplier + m.
    *window, channels, multiplier = kernel.shape
    return layer._convolve(x, ops.reshape(kernel, (*window, 1, channels * multiplier)))


class _Separable(_Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        bias = (use_bias, bias_initializer, bias_regularizer, bias_constraint)
        super().__init__(window, activation, bias, activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive(self, "filters", filters)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        set_weight_settings(self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        set_weight_settings(self, "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)

    def build(self, input_shape: Any) -> None:
        """Make the two kernels and the bias."""
        channels = self._channels(input_shape)
        wide = channels * self.depth_multiplier

        def make(kind: str, shape: tuple[int, ...]) -> Variable:
            settings = {key: getattr(self, f"{kind}_{key}") for key in ("initializer", "regularizer", "constraint")}
            return self.add_weight(shape=shape, name=f"{kind}_kernel", **settings)

        self.depthwise_kernel = make("depthwise", (*self.kernel_size, channels, self.depth_multiplier))
        self.pointwise_kernel = make("pointwise", (*(1,) * self.rank, wide, self.filters))
        if self.use_bias:
            self.bias = add_weight(self, "bias", (self.filters,))

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        y = _depthwise(self, channels_last(inputs, self.data_format), self.depthwise_kernel)
        shape = tuple(ops.shape(y))
        rows = ops.reshape(y, (-1, shape[-1]))
        point = ops.matmul(rows, ops.reshape(self.pointwise_kernel, (shape[-1], self.filters)))
        return self._finish(ops.reshape(point, (*shape[:-1], self.filters)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"filters": self.filters, "depth_multiplier": self.depth_multiplier}
        return {**super().get_config(), **own, **weight_config(self, "depthwise", "pointwise")}


class SeparableConv1D(_Separable):
    """A depthwise convolution over steps, then a product over all channels; one bias and activation at the end."""

    rank = 1


class SeparableConv2D(_Separable):
    """A depthwise convolution, then a 1x1 convolution over all channels; one bias and activation at the end."""
