"""Ops that move, repeat or make elements without arithmetic: reshape, transpose, broadcast_to, concat, split, slice,
pad, reverse, iota, dim_size, constant.

Sizes in attributes may be symbolic; the reference functions receive them as numbers, evaluated by the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError, InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim, DimLike, Shape, shape_text, shape_volume
from kgraph.ir.graph import Node, Value, literal
from kgraph.ir.opdef import VIEW, Attrs, Grads, define_op, no_gradient
from kgraph.ir.ops.rules import expect_count, normal_axes, normal_axis, unbroadcast
from kgraph.ir.types import TensorType, dtype_of_numpy, numpy_dtype

if TYPE_CHECKING:
    from kgraph.ir.builder import Builder

__all__ = ["zeros"]

Array = npt.NDArray[Any]


def zeros(b: Builder, type: TensorType) -> Value:
    """A tensor of zeros; stands for the gradient of a result that nobody used."""
    value: Value = b.op("broadcast_to", literal(0.0, type.dtype), shape=type.shape)
    return value


def _check_shape(op: str, shape: Sequence[Any]) -> Shape:
    """`shape` when it is a tuple of sizes.

    Raises:
        ShapeError: a size is negative or no size at all.
    """
    for axis, dim in enumerate(shape):
        if isinstance(dim, bool) or not isinstance(dim, (int, Dim)) or (isinstance(dim, int) and dim < 0):
            raise ShapeError(
                f"{op} cannot make the shape [{', '.join(str(d) for d in shape)}]",
                got=f"{dim!r} as size of axis {axis}",
                needed="sizes of 0 or more; -1 is resolved before the IR",
            )
    return tuple(shape)


# -- reshape --------------------------------------------------------------------------------------------------------


def _infer_reshape(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("reshape", types, 1)
    (x,) = types
    shape = _check_shape("reshape", attrs["shape"])
    if x.volume != shape_volume(shape):
        raise ShapeError(
            f"reshape cannot turn {x} into {shape_text(shape)}",
            got=f"{x.volume} elements for {shape_volume(shape)} places",
        )
    return [x.with_shape(shape)]


def _reshape_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    return [b.op("reshape", dy, shape=node.operands[0].shape)]


define_op(
    "reshape",
    doc="The same elements in row-major order under another shape.  x: [*S] -> [*shape] with as many elements.",
    attrs={"shape": ...},
    infer=_infer_reshape,
    reference=lambda x, shape: np.reshape(x, shape),
    vjp=_reshape_vjp,
    traits={VIEW},
)


# -- transpose ------------------------------------------------------------------------------------------------------


def _infer_transpose(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("transpose", types, 1)
    (x,) = types
    perm = attrs["perm"]
    if sorted(perm) != list(range(x.rank)):
        raise ShapeError(
            f"transpose cannot order the axes of {x} as {tuple(perm)}",
            needed=f"each of the axes 0 to {x.rank - 1} once",
        )
    return [x.with_shape(tuple(x.shape[axis] for axis in perm))]


def _transpose_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    perm = node.attrs["perm"]
    return [b.op("transpose", dy, perm=tuple(perm.index(axis) for axis in range(len(perm))))]


define_op(
    "transpose",
    doc="Axes in another order: axis i of the result is axis perm[i] of x.",
    attrs={"perm": ...},
    infer=_infer_transpose,
    reference=lambda x, perm: np.transpose(x, perm),
    vjp=_transpose_vjp,
    traits={VIEW},
)


# -- broadcast_to ---------------------------------------------------------------------------------------------------


def _infer_broadcast_to(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("broadcast_to", types, 1)
    (x,) = types
    shape = _check_shape("broadcast_to", attrs["shape"])
    lead = len(shape) - x.rank
    if lead < 0:
        raise ShapeError(f"broadcast_to cannot turn {x} into {shape_text(shape)}: it never drops axes")
    for axis, dim in enumerate(x.shape):
        if dim not in (1, shape[lead + axis]):
            raise ShapeError(
                f"broadcast_to cannot turn {x} into {shape_text(shape)}",
                got=f"axis {axis} of size {dim} for size {shape[lead + axis]}",
                needed="the same size, or 1",
            )
    return [x.with_shape(shape)]


def _broadcast_to_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    return [unbroadcast(b, dy, node.operands[0].shape)]


define_op(
    "broadcast_to",
    doc="Repeat x along axes of size 1 and along new leading axes, as NumPy does.  x: [*S] -> [*shape].",
    attrs={"shape": ...},
    infer=_infer_broadcast_to,
    reference=lambda x, shape: np.broadcast_to(x, shape),
    vjp=_broadcast_to_vjp,
    traits={VIEW},
)


# -- concat, split --------------------------------------------------------------------------------------------------


def _infer_concat(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    if not types:
        raise ShapeError("concat needs at least one operand")
    first = types[0]
    if first.rank == 0:
        raise ShapeError("concat needs tensors with an axis to join along", got=str(first))
    axis = normal_axis("concat", attrs["axis"], first.rank)
    total: DimLike = 0
    for position, type in enumerate(types):
        if type.dtype != first.dtype:
            raise DtypeError(
                "concat needs operands of one element type", got=f"{first} and {type} (operand {position})"
            )
        if type.rank != first.rank:
            raise ShapeError("concat needs operands of one rank", got=f"{first} and {type} (operand {position})")
        for i in range(first.rank):
            if i != axis and type.shape[i] != first.shape[i]:
                raise ShapeError(
                    f"concat along axis {axis} cannot join {first} and {type} (operand {position})",
                    got=f"axis {i} has sizes {first.shape[i]} and {type.shape[i]}",
                    needed=f"equal sizes on every axis but {axis}",
                )
        total = total + type.shape[axis]
    return [first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))]


def _concat_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    axis = node.attrs["axis"]
    return b.node("split", [dy], {"axis": axis, "sizes": tuple(x.shape[axis] for x in node.operands)}).results


define_op(
    "concat",
    doc="Operands joined along `axis`; their other sizes are equal.",
    attrs={"axis": ...},
    infer=_infer_concat,
    reference=lambda *xs, axis: np.concatenate(xs, axis=axis),
    vjp=_concat_vjp,
)


def _infer_split(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("split", types, 1)
    (x,) = types
    if x.rank == 0:
        raise ShapeError("split needs an axis to cut along", got=str(x))
    axis = normal_axis("split", attrs["axis"], x.rank)
    sizes = _check_shape("split", attrs["sizes"])
    total: DimLike = 0
    for size in sizes:
        total = total + size
    if not sizes or total != x.shape[axis]:
        raise ShapeError(
            f"split cannot cut axis {axis} of {x} into sizes {shape_text(sizes)}",
            got=f"sizes that add up to {total}",
            needed=f"{x.shape[axis]}, the size of that axis",
        )
    return [x.with_shape((*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes]


def _split_reference(x: Array, axis: int, sizes: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(np.split(x, np.cumsum(sizes[:-1], dtype=np.int64), axis=axis))


def _split_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    parts = [zeros(b, y.type) if dy is None else dy for y, dy in zip(node.results, grads, strict=True)]
    return [b.op("concat", *parts, axis=node.attrs["axis"])]


define_op(
    "split",
    doc="x cut along `axis` into pieces of the given `sizes`, which add up to the size of that axis; one result each.",
    attrs={"axis": ..., "sizes": ...},
    infer=_infer_split,
    reference=_split_reference,
    vjp=_split_vjp,
    traits={VIEW},
)


# -- slice ----------------------------------------------------------------------------------------------------------


def _infer_slice(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("slice", types, 1)
    (x,) = types
    starts, limits, strides = attrs["starts"], attrs["limits"], _slice_strides(attrs)
    if not len(starts) == len(limits) == len(strides) == x.rank:
        raise ShapeError(
            f"slice of {x} needs a start, a limit and a stride for each of its {x.rank} axes",
            got=f"{len(starts)} starts, {len(limits)} limits and {len(strides)} strides",
        )
    return [x.with_shape(tuple(_slice_size(x, i, starts[i], limits[i], strides[i]) for i in range(x.rank)))]


def _slice_strides(attrs: Attrs) -> tuple[int, ...]:
    strides: tuple[int, ...] = attrs["strides"]
    return strides or (1,) * len(attrs["starts"])


def _slice_size(x: TensorType, axis: int, start: DimLike, limit: DimLike, stride: int) -> DimLike:
    span, rest = limit - start, x.shape[axis] - limit
    wrong = stride < 1 or any(isinstance(number, int) and number < 0 for number in (start, span, rest))
    if wrong:
        raise ShapeError(
            f"slice cannot take {start}:{limit}:{stride} from axis {axis} of {x}",
            needed=f"0 <= start <= limit <= {x.shape[axis]} and a stride of 1 or more",
        )
    if isinstance(span, int):
        return -(-span // stride)
    for up in range(stride):  # the one multiple of the stride among these rounds up
        try:
            return (span + up) // stride
        except InvalidArgumentError:
            continue
    raise ShapeError(
        f"slice {start}:{limit}:{stride} of axis {axis} of {x} has no size that can be written",
        got=f"{span} places in steps of {stride}",
        needed=f"a multiple of {stride}, up to a known remainder",
    )


def _slice_reference(x: Array, starts: tuple[int, ...], limits: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    for axis, (start, limit) in enumerate(zip(starts, limits, strict=True)):
        if not 0 <= start <= limit <= x.shape[axis]:  # sizes that were symbolic until now
            raise ShapeError(f"slice cannot take {start}:{limit} from axis {axis} of size {x.shape[axis]}")
    strides = strides or (1,) * x.ndim
    return x[tuple(slice(*bounds) for bounds in zip(starts, limits, strides, strict=True))]


def _slice_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    x, starts, strides = node.operands[0], node.attrs["starts"], _slice_strides(node.attrs)
    taken = [_spread(dim, stride - 1) for dim, stride in zip(dy.shape, strides, strict=True)]
    high = tuple(dim - start - size for dim, start, size in zip(x.shape, starts, taken, strict=True))
    return [b.op("pad", dy, 0.0, low=starts, high=high, interior=tuple(stride - 1 for stride in strides))]


define_op(
    "slice",
    doc=(
        "x[starts[0]:limits[0]:strides[0], ...], one triple per axis; 0 <= start <= limit <= size, stride >= 1.\n"
        "`strides` may be left out for steps of 1.  Symbolic bounds are checked when the sizes are known."
    ),
    attrs={"starts": ..., "limits": ..., "strides": ()},
    infer=_infer_slice,
    reference=_slice_reference,
    vjp=_slice_vjp,
    traits={VIEW},
)


# -- pad ------------------------------------------------------------------------------------------------------------


def _spread(size: DimLike, interior: int) -> DimLike:
    """Size after `interior` places are put between neighbours."""
    return 0 if size == 0 else size + (size - 1) * interior


def _infer_pad(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("pad", types, 2)
    x, value = types
    if value.dtype != x.dtype or value.rank:
        raise DtypeError("pad needs a scalar of the tensor's element type to fill with", got=f"{x} and {value}")
    low, high, interior = attrs["low"], attrs["high"], _pad_interior(attrs)
    if not len(low) == len(high) == len(interior) == x.rank:
        raise ShapeError(
            f"pad of {x} needs low, high and interior widths for each of its {x.rank} axes",
            got=f"{len(low)} low, {len(high)} high and {len(interior)} interior widths",
        )
    shape: list[DimLike] = []
    for axis, dim in enumerate(x.shape):
        size = _spread(dim, interior[axis]) + low[axis] + high[axis]
        if interior[axis] < 0 or (isinstance(size, int) and size < 0):
            raise ShapeError(
                f"pad cannot widen axis {axis} of {x}",
                got=f"{low[axis]} before, {high[axis]} behind and {interior[axis]} between",
                needed="a size and a width between neighbours of 0 or more",
            )
        shape.append(size)
    return [x.with_shape(tuple(shape))]


def _pad_interior(attrs: Attrs) -> tuple[int, ...]:
    interior: tuple[int, ...] = attrs["interior"]
    return interior or (0,) * len(attrs["low"])


def _pad_reference(
    x: Array, value: Array, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...]
) -> Array:
    shape: list[int] = []
    source: list[slice] = []
    target: list[slice] = []
    for size, before, behind, between in zip(x.shape, low, high, interior or (0,) * x.ndim, strict=True):
        step = between + 1
        length = (size + (size - 1) * between if size else 0) + before + behind
        if length < 0:
            raise ShapeError(f"pad by {before} and {behind} takes more than the {size} elements there are")
        first = max(0, -(before // step))  # element i goes to place before + i * step; those outside are cut off
        last = min(size, (length - 1 - before) // step + 1)
        count = max(0, last - first)
        shape.append(length)
        source.append(slice(first, first + count))
        start = before + first * step
        target.append(slice(start, start + count * step, step) if count else slice(0, 0))
    result: Array = np.full(shape, value, dtype=x.dtype)
    result[tuple(target)] = x[tuple(source)]
    return result


def _pad_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    x, value = node.operands
    low, high, interior = node.attrs["low"], node.attrs["high"], _pad_interior(node.attrs)
    inner = dy
    if any(isinstance(width, int) and width < 0 for width in (*low, *high)):
        # What was cut off gets zeros; what was added is cut off: the same op with the signs turned.
        inner = b.op("pad", dy, 0.0, low=tuple(-w for w in low), high=tuple(-w for w in high))
        low = (0,) * len(low)
    spread = [_spread(dim, between) for dim, between in zip(x.shape, interior, strict=True)]
    limits = tuple(start + size for start, size in zip(low, spread, strict=True))
    dx = inner
    if dx.shape != x.shape:
        dx = b.op("slice", inner, starts=low, limits=limits, strides=tuple(between + 1 for between in interior))
    if value.literal is not None:
        return [dx, None]
    axes = tuple(range(len(x.shape)))
    return [dx, b.op("sub", b.op("sum", dy, axes=axes), b.op("sum", dx, axes=axes))]


define_op(
    "pad",
    doc=(
        "x with `interior` places put between neighbours, then `low` before and `high` behind, per axis; the new\n"
        "places hold the scalar `value`.  x: [*S], value: [] -> [s + (s - 1) * interior + low + high for s in S].\n"
        "Negative low or high cut elements off (after the interior was widened), as input gradients of convolutions\n"
        "need.  `interior` may be left out."
    ),
    attrs={"low": ..., "high": ..., "interior": ()},
    infer=_infer_pad,
    reference=_pad_reference,
    vjp=_pad_vjp,
)


# -- reverse --------------------------------------------------------------------------------------------------------


def _infer_reverse(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("reverse", types, 1)
    normal_axes("reverse", attrs["axes"], types[0].rank)
    return [types[0]]


def _reverse_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    return [b.op("reverse", dy, axes=node.attrs["axes"])]


define_op(
    "reverse",
    doc="Elements in opposite order along each of `axes`.  x: [*S] -> [*S].",
    attrs={"axes": ...},
    infer=_infer_reverse,
    reference=lambda x, axes: np.flip(x, axes),
    vjp=_reverse_vjp,
    traits={VIEW},
)


# -- iota, dim_size, constant ---------------------------------------------------------------------------------------


def _infer_iota(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("iota", types, 0)
    shape = _check_shape("iota", attrs["shape"])
    numpy_dtype(attrs["dtype"])
    if attrs["dtype"] == "bool":
        raise DtypeError("iota counts, so it needs a type of numbers", got="bool")
    if not shape:
        raise ShapeError("iota needs an axis to count along", got="the scalar shape []")
    normal_axis("iota", attrs["axis"], len(shape))
    return [TensorType(attrs["dtype"], shape)]


def _iota_reference(shape: tuple[int, ...], axis: int, dtype: str) -> Array:
    axis %= len(shape)
    counts = np.arange(shape[axis]).astype(numpy_dtype(dtype))
    return np.broadcast_to(counts.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


define_op(
    "iota",
    doc="Each element is its own index along `axis`: 0, 1, 2, ...  -> dtype[*shape].",
    attrs={"shape": ..., "axis": 0, "dtype": "i32"},
    infer=_infer_iota,
    reference=_iota_reference,
    vjp=no_gradient,
)


def _infer_dim_size(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("dim_size", types, 0)
    _check_shape("dim_size", [attrs["dim"]])
    numpy_dtype(attrs["dtype"])
    return [TensorType(attrs["dtype"])]


define_op(
    "dim_size",
    doc="The size `dim` (a number or a symbolic size such as B) as a scalar.  -> dtype[].",
    attrs={"dim": ..., "dtype": "f32"},
    infer=_infer_dim_size,
    reference=lambda dim, dtype: np.asarray(dim, dtype=numpy_dtype(dtype)),
    vjp=no_gradient,
)


def _infer_constant(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("constant", types, 0)
    value = attrs["value"]
    if not isinstance(value, np.ndarray):
        raise DtypeError("constant needs a NumPy array", got=type(value).__name__, fix="np.asarray(value, np.float32)")
    return [TensorType(dtype_of_numpy(value.dtype), value.shape)]


def _constant_reference(value: Array) -> Array:
    view: Array = value.view()
    view.flags.writeable = False
    return view


define_op(
    "constant",
    doc="A fixed array.  -> dtype and shape of `value`, a NumPy array that nobody may write to afterwards.",
    attrs={"value": ...},
    infer=_infer_constant,
    reference=_constant_reference,
    vjp=no_gradient,
)
