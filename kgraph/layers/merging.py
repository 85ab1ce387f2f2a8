"""Layers of several inputs: sums, products, concatenation, dot products; and the same as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph import ops
from kgraph.core import Layer
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses.common import l2_normalize

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


def _shapes(shapes: Sequence[Any]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)


class Merge(Layer):
    """Base of the elementwise merges: inputs of lower rank get axes of size 1 after the batch, then all broadcast."""

    fewest = 1
    most: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Check that there are several inputs and that their shapes fit."""
        self._check_inputs(input_shape)
        rank = max(len(shape) for shape in input_shape)
        full = [(shape[0], *(1,) * (rank - len(shape)), *shape[1:]) if shape else shape for shape in input_shape]
        for axis in range(rank):
            sizes = {shape[axis] for shape in full if axis < len(shape)} - {None, 1}
            if len(sizes) > 1:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r} cannot combine its inputs: they differ on axis {axis}",
                    got=_shapes(input_shape),
                    needed="equal sizes, or 1, on every axis counted from the last",
                )

    def _check_inputs(self, input_shape: Any) -> None:
        several = isinstance(input_shape, (list, tuple)) and all(
            isinstance(shape, (list, tuple)) for shape in input_shape
        )
        if not several or not input_shape:
            raise InvalidArgumentError(
                f"A merge layer should be called on a list of inputs: {type(self).__name__} {self.name!r}",
                got=f"one tensor of shape {tuple(input_shape)}" if input_shape is not None else "nothing",
                needed="a list of tensors",
            )
        count = len(input_shape)
        if count < self.fewest or (self.most is not None and count > self.most):
            needed = f"exactly {self.most}" if self.most == self.fewest else f"at least {self.fewest}"
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r} was called on {count} inputs", needed=f"{needed} inputs"
            )

    def call(self, inputs: Any) -> Any:
        """Combine the inputs."""
        rank = max(len(x.shape) for x in inputs)
        return self._merge([self._expand(x, rank) for x in inputs])

    def _expand(self, x: Any, rank: int) -> Any:
        missing = rank - len(x.shape)
        if not missing:
            return x
        shape = tuple(ops.shape(x))
        return ops.reshape(x, (shape[0], *(1,) * missing, *shape[1:]))

    def _merge(self, inputs: list[Any]) -> Any:
        total = inputs[0]
        for x in inputs[1:]:
            total = self._pair(total, x)
        return total

    def _pair(self, x: Any, y: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Where any input counts, if all inputs have masks."""
        if not isinstance(previous_mask, (list, tuple)) or any(mask is None for mask in previous_mask):
            return None
        joint = previous_mask[0]
        for mask in previous_mask[1:]:
            joint = ops.logical_or(joint, mask)
        return joint

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return super().get_config()


class Add(Merge):
    """Sum of the inputs."""

    def _pair(self, x: Any, y: Any) -> Any:
        return ops.add(x, y)


class Subtract(Merge):
    """First input minus second."""

    fewest = most = 2

    def _pair(self, x: Any, y: Any) -> Any:
        return ops.subtract(x, y)


class Multiply(Merge):
    """Product of the inputs."""

    def _pair(self, x: Any, y: Any) -> Any:
        return ops.multiply(x, y)


class Average(Merge):
    """Mean of the inputs."""

    def _pair(self, x: Any, y: Any) -> Any:
        return ops.add(x, y)

    def _merge(self, inputs: list[Any]) -> Any:
        return super()._merge(inputs) / float(len(inputs))


class Maximum(Merge):
    """The largest of the inputs, element by element."""

    def _pair(self, x: Any, y: Any) -> Any:
        return ops.maximum(x, y)


class Minimum(Merge):
    """The smallest of the inputs, element by element."""

    def _pair(self, x: Any, y: Any) -> Any:
        return ops.minimum(x, y)


class Concatenate(Merge):
    """The inputs behind one another along `axis`."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = int(axis)

    def build(self, input_shape: Any) -> None:
        """Check that the shapes agree on all axes but one."""
        self._check_inputs(input_shape)
        ranks = {len(shape) for shape in input_shape}
        rank = max(ranks)
        if len(ranks) > 1 or not -rank <= self.axis < rank:
            raise ShapeError(
                f"Concatenate {self.name!r} cannot join its inputs along axis {self.axis}",
                got=_shapes(input_shape),
                needed=f"inputs of one rank that has an axis {self.axis}",
            )
        for axis in range(rank):
            sizes = {shape[axis] for shape in input_shape} - {None}
            if axis != self.axis % rank and len(sizes) > 1:
                raise ShapeError(
                    f"A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis: "
                    f"{self.name!r} along axis {self.axis}",
                    got=_shapes(input_shape),
                    needed=f"equal sizes on axis {axis}",
                )

    def call(self, inputs: Any) -> Any:
        """Join the inputs."""
        return inputs[0] if len(inputs) == 1 else ops.concatenate(list(inputs), axis=self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Masks joined likewise; an input without one counts everywhere."""
        if not isinstance(previous_mask, (list, tuple)) or all(mask is None for mask in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask):
            if mask is None:
                masks.append(ops.equal(ops.zeros_like(x), 0.0))
            elif len(mask.shape) < len(x.shape):
                for _ in range(len(x.shape) - len(mask.shape)):
                    mask = ops.expand_dims(mask, -1)
                masks.append(ops.broadcast_to(mask, ops.shape(x)))
            else:
                masks.append(mask)
        return ops.any(ops.concatenate(masks, axis=self.axis), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "axis": self.axis}


class Dot(Merge):
    """Sum of products of two inputs along one axis of each, sample by sample.

    Args:
        axes: one axis for both, or a pair; the batch is axis 0.
        normalize: scale both to L2 norm 1 along these axes first (cosine).
    """

    fewest = most = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes) if isinstance(axes, (list, tuple)) else ()
        if len(pair) != 2 or any(not isinstance(axis, int) for axis in pair):
            raise InvalidArgumentError(
                f"Dot: argument `axes` is {axes!r}", needed="an integer or a pair of integers", where=self.name
            )
        self.axes, self.normalize = axes, normalize
        self._pair_of_axes = pair

    def _axes_of(self, ranks: tuple[int, int]) -> tuple[int, int]:
        first, second = (axis % rank for axis, rank in zip(self._pair_of_axes, ranks))
        return first, second

    def build(self, input_shape: Any) -> None:
        """Check that the two axes have one size."""
        self._check_inputs(input_shape)
        one, two = input_shape
        if len(one) < 2 or len(two) < 2:
            raise ShapeError(f"Dot {self.name!r} needs inputs of rank 2 or more", got=_shapes(input_shape))
        first, second = self._axes_of((len(one), len(two)))
        if 0 in (first, second):
            raise InvalidArgumentError(f"Dot {self.name!r}: argument `axes` names the batch axis", got=str(self.axes))
        if one[first] is not None and two[second] is not None and one[first] != two[second]:
            raise ShapeError(
                f"Dot {self.name!r} cannot multiply its inputs along axes {(first, second)}",
                got=_shapes(input_shape),
                needed=f"equal sizes there, not {one[first]} and {two[second]}",
            )

    def call(self, inputs: Any) -> Any:
        """Multiply and sum."""
        x, y = inputs
        first, second = self._axes_of((len(x.shape), len(y.shape)))
        if self.normalize:
            x, y = l2_normalize(x, first), l2_normalize(y, second)
        if len(x.shape) == 2 and len(y.shape) == 2:
            return ops.sum(ops.multiply(x, y), axis=-1, keepdims=True)
        return batch_dot(x, y, first, second)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the axes of the inputs are gone."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def batch_dot(x: Any, y: Any, first: int, second: int) -> Any:
    """Per sample, the sum of products over axis `first` of `x` and axis `second` of `y` (counted from the front).

    x: [B, *X], y: [B, *Y] -> [B, *X without its axis, *Y without its axis]; two matrices give [B, 1].
    """
    x_rank, y_rank = len(x.shape), len(y.shape)
    x = _axis_to(x, first, x_rank - 1)
    y = _axis_to(y, second, 1)
    x_shape, y_shape = tuple(ops.shape(x)), tuple(ops.shape(y))
    rows, columns = x_shape[1:-1], y_shape[2:]
    left = x if x_rank == 3 else ops.reshape(x, (x_shape[0], _volume(rows), x_shape[-1]))
    right = y if y_rank == 3 else ops.reshape(y, (y_shape[0], y_shape[1], _volume(columns)))
    product = ops.matmul(left, right)
    shape = (x_shape[0], *rows, *columns)
    return ops.reshape(product, shape if len(shape) > 1 else (*shape, 1))


def _volume(sizes: Sequence[Any]) -> Any:
    volume: Any = 1
    for size in sizes:
        volume = volume * size
    return volume


def _axis_to(x: Any, axis: int, place: int) -> Any:
    if axis == place:
        return x
    order = [i for i in range(len(x.shape)) if i != axis]
    order.insert(place, axis)
    return ops.transpose(x, order)


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Sum of the inputs."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """First input minus second."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Product of the inputs."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Mean of the inputs."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The largest of the inputs, element by element."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The smallest of the inputs, element by element."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """The inputs behind one another along `axis`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, normalize: bool = False, **kwargs: Any) -> Any:
    """Sum of products of two inputs along one axis of each."""
    return Dot(axes=axes, normalize=normalize, **kwargs)(inputs)
