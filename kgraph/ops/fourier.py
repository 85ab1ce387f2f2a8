"""Fourier transforms, of pairs (real part, imaginary part) of real tensors as in Keras.

On arrays NumPy computes them.  In models a transform of n = a · b points is one of a points and one of b points with
a rotation between (Cooley and Tukey, 1965), and one of few points, or of a prime number of them, a product with the
matrix of its definition: matrix products all the way, with their derivatives.
"""

from __future__ import annotations

import math as _math
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.errors import DtypeError, InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ops import math, nn, shaping, taking
from kgraph.ops.arranging import known_size
from kgraph.ops.convert import active, as_tensor
from kgraph.ops.convolution import along_axis
from kgraph.ops.on_arrays import float_array, with_arrays

__all__ = ["extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]

Pair = tuple[Any, Any]
_DIRECT = 64  # points up to which one product with the whole matrix is quicker than two with a rotation
_LARGEST = 4096  # points of a transform without factors: two matrices of 64 MiB


# -- the transform --------------------------------------------------------------------------------------------------
def _product(pair: Pair, n: int, axis: int, sign: float) -> Pair:
    """Product with the matrix exp(sign · 2πi jk / n) along an axis."""
    turns = 2.0 * np.pi * (np.outer(np.arange(n), np.arange(n)) % n) / n
    cos, sin = np.cos(turns), sign * np.sin(turns)
    re, im = pair
    if im is None:
        return along_axis(re, cos, axis), along_axis(re, sin, axis)
    real = math.subtract(along_axis(re, cos, axis), along_axis(im, sin, axis))
    return real, math.add(along_axis(re, sin, axis), along_axis(im, cos, axis))


def _transform(pair: Pair, n: int, sign: float) -> Pair:
    """The sum of x_j exp(sign · 2πi jk / n) along the last axis; an imaginary part of None is zero."""
    rank = len(pair[0].dims)
    first = next((a for a in range(_math.isqrt(n), 1, -1) if n % a == 0), 1)
    if n <= _DIRECT or first == 1:
        if n > _LARGEST:
            raise UnsupportedError(
                f"a Fourier transform of {n} points, a prime number, is too large for a model",
                fix="pad or cut to a length with small factors, e.g. a power of two",
            )
        return _product(pair, n, rank - 1, sign)
    second = n // first
    lead = pair[0].dims[:-1]
    # j = second · j1 + j2 and k = k1 + first · k2
    split = [None if x is None else shaping.reshape(x, (*lead, first, second)) for x in pair]
    re, im = _product((split[0], split[1]), first, rank - 1, sign)
    turns = 2.0 * np.pi * np.outer(np.arange(first), np.arange(second)) / n
    cos, sin = as_tensor(np.cos(turns), re.dtype), as_tensor(sign * np.sin(turns), re.dtype)
    turned = (
        math.subtract(math.multiply(re, cos), math.multiply(im, sin)),
        math.add(math.multiply(re, sin), math.multiply(im, cos)),
    )
    re, im = _transform(turned, second, sign)
    re, im = (shaping.reshape(shaping.swapaxes(x, -1, -2), (*lead, n)) for x in (re, im))
    return re, im


def _parts(what: str, x: Any) -> tuple[TracedTensor, TracedTensor]:
    """The two tensors of a pair.

    Raises:
        InvalidArgumentError: no pair.
        ShapeError: their shapes differ.
        DtypeError: no floats.
    """
    _expect_pair(what, x)
    re, im = as_tensor(x[0]), as_tensor(x[1])
    _expect_alike(what, re, im)
    return re, im


def _expect_pair(what: str, x: Any) -> None:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise InvalidArgumentError(
            f"{what} needs a pair of tensors, the real and the imaginary part", got=type(x).__name__
        )


def _expect_alike(what: str, re: Any, im: Any) -> None:
    if tuple(re.shape) != tuple(im.shape) or not len(re.shape):
        raise ShapeError(f"{what}: the two parts need one shape", got=f"{tuple(re.shape)} and {tuple(im.shape)}")
    for part in (re, im):
        if not is_float_dtype(str(part.dtype)):
            raise DtypeError(f"{what} needs floats", got=str(part.dtype), fix="cast them to float32")


def _complex(what: str, x: Any) -> Any:
    _expect_pair(what, x)
    re, im = np.asarray(x[0]), np.asarray(x[1])
    _expect_alike(what, re, im)
    return re + 1j * im


def _pair_of(values: Any, like: Any) -> Pair:
    dtype = np.asarray(like).dtype
    return np.ascontiguousarray(values.real, dtype), np.ascontiguousarray(values.imag, dtype)


@with_arrays(lambda x: _pair_of(np.fft.fft(_complex("fft", x)), x[0]))
def fft(x: Any) -> Pair:
    """Discrete Fourier transform along the last axis: X_k = sum of x_j exp(-2πi jk / n).

    Args:
        x: pair (real, imaginary) of f[*S, n].

    Raises:
        ShapeError: two shapes, or an unknown size.
        DtypeError: no floats.
    """
    re, im = _parts("fft", x)
    return _transform((re, im), known_size("fft", re, len(re.dims) - 1), -1.0)


def _both_axes(what: str, x: Any, sign: float) -> Pair:
    re, im = _parts(what, x)
    if len(re.dims) < 2:
        raise ShapeError(f"{what} needs tensors of rank 2 or more", where=str(active().location()), got=str(re.shape))
    for _ in range(2):
        turned = _transform((re, im), known_size(what, re, len(re.dims) - 1), sign)
        re, im = (shaping.swapaxes(part, -1, -2) for part in turned)
    return re, im


@with_arrays(lambda x: _pair_of(np.fft.fft2(_complex("fft2", x)), x[0]))
def fft2(x: Any) -> Pair:
    """Discrete Fourier transform along the last two axes of a pair (real, imaginary) of f[*S, m, n]."""
    return _both_axes("fft2", x, -1.0)


@with_arrays(lambda x: _pair_of(np.fft.ifft2(_complex("ifft2", x)), x[0]))
def ifft2(x: Any) -> Pair:
    """The inverse of `fft2`."""
    re, im = _both_axes("ifft2", x, 1.0)
    count = float(known_size("ifft2", re, len(re.dims) - 1) * known_size("ifft2", re, len(re.dims) - 2))
    return math.divide(re, count), math.divide(im, count)


# -- real signals ---------------------------------------------------------------------------------------------------
def _fitted(x: TracedTensor, length: int) -> TracedTensor:
    """Cut, or filled up with zeros, to a length along the last axis."""
    have = known_size("a Fourier transform", x, len(x.dims) - 1)
    if have > length:
        result: TracedTensor = taking.get_item(x, (..., slice(0, length)))
        return result
    padded: TracedTensor = shaping.pad(x, [(0, 0)] * (len(x.dims) - 1) + [(0, length - have)])
    return x if have == length else padded


def _rfft_array(x: Any, fft_length: int | None = None) -> Pair:
    array = float_array(x)
    return _pair_of(np.fft.rfft(array, fft_length), array)


@with_arrays(_rfft_array)
def rfft(x: Any, fft_length: int | None = None) -> Pair:
    """The first n // 2 + 1 coefficients of the transform of real numbers; the others are their conjugates.

    Args:
        x: f[*S, m].
        fft_length: n; the signal is cut, or filled up with zeros.  m by default.

    Raises:
        ShapeError: an unknown size.
    """
    tensor = nn._floating(x)
    n = known_size("rfft", tensor, len(tensor.dims) - 1) if fft_length is None else int(fft_length)
    pair = _transform((_fitted(tensor, n), None), n, -1.0)
    re, im = (taking.get_item(part, (..., slice(0, n // 2 + 1))) for part in pair)
    return re, im


def _irfft_array(x: Any, fft_length: int | None = None) -> Any:
    return np.asarray(np.fft.irfft(_complex("irfft", x), fft_length), np.asarray(x[0]).dtype)


@with_arrays(_irfft_array)
def irfft(x: Any, fft_length: int | None = None) -> Any:
    """The inverse of `rfft`.

    Args:
        x: pair (real, imaginary) of f[*S, m].
        fft_length: length n of the signal, 2 (m - 1) by default; the coefficients are cut, or filled up with zeros, to
            n // 2 + 1.

    Raises:
        ShapeError: two shapes, or an unknown size.
        DtypeError: no floats.
    """
    re, im = _parts("irfft", x)
    n = 2 * (known_size("irfft", re, len(re.dims) - 1) - 1) if fft_length is None else int(fft_length)
    half = n // 2 + 1
    re, im = _fitted(re, half), _fitted(im, half)
    # The imaginary parts of the first coefficient, and of the middle one of an even number, do not count.
    real = np.ones(half)
    real[[0, -1] if n % 2 == 0 else [0]] = 0.0
    im = math.multiply(im, as_tensor(real, im.dtype))
    mirrored = [shaping.flip(taking.get_item(part, (..., slice(1, (n + 1) // 2))), -1) for part in (re, im)]
    whole = shaping.concatenate([re, mirrored[0]]), shaping.concatenate([im, math.negative(mirrored[1])])
    return math.divide(_transform(whole, n, 1.0)[0], float(n))


# -- short-time transforms ------------------------------------------------------------------------------------------
@operation
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """Overlapping pieces of a signal: f[*S, n] -> f[*S, T, sequence_length], T = (n - sequence_length) // stride + 1.

    Raises:
        ShapeError: an unknown size, or a signal shorter than one piece.
    """
    tensor = as_tensor(x)
    n = known_size("extract_sequences", tensor, len(tensor.dims) - 1)
    if n < sequence_length:
        raise ShapeError(f"extract_sequences: a signal of {n} has no piece of {sequence_length}", got=str(tensor.shape))
    count = (n - sequence_length) // sequence_stride + 1
    # Pieces of the stride laid side by side: slices and one concatenation, no gather.
    across = -(-sequence_length // sequence_stride)
    blocks = shaping.reshape(
        _fitted(tensor, (count + across - 1) * sequence_stride),
        (*tensor.dims[:-1], count + across - 1, sequence_stride),
    )
    pieces = [taking.get_item(blocks, (..., slice(i, i + count), slice(None))) for i in range(across)]
    return taking.get_item(shaping.concatenate(pieces), (..., slice(0, sequence_length)))


def _overlapped(pieces: TracedTensor, stride: int) -> Any:
    """The sum of pieces f[*S, T, n] laid `stride` apart: f[*S, (T - 1) stride + n]."""
    count, n = known_size("istft", pieces, len(pieces.dims) - 2), int(str(pieces.dims[-1]))
    across = -(-n // stride)
    blocks = shaping.reshape(_fitted(pieces, across * stride), (*pieces.dims[:-1], across, stride))
    total: Any = None
    for i in range(across):
        widths = [(0, 0)] * (len(pieces.dims) - 2) + [(i, across - 1 - i), (0, 0)]
        part = shaping.pad(taking.get_item(blocks, (..., i, slice(None))), widths)
        total = part if total is None else math.add(total, part)
    flat = shaping.reshape(total, (*pieces.dims[:-2], (count + across - 1) * stride))
    return taking.get_item(flat, (..., slice(0, (count - 1) * stride + n)))


def _window(window: Any, sequence_length: int, fft_length: int) -> Any:
    """The window, with zeros on both sides up to the length of the transform.

    Raises:
        InvalidArgumentError: an unknown name, or a transform shorter than a piece.
        ShapeError: another length.
    """
    if fft_length < sequence_length:
        raise InvalidArgumentError(
            "fft_length is at least sequence_length", got=f"fft_length={fft_length}, sequence_length={sequence_length}"
        )
    if isinstance(window, str) and window not in ("hann", "hamming"):
        raise InvalidArgumentError(f"unknown window {window!r}", needed="'hann', 'hamming', None or a tensor")
    if isinstance(window, str):
        # Periodic, as for spectra: the first value is not repeated at the end.
        turns = 2.0 * np.pi * np.arange(sequence_length) / sequence_length
        share = 0.5 if window == "hann" else 0.54
        window = (share - (1.0 - share) * np.cos(turns)) if sequence_length > 1 else np.ones(1)
    before = (fft_length - sequence_length) // 2
    after = fft_length - sequence_length - before
    if window is None:
        return as_tensor(np.ones(fft_length), "float32")
    values = as_tensor(window, "float32")
    if values.dims != (sequence_length,):
        raise ShapeError(
            "the window has one value for each place of a piece", got=str(values.shape), needed=f"({sequence_length},)"
        )
    return shaping.pad(values, [(before, after)])


@operation
def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> Pair:
    """Spectra of overlapping windowed pieces of a signal: f[*S, n] -> pair of f[*S, T, fft_length // 2 + 1].

    Args:
        x: signals.
        sequence_length: places of a piece.
        sequence_stride: places from one piece to the next.
        fft_length: points of the transforms, at least `sequence_length`.
        window: `"hann"`, `"hamming"`, None, or f32[sequence_length].
        center: lay the pieces around their places, the signal reflected at its ends.

    Raises:
        InvalidArgumentError: an unknown window, or a transform shorter than a piece.
        ShapeError: an unknown size, or a window of another length.
        DtypeError: no floats.
    """
    tensor = as_tensor(x)
    if not is_float_dtype(tensor.dtype):
        raise DtypeError("stft needs floats", got=tensor.dtype, fix="cast them to float32")
    weights = _window(window, sequence_length, fft_length)
    if center:
        widths = [(0, 0)] * (len(tensor.dims) - 1) + [(fft_length // 2, fft_length // 2)]
        tensor = shaping.pad(tensor, widths, mode="reflect")
    return rfft(math.multiply(extract_sequences(tensor, fft_length, sequence_stride), weights))


@operation
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """The signal whose spectra `stft` gives: pieces weighted with the window, added, and divided by the squares.

    Args:
        x: pair (real, imaginary) of f[*S, T, fft_length // 2 + 1].
        sequence_length, sequence_stride, fft_length, window, center: as given to `stft`.
        length: places of the signal to return; all by default.

    Raises:
        InvalidArgumentError: an unknown window, or a transform shorter than a piece.
        ShapeError: an unknown size, or a window of another length.

    Source: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier transform", 1984, equation 6.
    """
    re, im = _parts("istft", x)
    if len(re.dims) < 2:
        raise ShapeError("istft needs tensors of rank 2 or more", where=str(active().location()), got=str(re.shape))
    weights = _window(window, sequence_length, fft_length)
    pieces = math.multiply(irfft((re, im), fft_length), weights)
    squares = shaping.broadcast_to(math.square(weights), (re.dims[-2], fft_length))
    total = _overlapped(squares, sequence_stride)
    y = math.divide(_overlapped(pieces, sequence_stride), math.where(math.greater(total, 1e-10), total, 1.0))
    if window is None:
        y = math.multiply(y, fft_length / sequence_stride)  # as Keras scales it
    start = fft_length // 2 if center else 0
    stop = start + length if length is not None else -(fft_length // 2) if center else None
    return taking.get_item(y, (..., slice(start, stop)))
