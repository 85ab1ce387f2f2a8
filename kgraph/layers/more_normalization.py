"""Normalisation by groups, by the root mean square, and of a kernel by its largest singular value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kgraph import initializers, ops
from kgraph.core import InputSpec, Layer, Variable
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.common import add_weight, known_size, positive, set_weight_settings, weight_config
from kgraph.layers.wrappers import Wrapper

__all__ = ["GroupNormalization", "RMSNormalization", "SpectralNormalization"]


class GroupNormalization(Layer):
    """Normalises each group of channels of each sample (Wu and He 2018).

    Args:
        groups: number of groups; -1 takes every channel for itself (instance normalisation).
        axis: the axis of the channels.
        epsilon: added to the (biased) variance.
        center, scale: whether there is a beta, a gamma, one value per channel.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
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
        super().__init__(**kwargs)
        self.groups = -1 if groups == -1 else positive(self, "groups", groups)
        self.axis, self.epsilon, self.center, self.scale = axis, float(epsilon), center, scale
        set_weight_settings(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        set_weight_settings(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        self.supports_masking = True
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        channels = known_size(self, input_shape, self.axis, f"the size of axis {self.axis}")
        groups = channels if self.groups == -1 else self.groups
        if channels % groups:
            raise ShapeError(
                f"GroupNormalization {self.name!r}: the channels are no multiple of `groups`",
                got=f"{channels} channels, groups={groups}",
                fix="give a number of groups that divides the channels",
            )
        self.groups = groups
        if self.scale:
            self.gamma = add_weight(self, "gamma", (channels,))
        if self.center:
            self.beta = add_weight(self, "beta", (channels,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        sizes = tuple(ops.shape(inputs))
        rank, axis = len(sizes), self.axis % len(sizes)
        each = sizes[axis] // self.groups
        x = ops.reshape(inputs, (*sizes[:axis], self.groups, each, *sizes[axis + 1 :]))
        axes = tuple(i for i in range(1, rank + 1) if i != axis)
        mean = ops.mean(x, axis=axes, keepdims=True)
        centred = ops.subtract(x, mean)
        variance = ops.mean(ops.square(centred), axis=axes, keepdims=True)
        y = ops.reshape(centred * ops.rsqrt(variance + self.epsilon), sizes)
        row = tuple(sizes[axis] if i == axis else 1 for i in range(rank))
        if self.gamma is not None:
            y = ops.multiply(y, ops.reshape(self.gamma, row))
        return y if self.beta is None else ops.add(y, ops.reshape(self.beta, row))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "groups": self.groups,
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **weight_config(self, "beta", "gamma"),
        }


class RMSNormalization(Layer):
    """scale · x / sqrt(mean(x²) + epsilon) over `axis` (Zhang and Sennrich 2019).

    Args:
        axis: an axis or several; the weight `scale` has their sizes.
        epsilon: added to the mean of squares.
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = float(epsilon)
        self.supports_masking = True

    def _axes(self, rank: int) -> tuple[int, ...]:
        given = [self.axis] if isinstance(self.axis, int) else self.axis
        if any(not -rank <= axis < rank for axis in given):
            raise ShapeError(f"RMSNormalization {self.name!r}: axis {self.axis} is out of bounds", got=f"rank {rank}")
        return tuple(sorted(axis % rank for axis in given))

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        axes = self._axes(len(input_shape))
        sizes = [known_size(self, input_shape, axis, f"the size of axis {axis}") for axis in axes]
        self.scale = self.add_weight(shape=tuple(sizes), initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        rank = len(inputs.shape)
        axes = self._axes(rank)
        squares = ops.mean(ops.square(inputs), axis=axes, keepdims=True)
        sizes = dict(zip(axes, self.scale.shape))
        row = ops.reshape(self.scale, tuple(sizes.get(axis, 1) for axis in range(rank)))
        return ops.multiply(inputs, ops.rsqrt(squares + self.epsilon)) * row

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value before each training step (Miyato et al. 2018).

    The value comes from power iteration on the kernel as a matrix (·, last axis), kept as `vector_u`.

    Args:
        layer: a layer with a `kernel` or `embeddings`.
        power_iterations: iterations per step.
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = positive(self, "power_iterations", power_iterations)

    def build(self, input_shape: Any) -> None:
        """Build the layer and make the vector."""
        if not self.layer.built:
            self.layer.build(input_shape)
        kernel = getattr(self.layer, "kernel", getattr(self.layer, "embeddings", None))
        if not isinstance(kernel, Variable):
            raise InvalidArgumentError(
                f"SpectralNormalization {self.name!r}: the layer {type(self.layer).__name__} has neither a kernel nor "
                "embeddings",
                fix="wrap a layer with a kernel, such as Dense or Conv2D",
            )
        self._kernel = kernel
        self.vector_u = self.add_weight(
            shape=(1, kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            trainable=False,
            name="vector_u",
        )

    def call(self, inputs: Any, training: Any = False) -> Any:
        """Normalise the kernel in training, then apply the layer."""
        if training:
            shape = self._kernel.shape
            weights = ops.reshape(self._kernel, (math.prod(shape[:-1]), shape[-1]))
            u: Any = ops.convert_to_tensor(self.vector_u)
            for _ in range(self.power_iterations):
                v = ops.normalize(ops.matmul(u, ops.transpose(weights)), axis=None)
                u = ops.normalize(ops.matmul(v, weights), axis=None)
            u, v = ops.stop_gradient(u), ops.stop_gradient(v)
            sigma = ops.matmul(ops.matmul(v, weights), ops.transpose(u))
            # A kernel of zeros has no direction; it and the vector stay.
            some = ops.any(ops.not_equal(weights, 0.0))
            scaled = ops.divide(weights, ops.where(some, sigma, 1.0))
            self.vector_u.assign(ops.where(some, u, self.vector_u))
            self._kernel.assign(ops.reshape(scaled, shape))
        return self.layer(inputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "power_iterations": self.power_iterations}
