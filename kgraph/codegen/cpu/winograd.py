"""Convolutions with a 3 x 3 kernel at stride 1 by Winograd's F(2 x 2, 3 x 3): 16 products where the sum has 36.

A tile of 2 x 2 pixels of the result depends on 4 x 4 pixels of x. With the matrices of Lavin and Gray ("Fast algorithms
for convolutional neural networks", 2015) it is ``A^T [(G w G^T) * (B^T x B)] A``: in each of the 16 places of the
middle, a matrix product of tiles x input channels with input x output channels, done by the register tiles of the tile
library. The weight gradient is the adjoint, ``G^T [(B^T x B) * (A dy A^T)] G``, summed over tiles.

Tiles go through in blocks whose transforms stay in L2, and meet weights that are transformed already. Where all tiles
together are few, all are transformed before, and each task transforms the weights of its channels while it multiplies:
large weights are read once then, and their transform never leaves L2. An element of the result depends on its own tile
only, and its sum runs over the input channels in order, so results do not depend on how tiles were cut into blocks and
tasks. The weight gradient is summed by chunks of tiles, whose number depends on sizes only, and the chunks in order.

Numbers: the error is that of the direct sum (a few roundings per tile more, 2.25 times fewer terms per sum). What is
not finite reaches the same elements as in the direct sum (in the weight gradient also all nine places of the kernel
from a pixel at the edge, which meets fewer in the direct sum), but infinity may arrive as NaN (inf - inf), and values
within a factor of 4 of the largest float may overflow.

The functions follow the conventions of `tilelib`, whose `kg_tile` they call: int64 arguments, absolute addresses, sizes
and strides in elements, the calling thread's scratch last. Only f32 has them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kgraph.codegen.cpu.cache import Recipe
from kgraph.codegen.cpu.objects import NativeModule, add_symbol, emit_object, host_cpu_key, load_object
from kgraph.codegen.cpu.tilelib import TILE_ARGUMENTS, TILE_NEXT_ARGUMENTS, load_tiles
from kgraph.codegen.cpu.tiles import F32, Code, Module, Operand, VectorCode, Vectors, host_vectors

__all__ = [
    "PREFIX",
    "WINOGRAD_SYMBOLS",
    "Blocks",
    "few_blocks",
    "few_chunk",
    "forward_blocks",
    "gradient_blocks",
    "load_winograd",
    "weight_columns",
    "weight_volume",
    "winograd_recipe",
    "winograd_text",
]

WINOGRAD_VERSION = 2
"""Part of the cache key: raise it with every change of what the text below computes."""

PREFIX = "kg_winograd"
FORWARD_BYTES = 1 << 18  # transformed pixels of a block: a quarter of L2, beside the weights that stream through
GRADIENT_BYTES = 1 << 19  # transformed pixels and gradients of a block, of one row of planes
CHUNK_BYTES = 1 << 18  # weights of a panel that are transformed at a time where all tiles are transformed before
FETCHED_BYTES = 1 << 16  # the same where tiles are so few that the next weights must come from memory meanwhile
FETCHED_TILES = 64
ALIAS_BYTES = 2048  # rows a multiple of this apart share so few sets of L1 that those of a tile collide

_SHAPE = ("h_out", "w_out", "c_in", "c_out")
_STRIDES = ("x_pixel", "x_row", "x_image", "y_pixel", "y_row", "y_image")
_WEIGHTS = ("w_in", "w_col", "w_row")
_FEW = ("v_row", "v_plane", "panel", "p_plane", "chunk")
_BLOCK = ("block", "v_row", "v_plane", "panel", "p_plane")

WINOGRAD_SYMBOLS = {
    # u = transformed rows [row_begin, row_end) of w's input channels, as [panel][16][c_in][panel] (`weight_volume`)
    "kg_winograd_weights": ("w", "u", "row_begin", "row_end", "c_in", "c_out", "w_in", "w_col", "w_row", "panel"),
    # y = convolution of images [n_begin, n_end) of x, which is padded already
    "kg_winograd": ("x", "u", "y", "n_begin", "n_end", *_SHAPE, *_STRIDES, *_BLOCK, "scratch"),
    # v = transformed tiles [first, last) of x, counted through all images
    "kg_winograd_pixels": ("x", "v", "first", "last", *_SHAPE, *_STRIDES, "v_row", "v_plane"),
    # y = convolution of the whole images [0, images) whose transformed tiles are v
    "kg_winograd_few": ("v", "w", "y", "images", *_SHAPE, *_STRIDES, *_WEIGHTS, *_FEW, "scratch"),
    # u[4][c_in][c_out] = row `group` of the planes of the gradient, summed over tiles [first, last)
    "kg_winograd_wgrad": ("x", "y", "u", "group", "first", "last", *_SHAPE, *_STRIDES, *_BLOCK, "scratch"),
    # w[:, :, row_begin:row_end] from the sum of `chunks` gradients u[16][c_in][c_out]
    "kg_winograd_sum": ("u", "w", "chunks", "row_begin", "row_end", "c_in", "c_out", "w_in", "w_col", "w_row"),
}
"""Symbol without its `_f32`, and the names of its arguments in order."""

Matrix = tuple[tuple[float, ...], ...]

INPUT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B^T
WEIGHTS: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
OUTPUT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))  # A^T


def _adjoint(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


# ----------------------------------------------------------------------------------------------------------------------
# Sizes


@dataclass(frozen=True)
class Blocks:
    """How a block of tiles lies in scratch: what kernels pass as `block`, `v_row`, `v_plane`, `panel` and `p_plane`.

    Attributes:
        tiles: tiles of a block.
        row: elements from one tile's transformed pixels to the next, in one plane.
        plane: elements from one plane of transformed pixels to the next.
        panel: output channels that go together.
        panel_plane: elements from one plane of a panel (products, or transformed gradients) to the next.
        bytes: scratch for all.
    """

    tiles: int
    row: int
    plane: int
    panel: int
    panel_plane: int
    bytes: int


def weight_columns(c_out: int) -> int:
    """Output channels of a panel of transformed weights: the width of a tile."""
    lanes = host_vectors().lanes(F32)
    return 2 * lanes if c_out > lanes else lanes


def weight_volume(c_in: int, c_out: int) -> int:
    """Elements of the transformed weights; each of the 16 planes of a panel has an odd number of cache lines."""
    panel = weight_columns(c_out)
    return -(-c_out // panel) * 16 * _odd_lines(c_in * panel)


def _odd_lines(elements: int) -> int:
    """At least so many elements, in an odd number of cache lines, so that equal places of planes share no set."""
    return (-(-elements * F32.size // 64) | 1) * 64 // F32.size


def _row(channels: int) -> int:
    lanes = host_vectors().lanes(F32)
    row = -(-channels // lanes) * lanes
    return row + 16 if row * F32.size % ALIAS_BYTES == 0 else row


def _blocks(tiles: int, c_in: int, c_out: int, planes: int, panels: int) -> Blocks:
    row, panel = _row(c_in), weight_columns(c_out)
    plane, panel_plane = _odd_lines(tiles * row), _odd_lines(tiles * panel)
    size = planes * (plane + panels * panel_plane) * F32.size + 64
    return Blocks(tiles, row, plane, panel, panel_plane, size)


def forward_blocks(c_in: int, c_out: int) -> Blocks:
    """The blocks of `kg_winograd`: one panel of products at a time."""
    rows = host_vectors().rows
    fit = FORWARD_BYTES // (16 * F32.size * _row(c_in)) // rows
    return _blocks(rows * max(2, min(8, fit)), c_in, c_out, 16, 1)


def few_blocks(tiles: int, c_in: int, c_out: int) -> Blocks:
    """How all tiles lie, transformed, and the scratch of `kg_winograd_few`."""
    blocks = _blocks(tiles, c_in, c_out, 16, 1)
    weights = 16 * _odd_lines(few_chunk(tiles, c_in, c_out) * blocks.panel)
    return replace(blocks, bytes=(weights + 16 * blocks.panel_plane) * F32.size + 64)


def few_chunk(tiles: int, c_in: int, c_out: int) -> int:
    """Input channels of a panel whose weights `kg_winograd_few` transforms at a time."""
    size = FETCHED_BYTES if tiles <= FETCHED_TILES else CHUNK_BYTES
    return max(1, min(c_in, size // (16 * F32.size * weight_columns(c_out))))


def gradient_blocks(c_in: int, c_out: int) -> Blocks:
    """The blocks of `kg_winograd_wgrad`: all panels of the gradient's transform."""
    panel = weight_columns(c_out)
    panels = -(-c_out // panel)
    tiles = max(32, min(256, GRADIENT_BYTES // (4 * F32.size * (_row(c_in) + panels * panel))))
    return _blocks(tiles, c_in, c_out, 4, panels)


# ----------------------------------------------------------------------------------------------------------------------
# Transforms: matrix * tile * matrix^T, for vectors of channels

_TRANSFORM = "source target count channels s_row s_col s_tile t_row t_col t_tile".split()


def _write_transform(
    module: Module, vectors: Vectors, name: str, matrix: Matrix, sources: tuple[int, int], rows: Sequence[int],
    columns: int,
) -> str:  # fmt: skip
    """``name(source, target, count, channels, ...)``: so many tiles, strides in bytes; returns the symbol.

    sources: rows and columns of a tile that exist, the rest is zero; rows: those of the result that are wanted;
    columns: how many columns of it are.
    """
    arguments = ["ptr source", "ptr target", *(f"i64 {word}" for word in _TRANSFORM[2:])]
    f = VectorCode(module, name, arguments, vectors, F32, internal=True)
    whole = f.mul(f.div("%channels", f.lanes), f.lanes)
    tail = f.lane_mask(f.sub("%channels", whole))
    partial = f.compare("slt", whole, "%channels")
    used = [row for row in range(sources[0]) if any(matrix[target][row] for target in rows)]

    def channels(source: str, target: str, mask: str | None) -> None:
        grid: list[list[str | None]] = [[None] * len(matrix[0]) for _ in matrix[0]]
        for row in used:
            line = f.offset(source, f.mul(row, "%s_row"))
            for column in range(sources[1]):
                grid[row][column] = f.load(f.offset(line, f.mul(column, "%s_col")), mask)
        turned = [list(line) for line in zip(*grid, strict=True)]
        for place, row in enumerate(rows):
            line = f.offset(target, f.mul(place, "%t_row"))
            mixed = [_combine(f, matrix[row], column) for column in turned]
            for column in range(columns):
                value = _combine(f, matrix[column], mixed) or "zeroinitializer"
                f.store(value, f.offset(line, f.mul(column, "%t_col")), mask)

    with f.loop(0, "%count") as tile:
        source, target = (f.offset(f"%{end}", f.mul(tile, f"%{end[0]}_tile")) for end in ("source", "target"))
        with f.loop(0, f.mul(whole, F32.size), f.lanes * F32.size) as at:
            channels(f.offset(source, at), f.offset(target, at), None)
        with f.when(partial):
            rest = f.mul(whole, F32.size)
            channels(f.offset(source, rest), f.offset(target, rest), tail)
    f.finish()
    return name


def _combine(f: VectorCode, factors: Sequence[float], values: Sequence[str | None]) -> str | None:
    """The sum of factor * value in a fixed order, ones first; None where nothing is left."""
    terms = [(k, v) for k, v in zip(factors, values, strict=True) if k and v is not None]
    total: str | None = None
    for factor, value in sorted(terms, key=lambda term: (abs(term[0]) != 1, term[0] < 0)):
        if abs(factor) != 1:
            constant = "<" + ", ".join([f"{F32.llvm} {factor:e}"] * f.lanes) + ">"
            total = f.multiply_add(value, constant, total or "zeroinitializer")
        elif total is None:
            total = value if factor > 0 else f.let(f"fneg {f.vector} {value}")
        else:
            total = f.let(f"{'fadd' if factor > 0 else 'fsub'} {f.vector} {total}, {value}")
    return total


def _write_edges(
    module: Module, vectors: Vectors, name: str, matrix: Matrix, row: int | None = None, *, result: bool = False
) -> list[str]:
    """A transform for whole tiles, those without their last column, last row, and both (see `_each_tile`).

    row: the only row of the result that is wanted; result: the result lacks pixels, rather than the source.
    """
    symbols = []
    for low in (0, 1):
        for narrow in (0, 1):
            sources, rows, columns = (len(matrix[0]) - low, len(matrix[0]) - narrow), len(matrix), len(matrix)
            if result:
                sources, rows, columns = (len(matrix[0]),) * 2, rows - low, columns - narrow
            wanted = range(rows) if row is None else [row]
            symbol = f"{name}_{low}{narrow}"
            symbols.append(_write_transform(module, vectors, symbol, matrix, sources, wanted, columns))
    return symbols


def _write_table(module: Module, name: str, symbols: Sequence[str]) -> None:
    listed = ", ".join(f"ptr @{symbol}" for symbol in symbols)
    module.add(f"@{name} = internal constant [{len(symbols)} x ptr] [{listed}]\n")


# ----------------------------------------------------------------------------------------------------------------------
# Functions


class _Function:
    """An exported function under construction."""

    def __init__(self, module: Module, symbol: str) -> None:
        names = WINOGRAD_SYMBOLS[symbol]
        self.f = Code(module, f"{symbol}_f32", [f"i64 {name}" for name in names])
        self.p: dict[str, str] = {name: f"%{name}" for name in names}

    def at(self, pointer: str, *strided: tuple[Operand, Operand]) -> str:
        """Pointer + sum of index * stride, in elements."""
        for index, stride in strided:
            pointer = self.f.offset(pointer, self.f.mul(F32.size, index, stride))
        return pointer

    def transform(
        self, table: str, index: Operand, source: str, target: str, count: Operand, channels: Operand, *strides: Operand
    ) -> None:
        """Call entry `index` of a table of transforms; strides in elements."""
        f = self.f
        words = [f.mul(F32.size, stride) for stride in strides]
        slot = f.let(f"getelementptr ptr, ptr @{table}, i64 {index}")
        entry = f.let(f"load ptr, ptr {slot}")
        numbers = ", ".join(f"i64 {word}" for word in (count, channels, *words))
        f.do(f"call void {entry}(ptr {source}, ptr {target}, {numbers})")

    def weight_plane(self, terms: Operand) -> Operand:
        """`_odd_lines` of a panel of so many rows."""
        f = self.f
        lines = f.ceil_div(f.mul(F32.size, terms, self.p["panel"]), 64)
        return f.mul(f.let(f"or i64 {lines}, 1"), 64 // F32.size)

    def product(self, a: str, b: str, c: str, **sizes: Operand) -> None:
        """Call `kg_tile`, or `kg_tile_next` if `next` and `next_step` are given."""
        f = self.f
        symbol, names = ("kg_tile_next", TILE_NEXT_ARGUMENTS) if "next" in sizes else ("kg_tile", TILE_ARGUMENTS)
        words = {name: f.let(f"ptrtoint ptr {pointer} to i64") for name, pointer in (("a", a), ("b", b), ("c", c))}
        words |= {"outer": "1", "a_outer": "0", "b_outer": "0", **{name: str(size) for name, size in sizes.items()}}
        f.do(f"call void @{symbol}_f32({', '.join(f'i64 {words[name]}' for name in names)})")

    @contextmanager
    def each_run(self, first: Operand, count: Operand) -> Iterator[tuple[str, ...]]:
        """Tiles [first, first + count), counted through images and rows, as runs of neighbours in a row of tiles.

        Yields: image, row of tiles, column of tiles, tiles of the run, its first tile counted from `first`, and
        whether the row of tiles has one row of pixels only.
        """
        f, p = self.f, self.p
        down, across = (f.maximum(f.div(f.add(p[size], 1), 2), 1) for size in ("h_out", "w_out"))
        stop = f.add(first, count)
        odd_rows = f.let(f"and i64 {p['h_out']}, 1")
        with f.loop(f.div(first, across), f.ceil_div(stop, across)) as line:
            base = f.mul(line, across)
            begin, end = f.maximum(first, base), f.minimum(stop, f.add(base, across))
            image = f.div(line, down)
            row = f.sub(line, f.mul(image, down))
            low = f.select(f.compare("eq", f.add(row, 1), down), odd_rows, 0)
            yield image, str(row), str(f.sub(begin, base)), str(f.sub(end, begin)), str(f.sub(begin, first)), low

    @contextmanager
    def each_piece(self, first: Operand, count: Operand) -> Iterator[tuple[str, ...]]:
        """The runs again, each as its whole tiles and the one at the right edge that may lack a column.

        Yields: image, row and column of tiles, tiles, first tile, and which of four transforms fits.
        """
        f, p = self.f, self.p
        with self.each_run(first, count) as (image, row, column, length, place, low):
            across = f.div(f.add(p["w_out"], 1), 2)
            ends = f.compare("eq", f.add(column, length), across)
            narrow = f.select(ends, f.let(f"and i64 {p['w_out']}, 1"), 0)
            whole = f.sub(length, narrow)
            with f.loop(0, f.add(narrow, 1)) as part:
                skipped = f.mul(part, whole)
                tiles = f.select(f.compare("eq", part, 0), whole, 1)
                entry = f.add(f.mul(low, 2), part)
                yield image, row, str(f.add(column, skipped)), tiles, str(f.add(place, skipped)), str(entry)

    def pixels(self, tensor: str, pointer: str, image: Operand, row: Operand, column: Operand) -> str:
        """The first pixel of a tile; tiles are two pixels apart."""
        p = self.p
        strides = [p[f"{tensor}_{unit}"] for unit in ("image", "row", "pixel")]
        return self.at(pointer, *zip((image, self.f.mul(row, 2), self.f.mul(column, 2)), strides, strict=True))

    def read_pixels(self, table: str, group: Operand, x: str, v: str, first: Operand, count: Operand) -> None:
        """Transform pixels of x into the planes of v."""
        f, p = self.f, self.p
        with self.each_piece(first, count) as (image, row, column, tiles, place, entry):
            source, target = self.pixels("x", x, image, row, column), self.at(v, (place, p["v_row"]))
            strides = p["x_row"], p["x_pixel"], f.mul(p["x_pixel"], 2), f.mul(p["v_plane"], 4), p["v_plane"], p["v_row"]
            index = f.add(f.mul(group, 4), entry)
            self.transform(table, index, source, target, tiles, p["c_in"], *strides)

    def write_pixels(self, m: str, y: str, first: Operand, count: Operand, columns: Operand) -> None:
        """Transform a panel of products into pixels of y."""
        f, p = self.f, self.p
        with self.each_piece(first, count) as (image, row, column, tiles, place, entry):
            source, target = self.at(m, (place, p["panel"])), self.pixels("y", y, image, row, column)
            planes = f.mul(p["p_plane"], 4), p["p_plane"], p["panel"]
            pixels = p["y_row"], p["y_pixel"], f.mul(p["y_pixel"], 2)
            self.transform("output", entry, source, target, tiles, columns, *planes, *pixels)


def _write_weights(module: Module) -> None:
    g = _Function(module, "kg_winograd_weights")
    f, p = g.f, g.p
    w, u, panel = f.pointer(p["w"]), f.pointer(p["u"]), p["panel"]
    rows = f.sub(p["row_end"], p["row_begin"])
    plane = g.weight_plane(p["c_in"])
    with f.loop(0, f.ceil_div(p["c_out"], panel)) as number:
        j = f.mul(number, panel)
        source = g.at(w, (p["row_begin"], p["w_in"]), (j, 1))
        target = g.at(u, (f.mul(number, 16), plane), (p["row_begin"], panel))
        columns = f.minimum(f.sub(p["c_out"], j), panel)
        strides = p["w_row"], p["w_col"], p["w_in"], f.mul(plane, 4), plane, panel
        g.transform("weights", 0, source, target, rows, columns, *strides)
    f.finish()


def _write_forward(module: Module) -> None:
    g = _Function(module, "kg_winograd")
    f, p = g.f, g.p
    x, u, y, v = (f.pointer(p[name]) for name in ("x", "u", "y", "scratch"))
    m = g.at(v, (16, p["v_plane"]))
    panel, plane = p["panel"], g.weight_plane(p["c_in"])
    down, across = (f.div(f.add(p[size], 1), 2) for size in ("h_out", "w_out"))
    per_image = f.mul(down, across)
    begin, end = f.mul(p["n_begin"], per_image), f.mul(p["n_end"], per_image)
    with f.loop(begin, end, p["block"]) as first:
        count = f.minimum(f.sub(end, first), p["block"])
        g.read_pixels("input", 0, x, v, first, count)
        with f.loop(0, f.ceil_div(p["c_out"], panel)) as number:
            j = f.mul(number, panel)
            columns = f.minimum(f.sub(p["c_out"], j), panel)
            weights = g.at(u, (f.mul(number, 16), plane))
            with f.loop(0, 16) as e:
                a, b, c = g.at(v, (e, p["v_plane"])), g.at(weights, (e, plane)), g.at(m, (e, p["p_plane"]))
                g.product(
                    a, b, c, rows=count, a_row=p["v_row"], c_row=panel, inner=p["c_in"], a_inner=1, b_inner=panel,
                    columns=columns, beta=0,
                )  # fmt: skip
            g.write_pixels(m, g.at(y, (j, 1)), first, count, columns)
    f.finish()


def _write_few(module: Module) -> None:
    g = _Function(module, "kg_winograd_pixels")
    f, p = g.f, g.p
    x, v = f.pointer(p["x"]), f.pointer(p["v"])
    target = g.at(v, (p["first"], p["v_row"]))
    g.read_pixels("input", 0, x, target, p["first"], f.sub(p["last"], p["first"]))
    f.finish()
    g = _Function(module, "kg_winograd_few")
    f, p = g.f, g.p
    v, w, y, u = (f.pointer(p[name]) for name in ("v", "w", "y", "scratch"))
    panel, plane = p["panel"], g.weight_plane(p["chunk"])
    m = g.at(u, (16, plane))
    down, across = (f.div(f.add(p[size], 1), 2) for size in ("h_out", "w_out"))
    tiles = f.mul(p["images"], down, across)
    with f.loop(0, p["c_out"], panel) as j:
        columns = f.minimum(f.sub(p["c_out"], j), panel)
        with f.loop(0, p["c_in"], p["chunk"]) as k:
            terms = f.minimum(f.sub(p["c_in"], k), p["chunk"])
            strides = p["w_row"], p["w_col"], p["w_in"], f.mul(plane, 4), plane, panel
            g.transform("weights", 0, g.at(w, (k, p["w_in"]), (j, 1)), u, terms, columns, *strides)
            # The weights of the next chunk come from memory meanwhile, one of their nine places with each product.
            more = f.compare("slt", f.add(k, p["chunk"]), p["c_in"])
            following = f.let(f"ptrtoint ptr {g.at(w, (f.add(k, p['chunk']), p['w_in']), (j, 1))} to i64")
            with f.loop(0, 16) as e:
                a, b, c = g.at(v, (e, p["v_plane"]), (k, 1)), g.at(u, (e, plane)), g.at(m, (e, p["p_plane"]))
                row = f.div(e, 3)
                place = f.add(f.mul(row, p["w_row"]), f.mul(f.sub(e, f.mul(row, 3)), p["w_col"]))
                wanted = f.both(more, f.compare("slt", e, 9))
                g.product(
                    a, b, c, rows=tiles, a_row=p["v_row"], c_row=panel, inner=terms, a_inner=1, b_inner=panel,
                    columns=columns, beta=k, next=f.select(wanted, f.add(following, f.mul(F32.size, place)), 0),
                    next_step=p["w_in"],
                )  # fmt: skip
        g.write_pixels(m, g.at(y, (j, 1)), 0, tiles, columns)
    f.finish()


def _write_gradient(module: Module) -> None:
    g = _Function(module, "kg_winograd_wgrad")
    f, p = g.f, g.p
    x, y, u, v = (f.pointer(p[name]) for name in ("x", "y", "u", "scratch"))
    panel, plane = p["panel"], f.mul(p["c_in"], p["c_out"])
    gradients = g.at(v, (4, p["v_plane"]))
    group_step = f.mul(p["p_plane"], 4)
    # At least one block, so that no tiles at all give zeros.
    with f.loop(p["first"], f.maximum(p["last"], f.add(p["first"], 1)), p["block"]) as first:
        count = f.minimum(f.sub(p["last"], first), p["block"])
        keep = f.sub(first, p["first"])
        g.read_pixels("input_row", p["group"], x, v, first, count)
        with f.loop(0, f.ceil_div(p["c_out"], panel)) as number:
            j = f.mul(number, panel)
            columns = f.minimum(f.sub(p["c_out"], j), panel)
            home = g.at(gradients, (number, group_step))
            with g.each_piece(first, count) as (image, row, column, tiles, place, entry):
                source = g.at(g.pixels("y", y, image, row, column), (j, 1))
                pixels = p["y_row"], p["y_pixel"], f.mul(p["y_pixel"], 2)
                index = f.add(f.mul(p["group"], 4), entry)
                target = g.at(home, (place, panel))
                g.transform("gradient", index, source, target, tiles, columns, *pixels, 0, p["p_plane"], panel)
        with f.loop(0, 4) as e, f.loop(0, f.ceil_div(p["c_out"], panel)) as number:
            j = f.mul(number, panel)
            b = g.at(gradients, (number, group_step), (e, p["p_plane"]))
            g.product(
                g.at(v, (e, p["v_plane"])), b, g.at(u, (e, plane), (j, 1)), rows=p["c_in"], a_row=1, c_row=p["c_out"],
                inner=count, a_inner=p["v_row"], b_inner=panel, columns=f.minimum(f.sub(p["c_out"], j), panel),
                beta=keep,
            )  # fmt: skip
    f.finish()


def _write_sum(module: Module, vectors: Vectors) -> None:
    _write_add(module, vectors)
    g = _Function(module, "kg_winograd_sum")
    f, p = g.f, g.p
    u, w = f.pointer(p["u"]), f.pointer(p["w"])
    plane = f.mul(p["c_in"], p["c_out"])
    rows = f.sub(p["row_end"], p["row_begin"])
    own = g.at(u, (p["row_begin"], p["c_out"]))
    with f.loop(1, p["chunks"]) as chunk, f.loop(0, 16) as e:
        source = g.at(own, (f.add(f.mul(chunk, 16), e), plane))
        f.do(f"call void @add(ptr {source}, ptr {g.at(own, (e, plane))}, i64 {f.mul(rows, p['c_out'])})")
    target = g.at(w, (p["row_begin"], p["w_in"]))
    planes = f.mul(plane, 4), plane, p["c_out"]
    g.transform("kernel", 0, own, target, rows, p["c_out"], *planes, p["w_row"], p["w_col"], p["w_in"])
    f.finish()


def _write_add(module: Module, vectors: Vectors) -> None:
    """``add(source, target, count)``: target += source."""
    f = VectorCode(module, "add", ["ptr source", "ptr target", "i64 count"], vectors, F32, internal=True)
    whole = f.mul(f.div("%count", f.lanes), f.lanes)

    def step(at: Operand, mask: str | None) -> None:
        source, target = (f.offset(f"%{end}", f.mul(at, F32.size)) for end in ("source", "target"))
        f.store(f.plus(f.load(target, mask), f.load(source, mask)), target, mask)

    with f.loop(0, whole, f.lanes) as at:
        step(at, None)
    with f.when(f.compare("slt", whole, "%count")):
        step(whole, f.lane_mask(f.sub("%count", whole)))
    f.finish()


def winograd_text(vectors: Vectors | None = None) -> str:
    """The LLVM text of all functions; `kg_tile_f32` is to be linked."""
    vectors = vectors or host_vectors()
    module = Module(vectors)
    for symbol, names in (("kg_tile", TILE_ARGUMENTS), ("kg_tile_next", TILE_NEXT_ARGUMENTS)):
        module.declare(f"declare void @{symbol}_f32({', '.join(['i64'] * len(names))})")
    gradient = _adjoint(OUTPUT)
    rows = range(4)
    _write_table(module, "input", _write_edges(module, vectors, "input_all", INPUT))
    _write_table(module, "output", _write_edges(module, vectors, "output_all", OUTPUT, result=True))
    parts = [_write_edges(module, vectors, f"input_{row}", INPUT, row) for row in rows]
    _write_table(module, "input_row", [symbol for part in parts for symbol in part])
    parts = [_write_edges(module, vectors, f"gradient_{row}", gradient, row) for row in rows]
    _write_table(module, "gradient", [symbol for part in parts for symbol in part])
    weights = _write_transform(module, vectors, "weights_all", WEIGHTS, (3, 3), rows, 4)
    _write_table(module, "weights", [weights])
    kernel = _write_transform(module, vectors, "kernel_all", _adjoint(WEIGHTS), (4, 4), range(3), 3)
    _write_table(module, "kernel", [kernel])
    _write_weights(module)
    _write_forward(module)
    _write_few(module)
    _write_gradient(module)
    _write_sum(module, vectors)
    return module.text()


# ----------------------------------------------------------------------------------------------------------------------
# The library in this process

_lock = threading.Lock()
_loaded: list[NativeModule] = []


def winograd_recipe() -> Recipe:
    """The library's object; its key names the text rather than hashing it, as that of the tile library does."""
    vectors = host_vectors()
    described = f"winograd {WINOGRAD_VERSION} {vectors.key} {host_cpu_key()} {_source_digest()}"
    return Recipe(
        hashlib.sha256(described.encode()).hexdigest(), lambda emit: emit(winograd_text(vectors), by_hand=True)
    )


def load_winograd(fetch: Callable[[Recipe], bytes] | None = None) -> NativeModule:
    """The loaded library; its symbols become visible to objects loaded later. The tile library is loaded before it.

    fetch: gets an object from the cache or makes it; without one the library is compiled.
    """
    load_tiles(fetch)
    with _lock:
        if not _loaded:
            recipe = winograd_recipe()
            module = load_object(fetch(recipe) if fetch else recipe.build(emit_object))
            for symbol in WINOGRAD_SYMBOLS:
                add_symbol(f"{symbol}_f32", module.address(f"{symbol}_f32"))
            _loaded.append(module)
        return _loaded[0]


def _source_digest() -> str:
    """A digest of the files that write the library: an edited checkout must not meet its old objects."""
    here = Path(__file__)
    try:
        texts = [here.with_name(name).read_bytes() for name in ("tiles.py", "tilelib.py", "winograd.py")]
    except OSError:  # an installation without source files cannot be edited either
        return ""
    return hashlib.sha256(b"".join(texts)).hexdigest()
