"""Ops of neural networks: convolution, pooling, softmax, lookups.  Images are NHWC, kernels HWIO.

Gradients of convolution and pooling are written with the same ops, so they can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DataError, DtypeError, InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim, DimLike, Shape
from kgraph.ir.graph import Node, Value
from kgraph.ir.opdef import COMPOSITE, Attrs, Grads, Infer, define_op, no_gradient
from kgraph.ir.ops.rules import expect_count, normal_axis
from kgraph.ir.types import TensorType, is_float, is_integer, numpy_dtype

if TYPE_CHECKING:
    from kgraph.ir.builder import Builder

__all__ = ["window_output_size"]

Array = npt.NDArray[Any]
Pads = tuple[tuple[int, int], tuple[int, int]]


def window_output_size(
    op: str, axis: int, size: DimLike, window: int, stride: int, pads: tuple[int, int], dilation: int = 1
) -> DimLike:
    """Number of places of a window on an axis: (size + pads - ((window - 1) * dilation + 1)) // stride + 1.

    Raises:
        ShapeError: the window does not fit, or the number cannot be written for a symbolic size.
    """
    room = size + pads[0] + pads[1] - ((window - 1) * dilation + 1)
    if isinstance(room, int):
        if room < 0:
            raise ShapeError(
                f"{op}: a window of {window} (dilation {dilation}) does not fit on axis {axis}",
                got=f"size {size} with padding {pads[0]} and {pads[1]}",
                needed=f"at least {(window - 1) * dilation + 1} places",
            )
        return room // stride + 1
    for remainder in range(stride):
        try:
            return (room - remainder) // stride + 1
        except InvalidArgumentError:
            continue
    raise ShapeError(
        f"{op}: the output size of axis {axis} cannot be written",
        got=f"the symbolic size {size} in steps of {stride}",
        needed=f"stride 1, a fixed size, or a multiple of {stride} up to a known remainder",
    )


def _check_window(op: str, attrs: Attrs, names: Sequence[str]) -> None:
    for name in names:
        if len(attrs[name]) != 2 or any(number < 1 for number in attrs[name]):
            raise ShapeError(f"{op} needs two positive numbers as {name}", got=str(attrs[name]))
    padding = attrs["padding"]
    if len(padding) != 2 or any(len(pair) != 2 or min(pair) < 0 for pair in padding):
        raise ShapeError(f"{op} needs padding as two pairs of widths of 0 or more", got=str(padding))


def _expect_image(op: str, type: TensorType) -> None:
    if not is_float(type.dtype):
        raise DtypeError(f"{op} needs a floating-point tensor", got=str(type), fix="cast it to f32 first")
    if type.rank != 4:
        raise ShapeError(f"{op} needs images of shape [batch, height, width, channels]", got=str(type))


def _padded(x: Array, padding: Pads, fill: float = 0.0) -> Array:
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)


def _windows(x: Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int] = (1, 1)) -> Array:
    """View [N, OH, OW, C, KH, KW] of the padded image x [N, H, W, C]."""
    reach = tuple((k - 1) * d + 1 for k, d in zip(window, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
    taken: Array = view[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    return taken


def _by_group(x: Array, axis: int, groups: int) -> Array:
    """`x` with `axis` split in two: groups, members of a group."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


# -- conv2d ---------------------------------------------------------------------------------------------------------

_CONV_ATTRS: Attrs = {"strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


def _conv_type(op: str, x: TensorType, kernel: Shape, attrs: Attrs) -> TensorType:
    """Type of the result of a convolution of x with a kernel of that shape."""
    _expect_image(op, x)
    _check_window(op, attrs, ("strides", "dilation"))
    groups = attrs["groups"]
    if len(kernel) != 4 or not all(isinstance(size, int) for size in kernel[:2]):
        raise ShapeError(f"{op} needs a kernel of shape [height, width, channels in, channels out]", got=f"{kernel}")
    if groups < 1 or x.shape[3] != kernel[2] * groups:
        raise ShapeError(
            f"{op} cannot convolve {x} with a kernel for {kernel[2]} channels in {groups} groups",
            got=f"axis 3 has size {x.shape[3]}",
            needed=f"{kernel[2] * groups}: groups times axis 2 of the kernel",
        )
    if isinstance(kernel[3], Dim) or kernel[3] % groups:
        raise ShapeError(f"{op} cannot deal {kernel[3]} filters out to {groups} groups", needed="a multiple")
    sizes: list[DimLike] = []
    for i in (0, 1):
        window = kernel[i]
        assert isinstance(window, int)
        stride, pads, dilation = attrs["strides"][i], attrs["padding"][i], attrs["dilation"][i]
        sizes.append(window_output_size(op, i + 1, x.shape[i + 1], window, stride, pads, dilation))
    return x.with_shape((x.shape[0], sizes[0], sizes[1], kernel[3]))


def _infer_conv2d(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("conv2d", types, 2)
    x, kernel = types
    if x.dtype != kernel.dtype:
        raise DtypeError("conv2d needs image and kernel of one element type", got=f"{x} and {kernel}")
    return [_conv_type("conv2d", x, kernel.shape, attrs)]


def _conv2d_reference(
    x: Array, kernel: Array, strides: tuple[int, int], padding: Pads, dilation: tuple[int, int], groups: int
) -> Array:
    windows = _windows(_padded(x, padding), kernel.shape[:2], strides, dilation)
    if groups == 1:
        return np.tensordot(windows, kernel, axes=([3, 4, 5], [2, 0, 1]))
    kernels = _by_group(kernel, 3, groups)
    result: Array = np.einsum("nyxgcij,ijcgo->nyxgo", _by_group(windows, 3, groups), kernels)
    return result.reshape(*result.shape[:3], kernel.shape[3])


def _full_padding(size: DimLike, places: DimLike, window: int, stride: int, low: int, dilation: int) -> tuple[int, int]:
    """Widths to put around a result, spread by the stride, so that a window of stride 1 gives back `size` places."""
    reach = (window - 1) * dilation
    before = reach - low
    behind = size - ((places - 1) * stride + 1) - before + reach
    assert isinstance(behind, int)  # the symbols of size and places cancel
    return before, behind


def _spread_gradient(
    b: Builder, dy: Value, widths: Sequence[tuple[int, int]], strides: Sequence[int]
) -> tuple[Value, Pads]:
    """`dy` with zeros between its places and around it, and what of the padding is left for the consuming window op."""
    (top, bottom), (left, right) = widths
    if tuple(strides) == (1, 1) and min(top, bottom, left, right) >= 0:
        return dy, ((top, bottom), (left, right))
    spread: Value = b.op(
        "pad",
        dy,
        0.0,
        low=(0, top, left, 0),
        high=(0, bottom, right, 0),
        interior=(0, strides[0] - 1, strides[1] - 1, 0),
    )
    return spread, ((0, 0), (0, 0))


def _conv_input_gradient(b: Builder, dy: Value, kernel: Value, shape: Shape, attrs: Attrs) -> Value:
    """Gradient for the image of a convolution: dy, spread by the strides, convolved with the kernel turned by 180
    degrees, its channels in and out exchanged within each group.
    """
    height, width, inner, filters = kernel.shape
    assert isinstance(height, int) and isinstance(width, int) and isinstance(inner, int) and isinstance(filters, int)
    groups = attrs["groups"]
    turned = kernel if (height, width) == (1, 1) else b.op("reverse", kernel, axes=(0, 1))
    if groups == 1:
        turned = b.op("transpose", turned, perm=(0, 1, 3, 2))
    else:
        turned = b.op("reshape", turned, shape=(height, width, inner, groups, filters // groups))
        turned = b.op("transpose", turned, perm=(0, 1, 4, 3, 2))
        turned = b.op("reshape", turned, shape=(height, width, filters // groups, groups * inner))
    widths = [
        _full_padding(
            shape[i + 1],
            dy.shape[i + 1],
            (height, width)[i],
            attrs["strides"][i],
            attrs["padding"][i][0],
            attrs["dilation"][i],
        )
        for i in (0, 1)
    ]
    spread, padding = _spread_gradient(b, dy, widths, attrs["strides"])
    dx: Value = b.op("conv2d", spread, turned, padding=padding, dilation=attrs["dilation"], groups=groups)
    return dx


def _conv2d_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    x, kernel = node.operands
    dx = _conv_input_gradient(b, dy, kernel, x.shape, node.attrs)
    return [dx, b.op("conv2d_kernel_grad", x, dy, kernel_shape=kernel.shape, **node.attrs)]


define_op(
    "conv2d",
    doc=(
        "Correlation of images with a kernel, as deep learning calls convolution. x: f[N, H, W, C], kernel: f[KH,\n"
        "KW, C / groups, O] -> f[N, OH, OW, O] with OH = (H + pads - ((KH - 1) * dilation + 1)) // stride + 1.\n"
        "`padding` is ((top, bottom), (left, right)), of zeros.  Filters o of group g = o // (O / groups) see the\n"
        "g-th part of the channels; depthwise is groups = C."
    ),
    attrs=_CONV_ATTRS,
    infer=_infer_conv2d,
    reference=_conv2d_reference,
    vjp=_conv2d_vjp,
)


# -- conv2d_kernel_grad ---------------------------------------------------------------------------------------------


def _infer_conv2d_kernel_grad(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("conv2d_kernel_grad", types, 2)
    x, dy = types
    needed = _conv_type("conv2d_kernel_grad", x, attrs["kernel_shape"], attrs)
    if dy != needed:
        raise ShapeError(
            "conv2d_kernel_grad needs the gradient of the convolution's result", got=str(dy), needed=str(needed)
        )
    return [x.with_shape(attrs["kernel_shape"])]


def _conv2d_kernel_grad_reference(
    x: Array,
    dy: Array,
    kernel_shape: tuple[int, ...],
    strides: tuple[int, int],
    padding: Pads,
    dilation: tuple[int, int],
    groups: int,
) -> Array:
    windows = _windows(_padded(x, padding), kernel_shape[:2], strides, dilation)
    if groups == 1:
        return np.moveaxis(np.tensordot(windows, dy, axes=([0, 1, 2], [0, 1, 2])), 0, 2)
    result: Array = np.einsum("nyxgcij,nyxgo->ijcgo", _by_group(windows, 3, groups), _by_group(dy, 3, groups))
    return result.reshape(kernel_shape)


def _conv2d_kernel_grad_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    # Linear in x and in dy: the gradient for each is the convolution's own formula with `grad` in the kernel's place.
    (grad,) = grads
    assert grad is not None
    x, dy = node.operands
    attrs = {name: node.attrs[name] for name in _CONV_ATTRS}
    dx = _conv_input_gradient(b, dy, grad, x.shape, attrs)
    return [dx, b.op("conv2d", x, grad, **attrs)]


define_op(
    "conv2d_kernel_grad",
    doc=(
        "Gradient of conv2d for its kernel.  x: f[N, H, W, C], dy: f[N, OH, OW, O] -> f[*kernel_shape], where\n"
        "kernel_shape = (KH, KW, C / groups, O); the other attributes are those of the convolution."
    ),
    attrs={"kernel_shape": ..., **_CONV_ATTRS},
    infer=_infer_conv2d_kernel_grad,
    reference=_conv2d_kernel_grad_reference,
    vjp=_conv2d_kernel_grad_vjp,
)


# -- max_pool, max_pool_grad, sum_pool ------------------------------------------------------------------------------

_POOL_ATTRS: Attrs = {"window": ..., "strides": ..., "padding": ((0, 0), (0, 0))}


def _pool_type(op: str, x: TensorType, attrs: Attrs) -> TensorType:
    _expect_image(op, x)
    _check_window(op, attrs, ("window", "strides"))
    sizes = [
        window_output_size(op, i + 1, x.shape[i + 1], attrs["window"][i], attrs["strides"][i], attrs["padding"][i])
        for i in (0, 1)
    ]
    return x.with_shape((x.shape[0], sizes[0], sizes[1], x.shape[3]))


def _infer_pool(op: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        return [_pool_type(op, types[0], attrs)]

    return infer


def _max_pool_reference(x: Array, window: tuple[int, int], strides: tuple[int, int], padding: Pads) -> Array:
    return np.asarray(np.max(_windows(_padded(x, padding, -np.inf), window, strides), axis=(4, 5)))


def _max_pool_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    return [b.op("max_pool_grad", node.operands[0], node.results[0], dy, **node.attrs)]


define_op(
    "max_pool",
    doc=(
        "Greatest element of each window.  x: f[N, H, W, C] -> f[N, OH, OW, C], sizes as in conv2d.  Padding counts\n"
        "as -inf. NaN wins.  The first greatest element of a window, in row order, takes the whole gradient."
    ),
    attrs=_POOL_ATTRS,
    infer=_infer_pool("max_pool"),
    reference=_max_pool_reference,
    vjp=_max_pool_vjp,
)


def _infer_max_pool_grad(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("max_pool_grad", types, 3)
    x, y, dy = types
    needed = _pool_type("max_pool_grad", x, attrs)
    if y != needed or dy != needed:
        raise ShapeError(
            "max_pool_grad needs the pooled images and their gradient", got=f"{y} and {dy}", needed=f"{needed} twice"
        )
    return [x]


def _window_places(
    shape: Sequence[int], window: tuple[int, int], strides: tuple[int, int], padding: Pads
) -> Iterator[tuple[slice, ...]]:
    """For each place of the window, in row order, where it reads in the padded image as the window walks over it."""
    extents = [size + sum(pads) for size, pads in zip(shape[1:3], padding, strict=True)]
    counts = [(extents[i] - window[i]) // strides[i] + 1 for i in (0, 1)]
    for row in range(window[0]):
        for column in range(window[1]):
            rows = slice(row, row + (counts[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(column, column + (counts[1] - 1) * strides[1] + 1, strides[1])
            yield (slice(None), rows, columns, slice(None))


def _max_pool_grad_reference(
    x: Array, y: Array, dy: Array, window: tuple[int, int], strides: tuple[int, int], padding: Pads
) -> Array:
    # Only elements of x may take a gradient: where all of a window is -inf, its padding compares equal to the maximum.
    inside = _padded(np.ones(x.shape, np.bool_), padding)
    padded = _padded(x, padding)
    result = np.zeros_like(padded)
    taken = np.zeros(y.shape, np.bool_)
    for place in _window_places(x.shape, window, strides, padding):
        hit = inside[place] & ~taken & (padded[place] == y)
        taken |= hit
        result[place] += np.where(hit, dy, 0)
    (top, _), (left, _) = padding
    return result[:, top : top + x.shape[1], left : left + x.shape[2], :]


def _max_pool_grad_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    # The choice of elements does not change with x (except at ties); for dy, each window reads what it had written.
    (grad,) = grads
    assert grad is not None
    x, y, _ = node.operands
    (window, strides), ((top, bottom), (left, right)) = (
        (node.attrs["window"], node.attrs["strides"]),
        node.attrs["padding"],
    )
    widths = {"low": (0, top, left, 0), "high": (0, bottom, right, 0)}
    if top or bottom or left or right:
        x = b.op("pad", x, float("-inf"), **widths)
        grad = b.op("pad", grad, 0.0, **widths)
    total: Value | None = None
    taken: Value | None = None
    for row in range(window[0]):
        for column in range(window[1]):
            attrs = _place_slice(x.shape, y.shape, (row, column), strides)
            hit = b.op("eq", b.op("slice", x, **attrs), y)
            if taken is not None:
                hit, taken = b.op("logical_and", hit, b.op("logical_not", taken)), b.op("logical_or", taken, hit)
            else:
                taken = hit
            part = b.op("select", hit, b.op("slice", grad, **attrs), 0.0)
            total = part if total is None else b.op("add", total, part)
    return [None, None, total]


def _place_slice(x: Shape, y: Shape, place: tuple[int, int], strides: tuple[int, int]) -> dict[str, Any]:
    """Attributes of the slice that reads one place of every window."""
    limits = [start + (count - 1) * stride + 1 for start, count, stride in zip(place, y[1:3], strides, strict=True)]
    return {"starts": (0, *place, 0), "limits": (x[0], *limits, x[3]), "strides": (1, *strides, 1)}


define_op(
    "max_pool_grad",
    doc=(
        "Gradient of max_pool.  x: f[N, H, W, C], y, dy: f[N, OH, OW, C] -> f[N, H, W, C]: each window adds its dy\n"
        "to its first element equal to y.  Where y is NaN no element is.  Padding takes none."
    ),
    attrs=_POOL_ATTRS,
    infer=_infer_max_pool_grad,
    reference=_max_pool_grad_reference,
    vjp=_max_pool_grad_vjp,
)


def _sum_pool_reference(x: Array, window: tuple[int, int], strides: tuple[int, int], padding: Pads) -> Array:
    return np.asarray(np.sum(_windows(_padded(x, padding), window, strides), axis=(4, 5)))


def _sum_pool_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    shape, window, strides = node.operands[0].shape, node.attrs["window"], node.attrs["strides"]
    widths = [
        _full_padding(shape[i + 1], dy.shape[i + 1], window[i], strides[i], node.attrs["padding"][i][0], 1)
        for i in (0, 1)
    ]
    spread, padding = _spread_gradient(b, dy, widths, strides)
    return [b.op("sum_pool", spread, window=window, strides=(1, 1), padding=padding)]


define_op(
    "sum_pool",
    doc=(
        "Sum of each window; padding counts as 0.  x: f[N, H, W, C] -> f[N, OH, OW, C], sizes as in conv2d.\n"
        "Average pooling divides it by the window's size, or by the sum_pool of ones."
    ),
    attrs=_POOL_ATTRS,
    infer=_infer_pool("sum_pool"),
    reference=_sum_pool_reference,
    vjp=_sum_pool_vjp,
)


# -- softmax, log_softmax -------------------------------------------------------------------------------------------


def _infer_softmax(op: str) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, 1)
        (x,) = types
        if not is_float(x.dtype):
            raise DtypeError(f"{op} needs a floating-point tensor", got=str(x), fix="cast it to f32 first")
        if x.rank == 0:
            raise ShapeError(f"{op} needs an axis to run along", got=str(x))
        axis = normal_axis(op, attrs["axis"], x.rank)
        if x.shape[axis] == 0:
            raise ShapeError(f"{op} of no elements is not defined", got=f"{x}, whose axis {axis} has size 0")
        return [x]

    return infer


def _shifted(b: Builder, node: Node) -> Value:
    """Operand minus its greatest element: without it, exp overflows at 89 in f32."""
    x = node.operands[0]
    shifted: Value = b.op("sub", x, b.op("max", x, axes=(node.attrs["axis"],), keepdims=True))
    return shifted


def _softmax_reference(x: Array, axis: int) -> Array:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return np.asarray(e / np.sum(e, axis=axis, keepdims=True))


def _softmax_decompose(b: Builder, node: Node) -> Sequence[Value]:
    e = b.op("exp", _shifted(b, node))
    return [b.op("div", e, b.op("sum", e, axes=(node.attrs["axis"],), keepdims=True))]


def _softmax_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    (y,) = node.results
    inner = b.op("sum", b.op("mul", dy, y), axes=(node.attrs["axis"],), keepdims=True)
    return [b.op("mul", b.op("sub", dy, inner), y)]


define_op(
    "softmax",
    doc="exp(x) / sum(exp(x)) along `axis`, shifted by the greatest element.  x: f[*S] -> f[*S].",
    attrs={"axis": -1},
    infer=_infer_softmax("softmax"),
    reference=_softmax_reference,
    vjp=_softmax_vjp,
    traits={COMPOSITE},
    decompose=_softmax_decompose,
)


def _log_softmax_reference(x: Array, axis: int) -> Array:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


def _log_softmax_decompose(b: Builder, node: Node) -> Sequence[Value]:
    shifted = _shifted(b, node)
    total = b.op("sum", b.op("exp", shifted), axes=(node.attrs["axis"],), keepdims=True)
    return [b.op("sub", shifted, b.op("log", total))]


def _log_softmax_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    (y,) = node.results
    total = b.op("sum", dy, axes=(node.attrs["axis"],), keepdims=True)
    return [b.op("sub", dy, b.op("mul", b.op("exp", y), total))]


define_op(
    "log_softmax",
    doc="x - log(sum(exp(x))) along `axis`, shifted by the greatest element.  x: f[*S] -> f[*S].",
    attrs={"axis": -1},
    infer=_infer_softmax("log_softmax"),
    reference=_log_softmax_reference,
    vjp=_log_softmax_vjp,
    traits={COMPOSITE},
    decompose=_log_softmax_decompose,
)


# -- gather, scatter_add, scatter_rows, one_hot ---------------------------------------------------------------------


def _expect_ids(op: str, ids: TensorType) -> None:
    if not is_integer(ids.dtype):
        raise DtypeError(f"{op} needs integer indices", got=str(ids), fix="cast them to i32 first")


def _check_range(op: str, ids: Array, rows: int) -> None:
    if ids.size and (ids.min() < 0 or ids.max() >= rows):
        wrong = ids[(ids < 0) | (ids >= rows)]
        raise DataError(
            f"{op}: an index is out of range",
            got=f"{wrong.flat[0]}",
            needed=f"0 to {rows - 1}" if rows else "a row to take",
        )


def _infer_gather(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("gather", types, 2)
    table, ids = types
    _expect_ids("gather", ids)
    if table.rank == 0:
        raise ShapeError("gather needs a table with rows to take", got=str(table))
    return [table.with_shape((*ids.shape, *table.shape[1:]))]


def _gather_reference(table: Array, ids: Array) -> Array:
    _check_range("gather", ids, table.shape[0])
    return np.asarray(table[ids])


def _gather_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    table, ids = node.operands
    return [b.op("scatter_add", ids, dy, rows=table.shape[0]), None]


define_op(
    "gather",
    doc="Rows of a table.  table: [R, *S], ids: integer[*I] -> [*I, *S].  0 <= id < R, else DataError.",
    infer=_infer_gather,
    reference=_gather_reference,
    vjp=_gather_vjp,
)


def _infer_scatter_add(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("scatter_add", types, 2)
    ids, updates = types
    _expect_ids("scatter_add", ids)
    if updates.dtype == "bool":
        raise DtypeError("scatter_add needs numbers", got=str(updates), fix="cast them first")
    if updates.shape[: ids.rank] != ids.shape:
        raise ShapeError(
            "scatter_add needs one update for each index",
            got=f"ids {ids} and updates {updates}",
            needed=f"updates whose first axes are those of the ids, {ids.rank} in number",
        )
    rows = attrs["rows"]
    if isinstance(rows, int) and rows < 0:
        raise ShapeError("scatter_add cannot make a table of a negative number of rows", got=str(rows))
    return [updates.with_shape((rows, *updates.shape[ids.rank :]))]


def _scatter_add_reference(ids: Array, updates: Array, rows: int) -> Array:
    _check_range("scatter_add", ids, rows)
    result: Array = np.zeros((rows, *updates.shape[ids.ndim :]), updates.dtype)
    np.add.at(result, ids, updates)
    return result


def _scatter_add_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    (dy,) = grads
    assert dy is not None
    return [None, b.op("gather", dy, node.operands[0])]


define_op(
    "scatter_add",
    doc=(
        "A table of zeros with updates added to its rows in row-major order of the ids. ids: integer[*I], updates:\n"
        "number[*I, *S] -> number[rows, *S].  0 <= id < rows, else DataError."
    ),
    attrs={"rows": ...},
    infer=_infer_scatter_add,
    reference=_scatter_add_reference,
    vjp=_scatter_add_vjp,
)


def _scatter_rows_reference(ids: Array, updates: Array, rows: int) -> tuple[Array, Array]:
    hit = np.zeros(rows, np.bool_)
    sums = _scatter_add_reference(ids, updates, rows)
    hit[ids] = True
    return sums, hit


def _scatter_rows_vjp(b: Builder, node: Node, grads: Sequence[Value | None]) -> Grads:
    dy = grads[0]
    return [None, None] if dy is None else [None, b.op("gather", dy, node.operands[0])]


define_op(
    "scatter_rows",
    doc=(
        "scatter_add, and which rows got an update.  ids: integer[*I], updates: number[*I, *S] -> number[rows, *S],\n"
        "bool[rows].  A kernel leaves rows that got none unwritten: readers must select by the second result."
    ),
    attrs={"rows": ...},
    infer=lambda types, attrs: [*(sums := _infer_scatter_add(types, attrs)), TensorType("bool", sums[0].shape[:1])],
    reference=_scatter_rows_reference,
    vjp=_scatter_rows_vjp,
)


def _infer_one_hot(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("one_hot", types, 1)
    (ids,) = types
    _expect_ids("one_hot", ids)
    numpy_dtype(attrs["dtype"])
    depth = attrs["depth"]
    if isinstance(depth, int) and depth < 0:
        raise ShapeError("one_hot cannot make rows of a negative length", got=str(depth))
    return [TensorType(attrs["dtype"], (*ids.shape, depth))]


define_op(
    "one_hot",
    doc=(
        "1 at the place of the id, else 0.  ids: integer[*I] -> dtype[*I, depth].  An id out of range gives a row\n"
        "of zeros."
    ),
    attrs={"depth": ..., "dtype": "f32"},
    infer=_infer_one_hot,
    reference=lambda ids, depth, dtype: (ids[..., None] == np.arange(depth)).astype(numpy_dtype(dtype)),
    vjp=no_gradient,
)
