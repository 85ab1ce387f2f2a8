"""Reductions over the rows that share an id.  Rows whose id is not in [0, num_segments) are left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import has_symbolic, operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.errors import UnsupportedError
from kgraph.ops import math, reduction, shaping, taking
from kgraph.ops.convert import as_tensor, cast_to, emit
from kgraph.ops.operands import as_number

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]


def _segments(name: str, segment_ids: Any, num_segments: int | None) -> int:
    """The number of segments; on arrays it may be left to the ids."""
    if num_segments is not None:
        return int(num_segments)
    if isinstance(segment_ids, TracedTensor) or has_symbolic(segment_ids):
        raise UnsupportedError(
            f"ops.{name} in a model needs the number of segments: the shape of its result",
            fix="give num_segments=...",
        )
    return int(np.max(np.asarray(segment_ids))) + 1 if np.size(segment_ids) else 0


def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Sum of the rows of each segment; 0 for a segment without rows.

    Args:
        data: [N, *D].
        segment_ids: i32[N].
        num_segments: K; one more than the greatest id by default, which needs the ids as an array.
        sorted: whether the ids are in order; makes no difference here.

    Returns:
        [K, *D].

    Raises:
        UnsupportedError: in a model, without `num_segments`.
    """
    return _segment_sum(data, segment_ids, _segments("segment_sum", segment_ids, num_segments))


@operation
def _segment_sum(data: Any, segment_ids: Any, num_classes: int) -> Any:
    rows, ids = as_number(data), cast_to(as_tensor(segment_ids), "int32")
    outside = math.logical_or(math.less(ids, 0), math.greater_equal(ids, num_classes))
    # One row more, for what is in no segment.
    total = emit("scatter_add", math.where(outside, num_classes, ids), rows, rows=num_classes + 1)
    return taking.get_item(total, slice(0, num_classes))


def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Largest of the rows of each segment, element by element; the least of the type where there is no row.

    Arguments as those of `segment_sum`.
    """
    return _segment_fold(data, segment_ids, _segments("segment_max", segment_ids, num_segments), "max")


def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Smallest of the rows of each segment, element by element; the greatest of the type where there is no row.

    Arguments as those of `segment_sum`.
    """
    return _segment_fold(data, segment_ids, _segments("segment_min", segment_ids, num_segments), "min")


def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Product of the rows of each segment; 1 for a segment without rows.

    Arguments as those of `segment_sum`.
    """
    return _segment_fold(data, segment_ids, _segments("segment_prod", segment_ids, num_segments), "prod")


def _neutral(kind: str, dtype: str) -> Any:
    if kind == "prod":
        return 1
    if is_float_dtype(dtype):
        return float("-inf") if kind == "max" else float("inf")
    limits = np.iinfo(dtype)
    return int(limits.min if kind == "max" else limits.max)


@operation
def _segment_fold(data: Any, segment_ids: Any, num_classes: int, name: str) -> Any:
    """Every segment looks through all rows: no order of threads can change a bit of the result."""
    rows, ids = as_number(data), cast_to(as_tensor(segment_ids), "int32")
    numbers = emit("iota", shape=(num_classes, 1), axis=0, dtype="i32")
    member = emit("eq", numbers, shaping.expand_dims(ids, 0))
    member = shaping.reshape(member, (*member.dims, *(1 for _ in rows.dims[1:])))
    chosen = math.where(member, shaping.expand_dims(rows, 0), _neutral(name, rows.dtype))
    folds: dict[str, Any] = {"max": reduction.max, "min": reduction.min, "prod": reduction.prod}
    return folds[name](chosen, axis=1)
