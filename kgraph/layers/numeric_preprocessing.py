"""Preprocessing of numbers: `Normalization`, `Discretization`, `CategoryEncoding`, `Hashing`; all run natively."""

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

__all__ = ["CategoryEncoding", "Discretization", "Hashing", "Normalization", "encode"]

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


def batches(data: Any) -> list[Array]:
    """What `adapt` was given, as arrays: one array, or an iterable of batches (inputs first where they are tuples).

    Raises:
        InvalidArgumentError: there is nothing.
    """
    if isinstance(data, (list, tuple)) and not any(isinstance(item, np.ndarray) for item in data):
        data = np.asarray(data)
    if isinstance(data, np.ndarray) or hasattr(data, "__array__"):
        found = [np.asarray(data)]
    else:
        found = [np.asarray(batch[0] if isinstance(batch, tuple) else batch) for batch in data]
    if not found or not sum(batch.size for batch in found):
        raise InvalidArgumentError("adapt() received no data", needed="an array, or an iterable of batches")
    return found


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
        """Find mean and variance of an array, or of an iterable of batches."""
        parts = batches(data)
        if not self.built:
            self.build((None, *parts[0].shape[1:]))
        if self.adapt_mean is None or self.adapt_variance is None:
            raise InvalidArgumentError(f"Normalization {self.name!r} has its moments from `mean` and `variance`")
        axes = tuple(i for i in range(parts[0].ndim) if i not in self._keep)
        wide = [part.astype(np.float64) for part in parts]
        # Chan et al.: moments of parts put together without losing digits.
        mean: Any = 0.0
        variance: Any = 0.0
        seen = 0.0
        for part in wide:
            count = float(np.prod([part.shape[axis] for axis in axes], dtype=np.float64))
            share = count / (seen + count)
            now, spread = part.mean(axis=axes), part.var(axis=axes)
            new = mean * (1 - share) + now * share
            variance = (variance + (mean - new) ** 2) * (1 - share) + (spread + (now - new) ** 2) * share
            mean, seen = new, seen + count
        with eager_scope():
            self.adapt_mean.assign(np.asarray(mean, np.float32))
            self.adapt_variance.assign(np.asarray(variance, np.float32))

    def call(self, inputs: Any) -> Any:
        """Normalise."""
        x = ops.cast(inputs, self.compute_dtype)
        if self.adapt_mean is None:
            sides = [np.asarray(side, self.compute_dtype) for side in (self.input_mean, self.input_variance)]
            # Trailing axes of the moments are the last of the kept axes.
            row = [1] * len(self._row)
            for position in range(1, sides[0].ndim + 1):
                row[self._keep[-position]] = sides[0].shape[-position]
            mean, variance = (ops.convert_to_tensor(side.reshape(row)) for side in sides)
        else:
            mean, variance = (ops.reshape(side, self._row) for side in (self.adapt_mean, self.adapt_variance))
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
        self.num_bins, self.epsilon = num_bins, epsilon
        self.bin_boundaries = None if bin_boundaries is None else [float(edge) for edge in bin_boundaries]
        self.output_mode = check_mode(self, output_mode, sparse)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find boundaries with about equal counts between them."""
        if self.num_bins is None:
            raise InvalidArgumentError("Discretization has `bin_boundaries` already", fix="give `num_bins` to adapt")
        summary = np.zeros((2, 0), np.float32)
        for batch in batches(data)[:steps]:
            summary = _merge(_summary(batch, self.epsilon), summary, self.epsilon)
        self.bin_boundaries = _compress(summary, 1.0 / self.num_bins)[0, :-1].tolist()

    def call(self, inputs: Any) -> Any:
        """Find the bins."""
        if self.bin_boundaries is None:
            raise InvalidArgumentError(
                f"Discretization {self.name!r} has no boundaries yet", fix="call adapt(data) or give `bin_boundaries`"
            )
        edges = ops.convert_to_tensor(np.asarray(self.bin_boundaries, "float32"))
        above = ops.greater_equal(ops.expand_dims(ops.cast(inputs, "float32"), -1), edges)
        ids = ops.sum(ops.cast(above, "int32"), axis=-1)
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


class Hashing(Layer):
    """Whole numbers or strings as one of `num_bins` numbers, by a hash.

    Values are hashed in Python (FNV-1a of the decimal digits, or of the UTF-8 bytes, mixed with the salt), so the
    layer takes arrays, before a model.  The bins differ from TensorFlow's, which Keras uses.

    Args:
        num_bins: number of bins, with the one for `mask_value`.
        mask_value: value that always goes to bin 0.
        salt: a number or a pair of numbers; other salts give other bins.
        output_mode: "int", "one_hot", "multi_hot" or "count".
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("dtype", None)
        super().__init__(**kwargs)
        self.num_bins, self.mask_value = positive(self, "num_bins", num_bins), mask_value
        self.salt = None if salt is None else [salt, salt] if isinstance(salt, int) else list(salt)
        if self.salt is not None and len(self.salt) != 2:
            raise InvalidArgumentError(f"Hashing: argument `salt` is {salt!r}", needed="a whole number or a pair")
        self.output_mode = check_mode(self, output_mode, sparse)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Hash an array, a list or a string."""
        values = host_values(self, inputs)
        spare = 1 if self.mask_value is not None and self.num_bins > 1 else 0
        flat = [hash_text(item, self.salt) % (self.num_bins - spare) + spare for item in values.ravel().tolist()]
        ids = np.asarray(flat, "int64").reshape(values.shape)
        if spare:
            ids = np.where(values == self.mask_value, 0, ids)
        return np.asarray(
            encode(ids, self.output_mode, self.num_bins, "int64" if self.output_mode == "int" else "float32")
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "mask_value": self.mask_value,
            "salt": self.salt,
            "output_mode": self.output_mode,
            "sparse": False,
        }


def host_values(layer: Layer, inputs: Any) -> Array:
    """The input as an array of numbers or strings.

    Raises:
        UnsupportedError: it is a tensor of a model, which has no value yet.
    """
    from kgraph.core import SymbolicTensor, TracedTensor

    if isinstance(inputs, (SymbolicTensor, TracedTensor)):
        raise UnsupportedError(
            f"{type(layer).__name__} {layer.name!r} works in Python and cannot be part of a model",
            fix="apply it to the data first: x = layer(x); then train on x",
        )
    return np.asarray(inputs)


def hash_text(item: Any, salt: list[int] | None = None) -> int:
    """FNV-1a with 64 bits of the text of `item`, started from the salt, then mixed."""
    if isinstance(item, float):
        item = int(item)
    data = item if isinstance(item, bytes) else str(item).encode("utf-8")
    value = 0xCBF29CE484222325
    for number in salt or ():
        value = ((value ^ (number & 0xFFFFFFFFFFFFFFFF)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    # The last step of MurmurHash3 spreads the low bits, which the number of bins looks at.
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 33)
