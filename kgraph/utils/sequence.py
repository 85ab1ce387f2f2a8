"""Sequences of differing length as one array: `pad_sequences`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kgraph.errors import DataError, InvalidArgumentError

__all__ = ["pad_sequences"]

Array = np.ndarray[Any, np.dtype[Any]]


def pad_sequences(
    sequences: Sequence[npt.ArrayLike],
    maxlen: int | None = None,
    dtype: npt.DTypeLike = "int32",
    padding: Literal["pre", "post"] = "pre",
    truncating: Literal["pre", "post"] = "pre",
    value: float | str = 0.0,
) -> Array:
    """Make all sequences one length, by filling with `value` and cutting.

    Args:
        sequences: sequences of `(length, ...)`, the rest of the shape alike in all.
        maxlen: length of the rows; default: the longest sequence.
        dtype: of the result.
        padding: where to fill.
        truncating: where to cut.
        value: what to fill with.

    Returns:
        Array `(number of sequences, maxlen, ...)`.

    Raises:
        InvalidArgumentError: an argument has a value that means nothing.
        DataError: a sequence has no length, or its elements another shape than those before.

    Example:
        >>> pad_sequences([[1, 2, 3], [4]], maxlen=2)
        array([[2, 3],
               [0, 4]], dtype=int32)
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise InvalidArgumentError(f"pad_sequences: {name}={choice!r}", needed="'pre' or 'post'")
    if not hasattr(sequences, "__len__"):
        raise InvalidArgumentError("pad_sequences takes a list of sequences", got=type(sequences).__name__)
    for row, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise DataError("pad_sequences takes a list of sequences", got=f"sequences[{row}] = {sequence!r}")
    lengths = [len(np.asarray(sequence)) for sequence in sequences]
    if maxlen is None:
        maxlen = max(lengths, default=0)
    wide = np.dtype(dtype)
    if isinstance(value, str) and wide.kind not in "OUS":
        raise InvalidArgumentError(f"pad_sequences: value {value!r} is no {wide}", fix="use dtype=object")
    tail = next((np.asarray(s).shape[1:] for s, length in zip(sequences, lengths) if length), ())
    result = np.full((len(lengths), maxlen, *tail), value, dtype=wide)
    for row, sequence in enumerate(sequences):
        cut = np.asarray(sequence)[-maxlen:] if truncating == "pre" else np.asarray(sequence)[:maxlen]
        if not lengths[row] or not maxlen:
            continue
        if cut.shape[1:] != tail:
            raise DataError(
                "pad_sequences: elements of differing shape",
                got=f"{cut.shape[1:]} in sequences[{row}]",
                needed=f"{tail}",
            )
        if padding == "post":
            result[row, : len(cut)] = cut
        else:
            result[row, -len(cut) :] = cut
    return result
