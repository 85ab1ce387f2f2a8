"""Images seen through a map of coordinates: affine, perspective and elastic maps, and `map_coordinates` in general.

All of them look cells up in a table by number (`sample`), so that one `gather` with its derivative serves each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ops import filtering, making, math, nn, shaping, taking
from kgraph.ops.convert import active, as_tensor, cast_to

__all__ = ["affine_transform", "elastic_transform", "map_coordinates", "perspective_transform"]

_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
_ORDERS = {"nearest": 0, "bilinear": 1}


def _fold(position: Any, size: int, mode: str) -> Any:
    """Coordinates brought into [0, size - 1] as the fill mode says; float tensors in, float tensors out."""
    last = float(size - 1)

    def modulo(x: Any, period: float) -> Any:
        return math.subtract(x, math.multiply(math.floor(math.divide(x, period)), period))

    if mode == "wrap":
        return modulo(position, float(size))
    if mode == "reflect":  # (d c b a | a b c d | d c b a)
        inside = modulo(math.add(position, 0.5), 2.0 * size)
        return math.subtract(math.minimum(inside, math.subtract(2.0 * size, inside)), 0.5)
    if mode == "mirror" and size > 1:  # (d c b | a b c d | c b a)
        inside = modulo(position, 2.0 * last)
        return math.minimum(inside, math.subtract(2.0 * last, inside))
    return math.clip(position, 0.0, last)


def _half_away(x: Any) -> Any:
    """Nearest whole number, halves away from 0."""
    return math.multiply(math.sign(x), math.floor(math.add(math.abs(x), 0.5)))


def _checked(what: str, interpolation: str, fill_mode: str) -> int:
    """The order of the interpolation.

    Raises:
        InvalidArgumentError: an unknown name.
    """
    if interpolation not in _ORDERS or fill_mode not in _FILL_MODES:
        raise InvalidArgumentError(
            f"{what}: interpolation {interpolation!r}, fill_mode {fill_mode!r}",
            needed=f"nearest or bilinear; {' or '.join(_FILL_MODES)}",
        )
    return _ORDERS[interpolation]


def sample(
    table: TracedTensor,
    start: Any,
    coordinates: Sequence[Any],
    sizes: Sequence[int],
    order: int,
    fill_mode: str,
    fill_value: Any,
) -> Any:
    """Values between the cells of a grid.

    Args:
        table: f[cells, *rest], cells of one or more grids one after the other, in row-major order.
        start: number of a grid's first cell, i32, broadcastable to [*S]; or 0.
        coordinates: for each axis of the grid f32[*S], in cells; what is not finite counts as outside.
        sizes: cells of the grid along each axis.
        order: 0 takes the nearest cell, 1 interpolates linearly.
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
        fill_value: for "constant".

    Returns:
        f[*S, *rest].
    """
    places = [math.where(math.isfinite(x), x, -2.0) for x in coordinates]

    def pick(corner: Sequence[Any]) -> Any:
        cell: Any = start
        valid: Any = None
        stride = int(np.prod(sizes))
        for x, size in zip(corner, sizes):
            stride //= size
            # Rounded, since a division in `_fold` may leave a whole number by a hair.
            inside = cast_to(math.round(math.clip(_fold(x, size, fill_mode), 0.0, float(size - 1))), "int32")
            cell = math.add(cell, math.multiply(inside, stride))
            within = math.logical_and(math.greater_equal(x, 0.0), math.less_equal(x, float(size - 1)))
            valid = within if valid is None else math.logical_and(valid, within)
        found = taking.take(table, cell, axis=0)
        if fill_mode != "constant":
            return found
        extra = len(found.dims) - len(valid.dims)
        if extra:
            valid = shaping.reshape(valid, (*valid.dims, *(1,) * extra))
        return math.where(valid, found, cast_to(as_tensor(fill_value), found.dtype))

    if order == 0:
        return pick([_half_away(x) for x in places])
    low = [math.floor(x) for x in places]
    high = [math.subtract(x, under) for x, under in zip(places, low)]
    total: Any = None
    for choice in product((0, 1), repeat=len(places)):
        corner = [math.add(under, 1.0) if up else under for under, up in zip(low, choice)]
        weight: Any = 1.0
        for share, up in zip(high, choice):
            weight = math.multiply(weight, share if up else math.subtract(1.0, share))
        found = pick(corner)
        extra = len(found.dims) - len(weight.dims)
        part = math.multiply(found, shaping.reshape(weight, (*weight.dims, *(1,) * extra)) if extra else weight)
        total = part if total is None else math.add(total, part)
    return total


class _Batch:
    """Images as one table of cells with known height and width, and the way back."""

    def __init__(self, what: str, images: Any, data_format: str | None) -> None:
        given = as_tensor(images)
        if len(given.dims) not in (3, 4):
            raise ShapeError(
                f"{what} needs one image or a batch of images",
                where=str(active().location()),
                got=str(given.shape),
                needed="rank 3 or 4",
            )
        self.dtype = given.dtype
        self.single = len(given.dims) == 3
        self.first = nn._channels_first(data_format)
        x = nn._floating(shaping.expand_dims(given, 0) if self.single else given)
        x = nn._last(x, self.first)
        self.batch, height, width, self.channels = x.dims
        if not isinstance(height, int) or not isinstance(width, int):
            raise ShapeError(
                f"{what} needs a known height and width", where=str(active().location()), got=str(given.shape)
            )
        self.height, self.width = height, width
        self.table = shaping.reshape(x, (self.batch * height * width, self.channels))

    def grid(self) -> tuple[Any, Any]:
        """(row, column) of each cell, f32[1, H·W]."""
        grids = np.meshgrid(np.arange(self.height), np.arange(self.width), indexing="ij")
        rows, columns = (as_tensor(np.asarray(grid, "float32").reshape(1, -1)) for grid in grids)
        return rows, columns

    def seen(self, rows: Any, columns: Any, order: int, fill_mode: str, fill_value: Any) -> Any:
        """The images whose cell i shows the place (rows[n, i], columns[n, i])."""
        start = math.multiply(shaping.reshape(making.arange(self.batch), (self.batch, 1)), self.height * self.width)
        y = sample(self.table, start, (rows, columns), (self.height, self.width), order, fill_mode, fill_value)
        y = shaping.reshape(y, (self.batch, self.height, self.width, self.channels))
        y = shaping.moveaxis(y, -1, 1) if self.first else y
        if not is_float_dtype(self.dtype):
            y = cast_to(_half_away(y), self.dtype)
        return shaping.squeeze(y, 0) if self.single else y


def _linear(coefficients: TracedTensor, at: int, rows: Any, columns: Any) -> Any:
    """A x + b y + c with the coefficients [N, ...] from number `at` on; x counts columns, y rows."""
    a, b, c = (taking.get_item(coefficients, (slice(None), slice(at + i, at + i + 1))) for i in range(3))
    return math.add(math.add(math.multiply(a, columns), math.multiply(b, rows)), c)


@operation
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Any:
    """Each image seen through an affine map: output (x, y) is input (a0 x + a1 y + a2, b0 x + b1 y + b2).

    Args:
        images: f32[N, H, W, C] or f32[H, W, C].
        transform: f32[N, 8] or f32[8], rows (a0, a1, a2, b0, b1, b2, 0, 0).
        interpolation: "nearest" or "bilinear".
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
        fill_value: for "constant".
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: height or width is not known.
        InvalidArgumentError: an unknown mode.
    """
    order = _checked("affine_transform", interpolation, fill_mode)
    batch = _Batch("affine_transform", images, data_format)
    matrix = nn._floating(transform)
    if len(matrix.dims) == 1:
        matrix = shaping.expand_dims(matrix, 0)
    rows, columns = batch.grid()
    return batch.seen(
        _linear(matrix, 3, rows, columns), _linear(matrix, 0, rows, columns), order, fill_mode, fill_value
    )


# -- perspective ----------------------------------------------------------------------------------------------------
def _from_unit_square(points: TracedTensor) -> list[list[Any]]:
    """The matrix (3 by 3, of tensors f32[N]) that takes (0, 0), (1, 0), (1, 1), (0, 1) to four points f32[N, 4, 2].

    Source: P. Heckbert, "Fundamentals of texture mapping and image warping", 1989, section 2.2.3; here times the
    common divisor, so that nothing is divided.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        (taking.get_item(points, (slice(None), i, 0)), taking.get_item(points, (slice(None), i, 1))) for i in range(4)
    )
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    w = dx1 * dy2 - dx2 * dy1
    g, h = dx3 * dy2 - dx2 * dy3, dx1 * dy3 - dx3 * dy1
    return [
        [(x1 - x0) * w + g * x1, (x3 - x0) * w + h * x3, x0 * w],
        [(y1 - y0) * w + g * y1, (y3 - y0) * w + h * y3, y0 * w],
        [g, h, w],
    ]


def _adjugate(m: list[list[Any]]) -> list[list[Any]]:
    """The inverse of a 3 by 3 matrix times its determinant."""

    def minor(i: int, j: int) -> Any:
        (a, b), (c, d) = [[m[r][s] for s in range(3) if s != j] for r in range(3) if r != i]
        return a * d - b * c if (i + j) % 2 == 0 else b * c - a * d

    return [[minor(j, i) for j in range(3)] for i in range(3)]


def homography(start: TracedTensor, end: TracedTensor) -> TracedTensor:
    """f32[N, 8]: (h0, ..., h7) with start = (h0 x + h1 y + h2, h3 x + h4 y + h5) / (h6 x + h7 y + 1) for (x, y) = end,
    for four pairs of points f32[N, 4, 2].  Not finite where three of the end points lie on a line.
    """
    to, back = _from_unit_square(start), _adjugate(_from_unit_square(end))
    flat = [math.add(math.add(to[i][0] * back[0][j], to[i][1] * back[1][j]), to[i][2] * back[2][j])
            for i in range(3) for j in range(3)]  # fmt: skip
    result: TracedTensor = shaping.stack([math.divide(x, flat[8]) for x in flat[:8]], axis=-1)
    return result


@operation
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Any:
    """Images seen in another perspective: the points `start_points` of the input come to lie at `end_points`.

    Args:
        images: f32[N, H, W, C] or f32[H, W, C].
        start_points, end_points: f32[N, 4, 2] or f32[4, 2], pairs (x, y) in cells.
        interpolation: "nearest" or "bilinear".
        fill_value: what lies outside.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: the points are no four pairs, or height or width is not known.
        InvalidArgumentError: an unknown interpolation.
    """
    order = _checked("perspective_transform", interpolation, "constant")
    batch = _Batch("perspective_transform", images, data_format)
    points = [cast_to(as_tensor(x), "float32") for x in (start_points, end_points)]
    points = [shaping.expand_dims(x, 0) if len(x.dims) == 2 else x for x in points]
    if any(len(x.dims) != 3 or x.dims[1:] != (4, 2) for x in points):
        raise ShapeError(
            "perspective_transform needs four points (x, y) for each image",
            where=str(active().location()),
            got=f"start_points {points[0].shape}, end_points {points[1].shape}",
            needed="(4, 2), or (N, 4, 2)",
        )
    h = homography(points[0], points[1])
    rows, columns = batch.grid()
    g0, g1 = (taking.get_item(h, (slice(None), slice(i, i + 1))) for i in (6, 7))
    below = math.add(math.add(math.multiply(g0, columns), math.multiply(g1, rows)), 1.0)
    across, down = (math.divide(_linear(h, at, rows, columns), below) for at in (0, 3))
    return batch.seen(down, across, order, "constant", fill_value)


# -- any coordinates ------------------------------------------------------------------------------------------------
@operation
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0.0
) -> Any:
    """The values of `inputs` at coordinates between its cells.

    Args:
        inputs: tensor [S0, ..., Sr-1] of known sizes.
        coordinates: f32[r, *T], or a list of r tensors [*T].
        order: 0 takes the nearest cell, 1 interpolates linearly.
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
        fill_value: for "constant".

    Returns:
        [*T], in the type of `inputs`; whole numbers are rounded, halves away from 0.

    Raises:
        ShapeError: not one coordinate for each axis, or a size is not known.
        InvalidArgumentError: another order or fill mode.
    """
    x, where = as_tensor(inputs), nn._floating(coordinates)
    if order not in (0, 1) or fill_mode not in _FILL_MODES:
        raise InvalidArgumentError(
            f"map_coordinates: order {order!r}, fill_mode {fill_mode!r}", needed=f"0 or 1; {' or '.join(_FILL_MODES)}"
        )
    sizes = [size for size in x.dims if isinstance(size, int)]
    if len(where.dims) < 2 or where.dims[0] != len(x.dims) or len(sizes) != len(x.dims):
        raise ShapeError(
            "map_coordinates needs one coordinate for each axis of inputs, and inputs of known sizes",
            where=str(active().location()),
            got=f"inputs {x.shape}, coordinates {where.shape}",
            needed=f"coordinates ({len(x.dims)}, ...)",
        )
    whole = not is_float_dtype(x.dtype)
    table = shaping.reshape(cast_to(x, "float32") if whole else x, (-1,))
    found = sample(table, 0, shaping.unstack(where, axis=0), sizes, order, fill_mode, fill_value)
    return cast_to(_half_away(found) if whole else found, x.dtype)


@operation
def elastic_transform(
    images: Any,
    alpha: Any = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Any:
    """Images seen through a smooth random displacement, drawn for each image.

    Args:
        images: f32[N, H, W, C] or f32[H, W, C].
        alpha: strength of the displacement.
        sigma: smoothness, a number: standard deviation in cells of the filter, and of the numbers that go into it.
        interpolation: "nearest" or "bilinear".
        fill_mode: what lies outside: "constant", "nearest", "wrap", "mirror" or "reflect".
        fill_value: for "constant".
        seed: number or SeedGenerator.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ShapeError: height or width is not known.
        InvalidArgumentError: an unknown mode.

    Source: P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks", ICDAR 2003.
    """
    from kgraph import random

    order = _checked("elastic_transform", interpolation, fill_mode)
    batch = _Batch("elastic_transform", images, data_format)
    width = int(6 * sigma) | 1
    # Two channels, one for each direction, of one draw.
    noise = random.normal((batch.batch, batch.height, batch.width, 2), stddev=float(sigma), seed=seed)
    smooth = filtering.gaussian_blur(noise, (width, width), (float(sigma), float(sigma)), "channels_last")
    moved = math.multiply(shaping.reshape(smooth, (batch.batch, batch.height * batch.width, 2)), alpha)
    rows, columns = batch.grid()
    down, across = shaping.unstack(moved, axis=-1)
    return batch.seen(math.add(rows, down), math.add(columns, across), order, fill_mode, fill_value)
