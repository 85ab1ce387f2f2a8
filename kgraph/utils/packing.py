"""Batches as `train_step` gets them: `x`, `(x, y)` or `(x, y, sample_weight)`."""

from __future__ import annotations

from typing import Any

from kgraph.errors import DataError

__all__ = ["pack_x_y_sample_weight", "unpack_x_y_sample_weight"]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """One batch: `x` alone when it is no list or tuple, else a tuple without the Nones at its end.

    Args:
        x: inputs.
        y: targets.
        sample_weight: weights of the samples.
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` of a batch, None for what is not there.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; a list is a tuple.

    Raises:
        DataError: a tuple of another length.
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(
            f"a batch is a tuple of {len(data)}", needed="x, (x, y) or (x, y, sample_weight)", got=repr(data)[:200]
        )
    padded = [*data, None, None]
    return padded[0], padded[1], padded[2]
