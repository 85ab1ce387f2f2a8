"""Tensors made of numbers: grids, ranges with other spacings, windows of signal processing, Vandermonde matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import standardize_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.dims import shape_volume
from kgraph.ops import making, math, shaping
from kgraph.ops.convert import active, as_tensor, common, emit

__all__ = [
    "array",
    "bartlett",
    "blackman",
    "empty_like",
    "geomspace",
    "hamming",
    "hanning",
    "is_tensor",
    "kaiser",
    "linspace",
    "logspace",
    "meshgrid",
    "tri",
    "unravel_index",
    "vander",
]


@operation
def array(x: Any, dtype: Any = None) -> Any:
    """`x` as a tensor; outside of models and traces a NumPy array."""
    return as_tensor(x, dtype)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor: an array of NumPy, or a symbolic or traced tensor.  Variables are none, as in Keras."""
    return isinstance(x, (np.ndarray, TracedTensor, SymbolicTensor)) and not isinstance(x, Variable)


@operation
def empty_like(x: Any, dtype: Any = None) -> Any:
    """Zeros of the shape and type of x: nothing here is ever uninitialised."""
    return making.zeros_like(x, dtype)


@operation
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on and below the k-th diagonal of an N by M matrix, zeros above."""
    return emit("constant", value=np.tri(N, M, k, dtype=standardize_dtype(dtype)))


def _is_open(*values: Any) -> bool:
    """Whether a value is a tensor, whose elements are not known here."""
    return any(isinstance(value, (TracedTensor, Variable)) for value in values)


def _made(values: Any, dtype: Any) -> Any:
    return emit("constant", value=np.asarray(values).astype(standardize_dtype(dtype)))


def _spaced(start: Any, stop: Any, num: int, endpoint: bool, axis: int) -> tuple[Any, Any]:
    """Evenly spaced values between tensors along a new axis, and their distance."""
    first, last = (as_tensor(x) for x in common(as_tensor(start), as_tensor(stop), floating=True))
    parts = max(num - 1 if endpoint else num, 1)
    step = math.divide(math.subtract(last, first), float(parts))
    places = shaping.reshape(making.arange(num, dtype=step.dtype), (num, *(1,) * len(step.dims)))
    return shaping.moveaxis(math.add(first, math.multiply(places, step)), 0, axis), step


@operation
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced numbers from start to stop (without stop where `endpoint` is False).

    Args:
        start, stop: numbers, or tensors between which the numbers run along a new axis.
        num: how many.
        endpoint: whether `stop` is the last one.
        retstep: return their distance too.
        dtype: of the result.
        axis: the new axis.
    """
    if _is_open(start, stop):
        values, step = _spaced(start, stop, int(num), endpoint, axis)
        values = values if dtype is None else math.cast(values, dtype)
        return (values, step) if retstep else values
    values, step = np.linspace(start, stop, num, endpoint, retstep=True, axis=axis)
    made = _made(values, dtype)
    return (made, _made(step, None)) if retstep else made


@operation
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: float = 10, dtype: Any = None, axis: int = 0
) -> Any:
    """`num` numbers from base ** start to base ** stop, evenly spaced on a logarithmic scale."""
    if _is_open(start, stop, base):
        values = math.power(base, _spaced(start, stop, int(num), endpoint, axis)[0])
        return values if dtype is None else math.cast(values, dtype)
    return _made(np.logspace(start, stop, num, endpoint, base, axis=axis), dtype)


@operation
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """`num` numbers from start to stop (of one sign), each the same multiple of the one before."""
    if _is_open(start, stop):
        low, high = (math.log(math.abs(x)) for x in common(as_tensor(start), as_tensor(stop), floating=True))
        sign = shaping.expand_dims(math.sign(as_tensor(start)), 0)
        values = math.multiply(sign, math.exp(_spaced(low, high, int(num), endpoint, 0)[0]))
        values = shaping.moveaxis(values, 0, axis)
        return values if dtype is None else math.cast(values, dtype)
    return _made(np.geomspace(start, stop, num, endpoint, axis=axis), dtype)


@operation
def meshgrid(*x: Any, indexing: str = "xy") -> Any:
    """For each vector a tensor in which it runs along an axis of its own.

    Args:
        x: vectors.
        indexing: `"ij"` gives the i-th vector axis i; `"xy"` exchanges the first two.

    Raises:
        InvalidArgumentError: another indexing.
        ShapeError: no vectors.
    """
    if indexing not in ("xy", "ij"):
        raise InvalidArgumentError(f"meshgrid has no indexing {indexing!r}", needed="'xy' or 'ij'")
    vectors = [as_tensor(item) for item in x]
    if any(len(vector.dims) > 1 for vector in vectors):
        raise ShapeError("meshgrid needs vectors", got=", ".join(str(vector.shape) for vector in vectors))
    axes = list(range(len(vectors)))
    if indexing == "xy" and len(axes) > 1:
        axes[0], axes[1] = 1, 0
    sizes = [shape_volume(vectors[axes.index(axis)].dims) for axis in range(len(axes))]
    return [
        shaping.broadcast_to(shaping.reshape(vector, tuple(-1 if i == axis else 1 for i in range(len(axes)))), sizes)
        for vector, axis in zip(vectors, axes)
    ]


# -- windows --------------------------------------------------------------------------------------------------------
def _window(name: str, x: Any, make: Callable[[int], Any]) -> Any:
    if isinstance(x, (TracedTensor, SymbolicTensor)):
        raise UnsupportedError(
            f"ops.{name} needs a number as length, not a tensor of a model: the shape would not be known",
            where=str(active().location()),
        )
    return emit("constant", value=np.asarray(make(int(x)), floatx()))


def _length(x: Any) -> Any:
    """A length given as a one-element array, as a number (an array would become a tensor of the trace)."""
    return int(x) if isinstance(x, (np.ndarray, np.generic)) else x


def bartlett(x: Any) -> Any:
    """Triangular window of length x, zero at both ends."""
    return _named_window("bartlett", _length(x), 0.0)


def blackman(x: Any) -> Any:
    """Blackman window 0.42 - 0.5 cos + 0.08 cos of the double angle, of length x."""
    return _named_window("blackman", _length(x), 0.0)


def hamming(x: Any) -> Any:
    """Hamming window 0.54 - 0.46 cos, of length x."""
    return _named_window("hamming", _length(x), 0.0)


def hanning(x: Any) -> Any:
    """Hann window 0.5 - 0.5 cos, of length x, zero at both ends."""
    return _named_window("hanning", _length(x), 0.0)


def kaiser(x: Any, beta: float) -> Any:
    """Kaiser window of length x; a greater beta makes it narrower."""
    return _named_window("kaiser", _length(x), float(beta))


@operation
def _named_window(name: str, x: Any, beta: float) -> Any:
    if name == "kaiser":
        return _window(name, x, lambda length: np.kaiser(length, beta))
    return _window(name, x, getattr(np, name))


# -- numbers of places ----------------------------------------------------------------------------------------------
@operation
def unravel_index(indices: Any, shape: Any) -> Any:
    """The index along each axis of a tensor of `shape`, of numbers that count its elements in row-major order."""
    rest = as_tensor(indices)
    sizes = [int(size) for size in ([shape] if isinstance(shape, (int, np.integer)) else shape)]
    found: list[Any] = []
    for size in reversed(sizes):
        found.append(math.mod(rest, size))
        rest = math.floor_divide(rest, size)
    return tuple(reversed(found))


@operation
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of each element of a vector, from N - 1 down to 0 (or rising).

    Raises:
        ShapeError: no vector, or one of unknown size without N.
    """
    tensor = as_tensor(x)
    if len(tensor.dims) != 1 or (N is None and not isinstance(tensor.dims[0], int)):
        raise ShapeError("vander needs a vector", where=str(active().location()), got=str(tensor.shape))
    count = int(str(tensor.dims[0])) if N is None else int(N)
    powers = [making.ones_like(tensor)]
    for _ in range(count - 1):
        powers.append(math.multiply(powers[-1], tensor))
    powers = powers[:count]
    return shaping.stack(powers if increasing else powers[::-1], axis=1)
