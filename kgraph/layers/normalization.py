"""Normalisation over a batch or over the features of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph import initializers, ops
from kgraph.core import InputSpec, Layer, Variable
from kgraph.core.session import epsilon as session_epsilon
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.layers.common import add_weight, known_size, set_weight_settings, weight_config

__all__ = ["BatchNormalization", "LayerNormalization", "UnitNormalization"]


class BatchNormalization(Layer):
    """gamma · (x - mean) / sqrt(variance + epsilon) + beta, per channel (Ioffe and Szegedy 2015).

    In training mean and (biased) variance are those of the batch, and move the averages; otherwise, and always when
    `trainable` is False, they are the moving averages.  Weights: gamma, beta, moving_mean, moving_variance.

    Args:
        axis: the axis of the channels.
        momentum: share of the old value in the moving averages.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        for name in ("renorm_clipping", "renorm_momentum", "fused"):
            kwargs.pop(name, None)  # of no effect without renorm; whether to fuse is a choice of TensorFlow's
        super().__init__(**kwargs)
        if renorm or synchronized:
            raise UnsupportedError(
                f"BatchNormalization: argument `{'renorm' if renorm else 'synchronized'}` is not supported",
                where=self.name,
                got=f"{'renorm' if renorm else 'synchronized'}=True",
                fix="leave it out; for small batches use GroupNormalization or LayerNormalization"
                if renorm
                else "leave it out: one machine trains the model, so a batch is whole",
            )
        self.axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise InvalidArgumentError(f"BatchNormalization: argument `axis` is {axis!r}", needed="an integer")
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.center, self.scale = center, scale
        set_weight_settings(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        set_weight_settings(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.supports_masking = True
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Make gamma, beta and the moving averages."""
        rank = len(input_shape)
        if not -rank <= self.axis < rank:
            raise ShapeError(
                f"BatchNormalization {self.name!r}: axis {self.axis} is out of bounds",
                got=f"input shape {tuple(input_shape)}",
            )
        channels = known_size(self, input_shape, self.axis, f"the size of axis {self.axis}")
        if self.scale:
            self.gamma = add_weight(self, "gamma", (channels,))
        if self.center:
            self.beta = add_weight(self, "beta", (channels,))
        self.moving_mean = self.add_weight(
            shape=(channels,), initializer=self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape=(channels,), initializer=self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: channels})

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Normalise."""
        rank = len(inputs.shape)
        axis = self.axis % rank
        if training and self.trainable:
            mean, variance = self._moments(inputs, tuple(i for i in range(rank) if i != axis), mask)
            keep = self.momentum
            self.moving_mean.assign(ops.multiply(self.moving_mean, keep) + mean * (1.0 - keep))
            self.moving_variance.assign(ops.multiply(self.moving_variance, keep) + variance * (1.0 - keep))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        factor = ops.rsqrt(ops.add(variance, self.epsilon))
        if self.gamma is not None:
            factor = ops.multiply(factor, self.gamma)
        # The mean is taken off first: x · factor - mean · factor would lose digits where |mean| is large.
        y = ops.subtract(inputs, self._row(mean, rank, axis)) * self._row(factor, rank, axis)
        return y if self.beta is None else ops.add(y, self._row(self.beta, rank, axis))

    def _row(self, vector: Any, rank: int, axis: int) -> Any:
        """A vector of channels in a shape that broadcasts against the input."""
        if axis == rank - 1:
            return vector
        return ops.reshape(vector, (*(1,) * axis, vector.shape[0], *(1,) * (rank - axis - 1)))

    def _moments(self, x: Any, axes: tuple[int, ...], mask: Any) -> tuple[Any, Any]:
        rank, axis = len(x.shape), self.axis % len(x.shape)
        if mask is None:
            mean = ops.mean(x, axis=axes)
            return mean, ops.mean(ops.square(ops.subtract(x, self._row(mean, rank, axis))), axis=axes)
        for _ in range(rank - len(mask.shape)):
            mask = ops.expand_dims(mask, -1)
        mask = ops.broadcast_to(mask, ops.shape(x))
        count = ops.sum(ops.cast(mask, x.dtype), axis=axes) + session_epsilon()
        mean = ops.sum(ops.where(mask, x, 0.0), axis=axes) / count
        centred = ops.where(mask, ops.subtract(x, self._row(mean, rank, axis)), 0.0)
        return mean, ops.sum(ops.square(centred), axis=axes) / count

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **weight_config(self, "beta", "gamma"),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
        }


class LayerNormalization(Layer):
    """gamma · (x - mean) / sqrt(variance + epsilon) + beta over `axis` of each sample (Ba et al. 2016).

    Args:
        axis: an axis or several; gamma and beta have their sizes.
        epsilon: added to the (biased) variance.
        center, scale: whether there is a beta, a gamma.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("rms_scaling", False):
            raise UnsupportedError("LayerNormalization: argument `rms_scaling` is not supported")
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise InvalidArgumentError(f"LayerNormalization: argument `axis` is {axis!r}", needed="an int or several")
        self.axis: int | list[int] = axis if isinstance(axis, int) else list(axis)
        self.epsilon, self.center, self.scale = float(epsilon), center, scale
        set_weight_settings(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        set_weight_settings(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        self.supports_masking = True
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def _axes(self, rank: int) -> tuple[int, ...]:
        given = [self.axis] if isinstance(self.axis, int) else self.axis
        if any(not -rank <= axis < rank for axis in given):
            raise ShapeError(f"LayerNormalization {self.name!r}: axis {self.axis} is out of bounds", got=f"rank {rank}")
        return tuple(sorted(axis % rank for axis in given))

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        shape = [
            known_size(self, input_shape, axis, f"the size of axis {axis}") for axis in self._axes(len(input_shape))
        ]
        if self.scale:
            self.gamma = add_weight(self, "gamma", shape)
        if self.center:
            self.beta = add_weight(self, "beta", shape)

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        rank = len(inputs.shape)
        axes = self._axes(rank)
        mean = ops.mean(inputs, axis=axes, keepdims=True)
        centred = ops.subtract(inputs, mean)
        variance = ops.mean(ops.square(centred), axis=axes, keepdims=True)
        y = centred * ops.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            y = ops.multiply(y, self._row(self.gamma, rank, axes))
        return y if self.beta is None else ops.add(y, self._row(self.beta, rank, axes))

    def _row(self, weight: Variable, rank: int, axes: tuple[int, ...]) -> Any:
        if axes == tuple(range(rank - len(axes), rank)):
            return weight
        sizes = dict(zip(axes, weight.shape))
        return ops.reshape(weight, tuple(sizes.get(axis, 1) for axis in range(rank)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **weight_config(self, "beta", "gamma"),
        }


class UnitNormalization(Layer):
    """x / |x|, the L2 norm over `axis`."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        squares = ops.sum(ops.square(inputs), axis=axis, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squares, session_epsilon() * session_epsilon()))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "axis": self.axis}
