"""Pooling: the largest or the mean value of a window, or of a whole sample."""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.core import InputSpec, Layer
from kgraph.errors import ShapeError
from kgraph.layers.common import normal_data_format, normal_padding, normal_tuple
from kgraph.layers.reshaping import channels_first, channels_last

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]


class _Pooling(Layer):
    """Windows of `pool_size`, moved by `strides` (the pool size unless given).

    Args:
        pool_size, strides: an integer or one per axis.
        padding: "valid" or "same"; padded cells take no part in maximum or mean.
        data_format: "channels_last" or "channels_first".
    """

    rank = 2
    largest = True

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = normal_tuple(self, "pool_size", pool_size, self.rank)
        self.strides = normal_tuple(self, "strides", pool_size if strides is None else strides, self.rank)
        self.padding = normal_padding(self, padding)
        self.data_format = normal_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        """Pool."""
        x = channels_last(inputs, self.data_format)
        for axis, window in enumerate(self.pool_size, start=1):
            size = x.shape[axis]
            if self.padding == "valid" and size is not None and size < window:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: the window is larger than the input",
                    got=f"input shape {tuple(inputs.shape)}, pool_size={self.pool_size}",
                    fix="use padding='same' or a smaller window",
                )
        if self.rank == 3:
            pool = ops.max_pool_3d if self.largest else ops.average_pool_3d
        else:
            pool = ops.max_pool if self.largest else ops.average_pool
        y = pool(x, self.pool_size, strides=self.strides, padding=self.padding, data_format="channels_last")
        return channels_first(y, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }


class MaxPooling1D(_Pooling):
    """Largest value of each window of steps.  x: [B, T, C]."""

    rank = 1


class MaxPooling2D(_Pooling):
    """Largest value of each window of an image.  x: [B, H, W, C]."""


class AveragePooling1D(_Pooling):
    """Mean of each window of steps.  x: [B, T, C]."""

    rank, largest = 1, False


class AveragePooling2D(_Pooling):
    """Mean of each window of an image.  x: [B, H, W, C]."""

    largest = False


class MaxPooling3D(_Pooling):
    """Largest value of each window of a volume.  x: [B, D, H, W, C]."""

    rank = 3


class AveragePooling3D(_Pooling):
    """Mean of each window of a volume.  x: [B, D, H, W, C]."""

    rank, largest = 3, False


class _AdaptivePooling(Layer):
    """So many windows per axis that the output has `output_size` cells; they overlap where that does not divide.

    Args:
        output_size: an integer or one per axis.
        data_format: "channels_last" or "channels_first".
    """

    rank = 2
    largest = True

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = normal_tuple(self, "output_size", output_size, self.rank)
        self.data_format = normal_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        """Pool."""
        pool = ops.adaptive_max_pool if self.largest else ops.adaptive_average_pool
        return pool(inputs, self.output_size, data_format=self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "output_size": self.output_size, "data_format": self.data_format}


class AdaptiveMaxPooling1D(_AdaptivePooling):
    """Largest values of `output_size` parts of the steps.  x: [B, T, C]."""

    rank = 1


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """Largest values of `output_size` parts of an image.  x: [B, H, W, C]."""


class AdaptiveMaxPooling3D(_AdaptivePooling):
    """Largest values of `output_size` parts of a volume.  x: [B, D, H, W, C]."""

    rank = 3


class AdaptiveAveragePooling1D(_AdaptivePooling):
    """Means of `output_size` parts of the steps.  x: [B, T, C]."""

    rank, largest = 1, False


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """Means of `output_size` parts of an image.  x: [B, H, W, C]."""

    largest = False


class AdaptiveAveragePooling3D(_AdaptivePooling):
    """Means of `output_size` parts of a volume.  x: [B, D, H, W, C]."""

    rank, largest = 3, False


class _GlobalPooling(Layer):
    """One value per channel.

    Args:
        data_format: "channels_last" or "channels_first".
        keepdims: keep the pooled axes with size 1.
    """

    rank = 2

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format, self.keepdims = normal_data_format(self, data_format), keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _axes(self) -> tuple[int, ...]:
        start = 1 if self.data_format == "channels_last" else 2
        return tuple(range(start, start + self.rank))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "data_format": self.data_format, "keepdims": self.keepdims}


class GlobalMaxPooling2D(_GlobalPooling):
    """Largest value of each channel of an image."""

    def call(self, inputs: Any) -> Any:
        """Pool."""
        return ops.max(inputs, axis=self._axes(), keepdims=self.keepdims)


class GlobalMaxPooling1D(GlobalMaxPooling2D):
    """Largest value of each channel over the steps."""

    rank = 1


class GlobalMaxPooling3D(GlobalMaxPooling2D):
    """Largest value of each channel of a volume."""

    rank = 3


class GlobalAveragePooling2D(_GlobalPooling):
    """Mean of each channel of an image."""

    def call(self, inputs: Any) -> Any:
        """Pool."""
        return ops.mean(inputs, axis=self._axes(), keepdims=self.keepdims)


class GlobalAveragePooling3D(GlobalAveragePooling2D):
    """Mean of each channel of a volume."""

    rank = 3


class GlobalAveragePooling1D(_GlobalPooling):
    """Mean of each channel over the steps, those off the mask left out."""

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool."""
        axes = self._axes()
        if mask is None:
            return ops.mean(inputs, axis=axes, keepdims=self.keepdims)
        weight = ops.cast(ops.expand_dims(mask, 2 if axes[0] == 1 else 1), inputs.dtype)
        total = ops.sum(ops.where(ops.greater(weight, 0.0), inputs, 0.0), axis=axes, keepdims=self.keepdims)
        return total / ops.sum(weight, axis=axes, keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the steps are gone."""
        return None
