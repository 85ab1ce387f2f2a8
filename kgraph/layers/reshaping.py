"""Layers that move values without changing them: Flatten, Reshape, Permute, padding, cropping, repeating."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kgraph import ops
from kgraph.core import InputSpec, Layer
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.common import normal_data_format, normal_tuple, positive

__all__ = [
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Flatten",
    "Permute",
    "RepeatVector",
    "Reshape",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]


def channels_last(x: Any, data_format: str) -> Any:
    """A channels-first tensor with its channels moved to the end; others as they are."""
    if data_format == "channels_last":
        return x
    return ops.transpose(x, (0, *range(2, len(x.shape)), 1))


def channels_first(x: Any, data_format: str) -> Any:
    """The reverse of `channels_last`."""
    if data_format == "channels_last":
        return x
    rank = len(x.shape)
    return ops.transpose(x, (0, rank - 1, *range(1, rank - 1)))


class Flatten(Layer):
    """All axes but the batch in one.  x: [B, ...] -> [B, N]; channels_first inputs are laid out as channels_last."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = normal_data_format(self, data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        """Flatten."""
        shape = inputs.shape
        if len(shape) > 2:
            inputs = channels_last(inputs, self.data_format)
        if any(size is None for size in shape[1:]):
            return ops.reshape(inputs, (ops.shape(inputs)[0], -1))
        return ops.reshape(inputs, (-1, math.prod(shape[1:])))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """[B, ...] -> [B, *target_shape]; one size may be -1."""

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        if any(not hasattr(size, "__index__") or int(size) < -1 for size in self.target_shape):
            raise InvalidArgumentError(
                f"Reshape: argument `target_shape` is {target_shape!r}",
                needed="a tuple of sizes, at most one -1",
                where=self.name,
            )
        if sum(size == -1 for size in self.target_shape) > 1:
            raise InvalidArgumentError(
                f"Reshape: argument `target_shape` is {self.target_shape}", needed="at most one -1", where=self.name
            )

    def call(self, inputs: Any) -> Any:
        """Reshape."""
        known = [size for size in inputs.shape[1:] if size is not None]
        if len(known) == len(inputs.shape) - 1:
            have, want = math.prod(known), math.prod(size for size in self.target_shape if size != -1)
            fits = have == want if -1 not in self.target_shape else want > 0 and have % want == 0
            if not fits:
                raise ShapeError(
                    f"Reshape {self.name!r}: {tuple(inputs.shape[1:])} cannot become {self.target_shape}",
                    got=f"{have} elements per sample",
                    needed=f"{want} elements, from argument `target_shape`",
                )
            target = tuple(have // want if size == -1 else size for size in self.target_shape)
            return ops.reshape(inputs, (ops.shape(inputs)[0], *target))
        return ops.reshape(inputs, (ops.shape(inputs)[0], *self.target_shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """Axes in another order; `dims` counts from 1, the batch stays first."""

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise InvalidArgumentError(
                f"Permute: argument `dims` is {self.dims}", needed=f"1 to {len(self.dims)}, each once", where=self.name
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        """Permute."""
        return ops.transpose(inputs, (0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """[B, N] -> [B, n, N]: the vector at each of n steps."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive(self, "n", n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        """Repeat."""
        batch, size = ops.shape(inputs)
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, size))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "n": self.n}


def _pairs(layer: Layer, argument: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """(before, after) per axis from n, (n, m), ((a, b), (c, d))."""
    values = (value,) * rank if hasattr(value, "__index__") else tuple(value)
    if rank == 1 and len(values) == 2 and all(hasattr(v, "__index__") for v in values):
        values = (values,)
    if len(values) != rank:
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `{argument}` is {value!r}", needed=f"one entry per axis ({rank})"
        )
    first, *rest = (normal_tuple(layer, argument, pair, 2, zero=True) for pair in values)
    return tuple((pair[0], pair[1]) for pair in (first, *rest))


class _Window(Layer):
    """Padding or cropping of the axes between batch and channels."""

    rank = 2

    def __init__(self, argument: str, value: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = normal_data_format(self, data_format)
        self.pairs = _pairs(self, argument, value, self.rank)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _axes(self) -> range:
        start = 1 if self.data_format == "channels_last" else 2
        return range(start, start + self.rank)


class _ZeroPadding(_Window):
    def __init__(self, padding: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__("padding", padding, data_format, **kwargs)
        self.padding = self.pairs if self.rank > 1 else self.pairs[0]

    def call(self, inputs: Any) -> Any:
        """Pad with zeros."""
        widths = [(0, 0)] * len(inputs.shape)
        for axis, pair in zip(self._axes(), self.pairs):
            widths[axis] = pair
        return ops.pad(inputs, widths)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "padding": self.padding, "data_format": self.data_format}


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps.  x: [B, T, C]."""

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.  x: [B, H, W, C]."""

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume.  x: [B, D, H, W, C]."""

    rank = 3

    def __init__(self, padding: Any = (1, 1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


class _Cropping(_Window):
    def __init__(self, cropping: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__("cropping", cropping, data_format, **kwargs)
        self.cropping = self.pairs if self.rank > 1 else self.pairs[0]

    def call(self, inputs: Any) -> Any:
        """Cut off."""
        index = [slice(None)] * len(inputs.shape)
        for axis, (before, after) in zip(self._axes(), self.pairs):
            size = inputs.shape[axis]
            if size is not None and before + after >= size:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r} would leave nothing of axis {axis}",
                    got=f"size {size}, cropping {before} + {after}",
                )
            index[axis] = slice(before, -after if after else None)
        return inputs[tuple(index)]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "cropping": self.cropping, "data_format": self.data_format}


class Cropping1D(_Cropping):
    """Steps cut off at both ends.  x: [B, T, C]."""

    rank = 1

    def __init__(self, cropping: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping2D(_Cropping):
    """An image cut at its edges.  x: [B, H, W, C]."""

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """A volume cut at its faces.  x: [B, D, H, W, C]."""

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


def _repeat(x: Any, axis: int, times: int) -> Any:
    """Each entry of `axis` `times` times, by a new axis that is broadcast: the adjoint is one sum."""
    if times == 1:
        return x
    shape = tuple(ops.shape(x))
    wide = ops.broadcast_to(ops.expand_dims(x, axis + 1), (*shape[: axis + 1], times, *shape[axis + 1 :]))
    return ops.reshape(wide, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


class UpSampling1D(Layer):
    """Each step `size` times.  x: [B, T, C]."""

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive(self, "size", size)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Any) -> Any:
        """Repeat the steps."""
        return _repeat(inputs, 1, self.size)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "size": self.size}


class UpSampling2D(Layer):
    """Each row and column `size` times.  x: [B, H, W, C]."""

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = normal_tuple(self, "size", size, 2)
        self.data_format = normal_data_format(self, data_format)
        if interpolation not in ops.INTERPOLATIONS:
            raise InvalidArgumentError(
                f"UpSampling2D: argument `interpolation` is {interpolation!r}",
                needed=" or ".join(ops.INTERPOLATIONS),
                where=self.name,
            )
        self.interpolation = interpolation
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        """Repeat rows and columns."""
        first = 1 if self.data_format == "channels_last" else 2
        if self.interpolation != "nearest":
            sizes = tuple(inputs.shape[axis] for axis in (first, first + 1))
            if None in sizes:
                raise ShapeError(
                    f"UpSampling2D {self.name!r} needs a known height and width to interpolate",
                    got=f"input shape {tuple(inputs.shape)}",
                )
            target = tuple(size * times for size, times in zip(sizes, self.size))
            return ops.resize(inputs, target, self.interpolation, data_format=self.data_format)
        return _repeat(_repeat(inputs, first, self.size[0]), first + 1, self.size[1])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"size": self.size, "data_format": self.data_format, "interpolation": self.interpolation}
        return {**super().get_config(), **own}


class UpSampling3D(Layer):
    """Each plane, row and column `size` times.  x: [B, D, H, W, C]."""

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = normal_tuple(self, "size", size, 3)
        self.data_format = normal_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=5)

    def call(self, inputs: Any) -> Any:
        """Repeat planes, rows and columns."""
        first = 1 if self.data_format == "channels_last" else 2
        for axis, times in enumerate(self.size, start=first):
            inputs = _repeat(inputs, axis, times)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}
