"""Preprocessing of numbers: `Normalization`, `Discretization`, `CategoryEncoding`; all run natively."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph import ops
from kgraph.core import Layer, Variable
from kgraph.core.session import epsilon
from kgraph.core.trace import eager_scope
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.layers.common import positive
from kgraph.layers.host import adapt_batches

__all__ = ["CategoryEncoding", "Discretization", "Normalization", "check_mode", "encode"]

Array = npt.NDArray[Any]
_MODES = ("int", "one_hot", "multi_hot", "count")


def encode(ids: Any, mode: str, depth: int, dtype: str, weights: Any = None) -> Any:
    """Indices as they are ("int"), or one_hot, multi_hot or count vectors of `depth`.

    Indices out of range give zeros.
    """
    if mode == "int":
        return ops.cast(ids, dtype)
    if not ids.shape:
        ids = ops.expand_dims(ids, -1)
    if mode == "one_hot":
        if len(ids.shape) > 1 and ids.shape[-1] == 1:
            ids = ops.squeeze(ids, -1)
        return ops.one_hot(ids, depth, dtype=dtype)
    places = ops.one_hot(ids, depth, dtype=dtype)
    axis = 1 if len(ids.shape) > 1 else 0
    if mode == "multi_hot":
        return ops.max(places, axis=axis)
    if weights is not None:
        places = ops.multiply(ops.cast(places, "float32"), ops.expand_dims(ops.cast(weights, "float32"), -1))
    return ops.sum(places, axis=axis)


def check_mode(layer: Layer, mode: str, sparse: bool, allowed: Iterable[str] = _MODES) -> str:
    """The argument `output_mode`.

    Raises:
        InvalidArgumentError: there is no such mode.
        UnsupportedError: `sparse` is set.
    """
    mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(mode, mode)
    if mode not in allowed:
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `output_mode` is {mode!r}", needed=" or ".join(allowed), where=layer.name
        )
    if sparse:
        raise UnsupportedError(f"{type(layer).__name__}: argument `sparse` is not supported", fix="leave it out")
    return mode


class Normalization(Layer):
    """(x - mean) / sqrt(variance) per entry of `axis`, of the data that `adapt` saw.

    Args:
        axis: axis or axes with a mean of their own; None for one mean of all.
        mean, variance: the moments, instead of `adapt`.
        invert: do the reverse.
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise InvalidArgumentError(
                "Normalization: only one of `mean` and `variance` is given", needed="both, or neither", where=self.name
            )
        if np.shape(mean) != np.shape(variance) or np.ndim(mean) > len(self.axis):
            raise InvalidArgumentError(
                "Normalization: `mean` and `variance` do not fit each other or `axis`",
                where=self.name,
                got=f"shapes {np.shape(mean)} and {np.shape(variance)}, axis {self.axis}",
                needed=f"one shape, of rank {len(self.axis)} at most",
            )
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        self.supports_masking = True
        self.adapt_mean: Variable | None = None
        self.adapt_variance: Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Make the moments."""
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ShapeError(f"Normalization {self.name!r}: axis {self.axis} is out of bounds", got=f"rank {rank}")
        self._keep = tuple(sorted(axis % rank for axis in self.axis))
        if any(input_shape[axis] is None for axis in self._keep):
            raise ShapeError(
                f"Normalization {self.name!r}: the sizes of axis {self.axis} are not known", got=str(tuple(input_shape))
            )
        self._row = tuple(input_shape[i] if i in self._keep else 1 for i in range(rank))
        if self.input_mean is None:
            shape = tuple(input_shape[axis] for axis in self._keep)
            self.adapt_mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape=shape, initializer="ones", trainable=False, name="variance")
            self.count = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="count")

    def adapt(self, data: Any) -> None:
        """Find mean and variance.

        Args:
            data: an array, or an iterable of batches, a generator or a `PyDataset`.

        Raises:
            InvalidArgumentError: there are no data, or the moments were given to the layer.
            ShapeError: the data have another shape than the layer was built for, or than the batches before.
        """
        mean: Any = 0.0
        variance: Any = 0.0
        seen = 0.0
        for batch in adapt_batches(data):
            part = np.asarray(batch).astype(np.float64)
            if not part.size:
                continue
            axes = self._adapt_axes(part)
            # Chan et al.: moments of parts put together without losing digits.
            count = float(np.prod([part.shape[axis] for axis in axes], dtype=np.float64))
            share = count / (seen + count)
            now, spread = part.mean(axis=axes), part.var(axis=axes)
            new = mean * (1 - share) + now * share
            variance = (variance + (mean - new) ** 2) * (1 - share) + (spread + (now - new) ** 2) * share
            mean, seen = new, seen + count
        if not seen:
            raise InvalidArgumentError(
                f"Normalization {self.name!r}: adapt() received no data", needed="an array, or an iterable of batches"
            )
        assert self.adapt_mean is not None and self.adapt_variance is not None
        with eager_scope():
            self.adapt_mean.assign(np.asarray(mean, np.float32))
            self.adapt_variance.assign(np.asarray(variance, np.float32))

    def _adapt_axes(self, part: Array) -> tuple[int, ...]:
        """The axes to take moments over; builds the layer on the first data."""
        if not self.built:
            first = any(axis % max(part.ndim, 1) == 0 for axis in self.axis)
            self.build(part.shape if first else (None, *part.shape[1:]))
        if self.adapt_mean is None:
            raise InvalidArgumentError(f"Normalization {self.name!r} has its moments from `mean` and `variance`")
        sizes = [part.shape[axis] if axis < part.ndim else None for axis in self._keep]
        if part.ndim != len(self._row) or sizes != [self._row[axis] for axis in self._keep]:
            raise ShapeError(
                f"Normalization {self.name!r}: adapt() received data of another shape than before",
                got=str(part.shape),
                needed=f"rank {len(self._row)}, with sizes {[self._row[axis] for axis in self._keep]} on {self._keep}",
            )
        return tuple(i for i in range(part.ndim) if i not in self._keep)

    def _moments(self) -> tuple[Any, Any]:
        """Mean and variance, of rank and sizes that broadcast against the input."""
        if self.adapt_mean is not None and self.adapt_variance is not None:
            return ops.reshape(self.adapt_mean, self._row), ops.reshape(self.adapt_variance, self._row)
        sides = [np.asarray(side, self.compute_dtype) for side in (self.input_mean, self.input_variance)]
        # Trailing axes of the moments are the last of the kept axes.
        row = [1] * len(self._row)
        for position in range(1, sides[0].ndim + 1):
            row[self._keep[-position]] = sides[0].shape[-position]
        mean, variance = (ops.convert_to_tensor(np.broadcast_to(side.reshape(row), self._row)) for side in sides)
        return mean, variance

    @property
    def mean(self) -> Any:
        """The mean in use; None before the layer is built."""
        return np.asarray(self._moments()[0]) if self.built else None

    @property
    def variance(self) -> Any:
        """The variance in use; None before the layer is built."""
        return np.asarray(self._moments()[1]) if self.built else None

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        x = ops.cast(inputs, self.compute_dtype)
        mean, variance = self._moments()
        deviation = ops.maximum(ops.sqrt(variance), epsilon())
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""

        def plain(side: Any) -> Any:
            return None if side is None else np.asarray(side).tolist()

        return {
            **super().get_config(),
            "axis": self.axis,
            "mean": plain(self.input_mean),
            "variance": plain(self.input_variance),
            "invert": self.invert,
        }


class Discretization(Layer):
    """The number of the bin that holds each value; bin i is [boundary i-1, boundary i).

    Args:
        bin_boundaries: ascending numbers between the bins.
        num_bins: instead, so many bins of about equal counts in the data that `adapt` sees.
        epsilon: error of the quantiles.
        output_mode: "int", "one_hot", "multi_hot" or "count".
    """

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise InvalidArgumentError(
                "Discretization: give one of `bin_boundaries` and `num_bins`",
                got=f"bin_boundaries={bin_boundaries}, num_bins={num_bins}",
            )
        if num_bins is not None and (isinstance(num_bins, bool) or not isinstance(num_bins, int) or num_bins < 1):
            raise InvalidArgumentError(f"Discretization: num_bins={num_bins!r}", needed="a positive integer")
        self.num_bins, self.epsilon = num_bins, epsilon
        self.bin_boundaries = None if bin_boundaries is None else [float(edge) for edge in bin_boundaries]
        self.output_mode = check_mode(self, output_mode, sparse)
        steps = np.diff(self.bin_boundaries or [])
        if (steps < 0).any() and (steps > 0).any():
            raise InvalidArgumentError(
                f"Discretization {self.name!r}: `bin_boundaries` go up and down",
                got=str(self.bin_boundaries),
                needed="numbers in order",
                fix="sort them",
            )

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find boundaries with about equal counts between them.

        Args:
            data: an array, or an iterable of batches.
            steps: number of batches to read.
        """
        if self.num_bins is None:
            raise InvalidArgumentError("Discretization has `bin_boundaries` already", fix="give `num_bins` to adapt")
        summary = np.zeros((2, 0), np.float32)
        for batch in adapt_batches(data, steps):
            summary = _merge(_summary(np.asarray(batch), self.epsilon), summary, self.epsilon)
        if not summary.size:
            raise InvalidArgumentError(
                f"Discretization {self.name!r}: adapt() received no data", needed="an array, or an iterable of batches"
            )
        self.bin_boundaries = _compress(summary, 1.0 / self.num_bins)[0, :-1].tolist()

    def call(self, inputs: Any) -> Any:
        """Find the bins."""
        if self.bin_boundaries is None:
            raise InvalidArgumentError(
                f"Discretization {self.name!r} has no boundaries yet", fix="call adapt(data) or give `bin_boundaries`"
            )
        x = ops.cast(inputs, "float32")
        edges = np.asarray(self.bin_boundaries, "float32")
        if not edges.size:
            ids = ops.zeros_like(x, dtype="int32")
        else:
            # Falling boundaries count from the other side; NaN, which no comparison holds for, is above all.
            x = ops.expand_dims(x, -1)
            falls = edges[0] > edges[-1]
            passed = ops.less(x, edges) if falls else ops.logical_not(ops.less(x, edges))
            ids = ops.sum(ops.cast(passed, "int32"), axis=-1)
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        return encode(ids, self.output_mode, len(self.bin_boundaries) + 1, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, with the boundaries that were found."""
        return {
            **super().get_config(),
            "bin_boundaries": self.bin_boundaries,
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": False,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Discretization:
        """A new layer from `get_config()`."""
        config = dict(config)
        found = config.pop("bin_boundaries", None) if config.get("num_bins") is not None else None
        layer = cls(**config)
        if found is not None:
            layer.bin_boundaries = found
        return layer


def _summary(values: Array, error: float) -> Array:
    values = np.sort(np.reshape(values, [-1]).astype(np.float32))
    step = max(values.size * error, 1)
    edges = values[int(step - 1) :: int(step)]
    return np.stack([edges, np.ones_like(edges) * step])


def _merge(one: Array, other: Array, error: float) -> Array:
    both = np.concatenate((other, one), axis=1)
    return _compress(np.take(both, np.argsort(both[0]), axis=1), error)


def _compress(summary: Array, error: float) -> Array:
    """About 1 / error points of the same distribution, by interpolation of its cumulated weights."""
    if summary.shape[1] * error < 1:
        return summary
    shares = error + np.arange(0.0, 1.0, error)
    total = summary[1].cumsum()
    have = total / total[-1]
    edges, total = np.interp(shares, have, summary[0]), np.interp(shares, have, total)
    return np.stack((edges, total - np.concatenate((np.zeros(1), total[:-1])))).astype(np.float32)


class CategoryEncoding(Layer):
    """Indices 0 to num_tokens - 1 as vectors of that size.

    Args:
        num_tokens: number of indices.
        output_mode: "multi_hot" (1 for each index that occurs), "one_hot" (a vector per index) or "count".
    """

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_tokens = positive(self, "num_tokens", num_tokens)
        self.output_mode = check_mode(self, output_mode, sparse, _MODES[1:])
        self.autocast = False

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        """Encode."""
        if count_weights is not None and self.output_mode != "count":
            raise InvalidArgumentError(
                f"CategoryEncoding {self.name!r}: `count_weights` goes with output_mode='count'",
                got=f"output_mode={self.output_mode!r}",
            )
        return encode(ops.cast(inputs, "int32"), self.output_mode, self.num_tokens, self.compute_dtype, count_weights)

    def _input_dtype(self) -> str:
        return "int32"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"num_tokens": self.num_tokens, "output_mode": self.output_mode, "sparse": False}
        return {**super().get_config(), **own}
