"""What several op modules do with their operands: one float type, axes brought to the end, elements picked by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kgraph.core import tree
from kgraph.core.dispatch import has_symbolic
from kgraph.core.dtypes import canonical_array, is_float_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import TracedTensor
from kgraph.core.trace import current_trace
from kgraph.core.variable import Variable
from kgraph.errors import UnsupportedError
from kgraph.ir.dims import Dim, DimLike, Shape, shape_volume
from kgraph.ops import shaping
from kgraph.ops.convert import as_tensor, cast_to, common, emit, normal_axes

__all__ = ["as_float", "as_number", "concrete", "gather_last", "last_axis", "restored", "tensors"]


def as_float(x: Any) -> TracedTensor:
    """`x` as a tensor of floats; other types become `floatx`."""
    tensor = as_tensor(x)
    return tensor if is_float_dtype(tensor.dtype) else cast_to(tensor, floatx())


def as_number(x: Any) -> TracedTensor:
    """`x` as a tensor of numbers; bool becomes int32."""
    tensor = as_tensor(x)
    return cast_to(tensor, "int32") if tensor.dtype == "bool" else tensor


def tensors(*xs: Any, floating: bool = False) -> list[TracedTensor]:
    """Operands as tensors of their common type (see `common`), plain numbers too."""
    met = common(*xs, floating=floating)
    dtype = next(x.dtype for x in met if isinstance(x, TracedTensor))
    return [as_tensor(x, dtype) for x in met]


def last_axis(x: TracedTensor, axis: Any) -> tuple[TracedTensor, tuple[int, ...]]:
    """The given axes (all for None) as one last axis: [*rest, N]; and which they were, counted from the front."""
    rank = len(x.dims)
    axes = normal_axes(axis, rank)
    rest = [i for i in range(rank) if i not in axes]
    moved = shaping.transpose(x, [*rest, *axes])
    length = shape_volume(tuple(x.dims[i] for i in axes))
    return shaping.reshape(moved, (*(x.dims[i] for i in rest), length)), axes


def restored(result: TracedTensor, dims: Shape, axes: tuple[int, ...], keepdims: bool, lead: int = 0) -> TracedTensor:
    """A result [*lead, *rest] with 1 in the place of the folded axes of `dims` when they are kept."""
    if not keepdims:
        return result
    kept = tuple(1 if i in axes else dim for i, dim in enumerate(dims))
    shaped: TracedTensor = shaping.reshape(result, (*result.dims[:lead], *kept))
    return shaped


def gather_last(x: TracedTensor, ids: TracedTensor) -> TracedTensor:
    """x[*S, N] at ids: i32[*S, K] along the last axis -> [*S, K].  An index outside [0, N) is an error of the run."""
    *lead, length = x.dims
    rows = shape_volume(tuple(lead))
    if rows == 1:
        flat = emit("gather", shaping.reshape(x, (length,)), shaping.reshape(ids, (-1,)))
        return _shaped(flat, ids.dims)
    count: DimLike = ids.dims[-1]
    row = emit("iota", shape=(rows, count), axis=0, dtype="i32")
    start = emit("mul", row, as_tensor(length, "int32") if isinstance(length, Dim) else int(length))
    places = emit("add", start, shaping.reshape(cast_to(ids, "int32"), (rows, count)))
    return _shaped(emit("gather", shaping.reshape(x, (rows * length,)), places), ids.dims)


def _shaped(x: TracedTensor, dims: Shape) -> TracedTensor:
    shaped: TracedTensor = shaping.reshape(x, dims)
    return shaped


def concrete(name: str, compute: Callable[..., Any], *args: Any, fix: str) -> Any:
    """`compute` on NumPy arrays, for what has no shape until it has values; arrays of the usual types come back.

    Raises:
        UnsupportedError: an argument has no value yet (in a model or a trace).
    """

    def value(leaf: Any) -> Any:
        if isinstance(leaf, TracedTensor) or (isinstance(leaf, Variable) and current_trace() is not None):
            raise UnsupportedError(
                f"ops.{name} works on arrays only: the shape of its result follows from the values", fix=fix
            )
        return leaf.numpy() if isinstance(leaf, Variable) else leaf

    if has_symbolic(args):
        raise UnsupportedError(
            f"ops.{name} works on arrays only: the shape of its result follows from the values", fix=fix
        )
    results = compute(*tree.map_structure(value, args))
    return tree.map_structure(lambda leaf: canonical_array(np.asarray(leaf)), results)
