"""The tile library: matrix products, convolutions and transposes, compiled once and linked into every kernel.

The functions here cut large problems into register tiles (`tiles`) and decide what is packed and what is blocked for
the caches. They are C functions of int64 arguments without a result; addresses are absolute, all sizes and strides
count elements. The last argument is scratch memory of the calling thread (`gemm_scratch`, `conv_scratch`), 64-byte
aligned. Invariant: an element of the result depends on the order of summation over K only, never on how rows or tasks
were cut, so any number of threads gives the same bits. Columns may be cut too, but not into single ones: a product with
one column sums over K in lanes.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from kgraph.codegen.cpu.cache import Recipe
from kgraph.codegen.cpu.depthwise import write_depthwise
from kgraph.codegen.cpu.objects import NativeModule, add_symbol, emit_object, host_cpu_key, load_object
from kgraph.codegen.cpu.tiles import (
    PARAMS,
    SCALARS,
    TILE_SIGNATURE,
    Code,
    Module,
    Operand,
    Scalar,
    VectorCode,
    Vectors,
    host_vectors,
    write_tile_table,
)

__all__ = [
    "CONV_ARGUMENTS",
    "CONV_GRAD_ARGUMENTS",
    "GEMM_ARGUMENTS",
    "PARTS",
    "SYMBOLS",
    "Library",
    "conv_scratch",
    "gemm_scratch",
    "load_tiles",
    "parts_called",
    "tile_library_text",
    "tiles_recipe",
    "wgrad_tasks",
]

LIBRARY_VERSION = 5
"""Part of the cache key: raise it with every change of what the text below computes."""

K_BLOCK = 512  # rows of a packed panel: 64 KiB of B, streamed from L2 while 14 rows of A stay in L1
N_BLOCK = 1024  # columns packed at a time: 2 MiB, in L3
A_BLOCK = 1 << 18  # bytes of A that stay in L2 while B's panels pass
PACK_ROWS = 56  # rows from which packing B pays
PACK_STRIDE = 1024  # bytes between rows of B from which it pays
A_ALIAS = 2048  # rows of A that are a multiple of this many bytes apart share so few sets of L1 that 14 of them collide
A_PAD = 16  # elements between the rows of a copy of A that does not
A_COLUMNS = 64  # columns of the result from which copying A pays
STREAM_ROWS = 4  # tiles of rows of A up to which B is fetched ahead: two panels
AHEAD_STEPS = 24  # steps of a sum after which what is fetched from memory is there
PANEL_BYTES = 1 << 19  # weights of one panel of a convolution that stay in L2
GRAD_ROWS = 70  # rows of a task of the weight gradient
GRAD_GROUP = 1 << 21  # bytes of whole images that do
GRAD_BLOCK = 1 << 18  # bytes of x and dy that pass all tasks before the next strip of the image

GEMM_ARGUMENTS = ("a", "a_row", "a_col", "b", "b_row", "b_col", "c", "c_row", "m", "n", "k", "beta", "scratch")
_CONV_SIZES = ("n_begin", "n_end", "h_out", "w_out", "c_in", "c_out", "kh", "kw", "sh", "sw", "dh", "dw")
_CONV_STRIDES = ("x_pixel", "x_row", "x_image", "w_in", "w_col", "w_row", "y_pixel", "y_row", "y_image")
CONV_ARGUMENTS = ("x", "w", "y", *_CONV_SIZES, *_CONV_STRIDES, "scratch")
CONV_GRAD_ARGUMENTS = ("x", "w", "y", *_CONV_SIZES, *_CONV_STRIDES, "task_begin", "task_end", "scratch")
TRANSPOSE_ARGUMENTS = ("source", "target", "rows", "columns", "source_row", "target_row")
_TILE_ARGUMENTS = (
    "rows",
    "a",
    "a_row",
    "b",
    "c",
    "c_row",
    "outer",
    "a_outer",
    "b_outer",
    "inner",
    "a_inner",
    "b_inner",
)
TILE_ARGUMENTS = (*_TILE_ARGUMENTS, "columns", "beta")
TILE_NEXT_ARGUMENTS = (*TILE_ARGUMENTS, "next", "next_step")

PARTS = {
    "products": {
        "kg_gemm": GEMM_ARGUMENTS,
        "kg_transpose": TRANSPOSE_ARGUMENTS,
        "kg_tile": TILE_ARGUMENTS,
        "kg_tile_next": TILE_NEXT_ARGUMENTS,
    },
    "convolutions": {"kg_conv2d": CONV_ARGUMENTS, "kg_conv2d_wgrad": CONV_GRAD_ARGUMENTS},
    "depthwise": {"kg_depthwise": CONV_ARGUMENTS, "kg_depthwise_wgrad": CONV_GRAD_ARGUMENTS},
}
"""The objects of the library, so that a program compiles what it calls; the first part serves the others. Symbols
without their `_f32` or `_f64`, and the names of their arguments in order.
"""

SYMBOLS = {symbol: arguments for part in PARTS.values() for symbol, arguments in part.items()}
"""All symbols for kernels."""

_SHARED = {
    "kg_sweep": ("ptr", "ptr", "ptr", "i64", "i64", "i64", "ptr"),
    "kg_pack": ("ptr", "i64", "i64", "ptr", "i64", "i64", "i64"),
}
"""What the first part does for the others beside its symbols, with the types of the arguments."""


# ----------------------------------------------------------------------------------------------------------------------
# Sizes that Python and the native code must agree on


def panel_columns(vectors: Vectors, scalar: Scalar, rows: int) -> int:
    """Columns of a panel of B for a product of `rows` rows: the fewer rows a tile gets, the wider it is."""
    per_tile = -(-rows // -(-rows // vectors.rows)) if rows > 0 else 1
    width = 2
    for wide in vectors.widths()[2:]:
        if per_tile <= vectors.rows_of(wide):
            width = wide
    return width * vectors.lanes(scalar)


def _max_panel(vectors: Vectors, scalar: Scalar) -> int:
    return vectors.widths()[-1] * vectors.lanes(scalar)


def gemm_scratch(m: int, n: int, k: int, dtype: str = "f32") -> int:
    """Bytes of scratch that `kg_gemm` may use for these sizes (an upper bound for all strides)."""
    vectors, scalar = host_vectors(), SCALARS[dtype]
    panel = _max_panel(vectors, scalar)
    terms = min(k, K_BLOCK + K_BLOCK // 2)
    b_panels = terms * (min(n, N_BLOCK) + panel)
    block = max(A_BLOCK // scalar.size, 2 * vectors.rows * terms)
    a_copy = min(m * (terms + A_PAD), block + min(m, block) * A_PAD)
    return (b_panels + a_copy * (n >= A_COLUMNS) + k * (n == 1)) * scalar.size + 64


def conv_scratch(kh: int, kw: int, c_in: int, c_out: int, rows: int, dtype: str = "f32") -> int:
    """Bytes of scratch that `kg_conv2d` may use; rows: output pixels of one call."""
    scalar = SCALARS[dtype]
    panel = _max_panel(host_vectors(), scalar) * kh * kw * c_in * scalar.size + 64
    return max(panel, gemm_scratch(rows, c_out, c_in, dtype)) if kh == kw == 1 else panel


def wgrad_tasks(
    kh: int, kw: int, c_in: int, c_out: int, *, merged: bool, dtype: str = "f32", vectors: Vectors | None = None
) -> int:
    """Number of tasks of `kg_conv2d_wgrad`.

    merged: kernel columns and channels lie side by side in x, that is dw == 1 and x_pixel == c_in, and in the
    gradient, that is w_col == c_in * w_in.
    """
    taps, rows = (kh, kw * c_in) if merged else (kh * kw, c_in)
    blocks = -(-rows // GRAD_ROWS)
    columns = panel_columns(vectors or host_vectors(), SCALARS[dtype], -(-rows // max(blocks, 1)))
    return taps * blocks * -(-c_out // columns)


# ----------------------------------------------------------------------------------------------------------------------
# Building blocks


class Library:
    """Writes the functions of one element type into a module."""

    def __init__(self, module: Module, vectors: Vectors, scalar: Scalar, parts: Collection[str] = tuple(PARTS)) -> None:
        self.module, self.vectors, self.scalar, self.parts = module, vectors, scalar, parts
        self.table = write_tile_table(module, vectors, scalar) if "products" in parts else ""

    def code(self, name: str, params: list[str], internal: bool = True) -> VectorCode:
        """A function under construction; its name gets the element type."""
        return VectorCode(self.module, f"{name}_{self.scalar.name}", params, self.vectors, self.scalar, internal)

    def exported(self, name: str) -> tuple[VectorCode, dict[str, str]]:
        """An exported function; its arguments by name."""
        names = SYMBOLS[name]
        return self.code(name, [f"i64 {argument}" for argument in names], internal=False), {n: f"%{n}" for n in names}

    def shared(self, name: str, *arguments: str) -> VectorCode:
        """A function of the first part that the others call too."""
        pairs = zip(_SHARED[name], arguments, strict=True)
        return self.code(name, [f"{kind} {argument}" for kind, argument in pairs], internal=False)

    def bytes(self, f: Code, *elements: Operand) -> Operand:
        """The size in bytes of the product of the counts."""
        return f.mul(self.scalar.size, *elements)

    def step(self, f: Code, pointer: str, *strided: tuple[Operand, Operand]) -> str:
        """Pointer + sum of index * stride, in elements."""
        for index, stride in strided:
            pointer = f.offset(pointer, self.bytes(f, index, stride))
        return pointer

    def params(self, f: Code, **elements: Operand) -> str:
        """A tile's parameter block; strides in elements, here turned into bytes.

        next: the address of what is needed after this sweep (with `next_step`); 0 or left out: the next rows of A.
        """
        block = f.array(len(PARAMS))
        for position, word in enumerate(PARAMS):
            value = elements.get(word, 0)
            f.set_word(block, position, value if word in ("outer", "inner", "next") else self.bytes(f, value))
        return block

    def call(self, f: Code, name: str, *arguments: str) -> None:
        """Call a function of the library, of this part or of the first one."""
        shared = ["i64"] * len(SYMBOLS[name]) if name in SYMBOLS else _SHARED.get(name)
        if shared and "products" not in self.parts:
            self.module.declare(f"declare void @{name}_{self.scalar.name}({', '.join(shared)})")
        f.do(f"call void @{name}_{self.scalar.name}({', '.join(arguments)})")

    # -- choice of tiles -----------------------------------------------------------------------------------------------

    def panel(self, f: Code, rows: Operand) -> str:
        """`panel_columns` of the running code."""
        tiles = f.ceil_div(f.maximum(rows, 1), self.vectors.rows)
        per_tile = f.ceil_div(f.maximum(rows, 1), tiles)
        columns: Operand = 2 * f_lanes(self)
        for width in self.vectors.widths()[2:]:
            fits = f.compare("sle", per_tile, self.vectors.rows_of(width))
            columns = f.select(fits, width * f_lanes(self), columns)
        return str(columns)

    def write_sweep(self) -> None:
        """``kg_sweep(a, b, c, rows, columns, beta, params)``: one panel of B against all rows, in even tiles.

        32 rows are 11 + 11 + 10, not 14 + 14 + 4: a small tile runs at the latency of the additions.
        """
        f = self.shared("kg_sweep", "a", "b", "c", "rows", "columns", "beta", "params")
        lanes, widths = f_lanes(self), self.vectors.widths()
        kind: Operand = 0
        largest: Operand = self.vectors.rows_of(widths[0])
        for position, width in enumerate(widths[1:], 1):
            wider = f.compare("sgt", "%columns", widths[position - 1] * lanes)
            kind = f.select(wider, position, kind)
            largest = f.select(wider, self.vectors.rows_of(width), largest)
        row = f.mul(kind, self.vectors.rows)
        if not self.vectors.lane_masks:
            width_columns = f.let(f"shl i64 {lanes}, {kind}")
            full = f.compare("eq", width_columns, "%columns")
            row = f.select(full, f.add(row, len(widths) * self.vectors.rows), row)
        tiles = f.ceil_div("%rows", largest)
        small = f.div("%rows", tiles)
        large_count = f.sub("%rows", f.mul(small, tiles))
        a, c = f.variable("ptr", "%a"), f.variable("ptr", "%c")
        a_row, c_row = f.word("%params", 0), f.word("%params", 1)
        with f.loop(0, tiles) as tile:
            rows = f.select(f.compare("slt", tile, large_count), f.add(small, 1), small)
            self._look_ahead(f, a.get(), rows, tile)
            self.call_tile(f, f.add(row, f.sub(rows, 1)), a.get(), "%b", c.get())
            a.set(f.offset(a.get(), f.mul(rows, a_row)))
            c.set(f.offset(c.get(), f.mul(rows, c_row)))
        f.finish()

    def _look_ahead(self, f: VectorCode, a: str, rows: str, tile: str) -> None:
        """Set what a tile fetches while it computes.

        The lines of `next`, one for each tile; then, where rows of A lie side by side, those of the next tile, and
        where columns do, this tile's columns some steps on.
        """
        p = {word: f.word("%params", position) for position, word in enumerate(PARAMS)}
        follows = f.both(f.compare("ne", p["next"], 0), f.compare("slt", tile, STREAM_ROWS))
        dense = f.compare("eq", p["a_row"], f.mul(p["inner"], p["a_inner"]))
        turned = f.compare("eq", p["a_row"], self.scalar.size)
        here = f.let(f"ptrtoint ptr {a} to i64")
        rows_of_a = f.mul(rows, p["a_row"])
        distance = f.select(turned, f.mul(p["a_inner"], AHEAD_STEPS), f.select(dense, rows_of_a, 0))
        step = f.select(turned, p["a_inner"], f.select(dense, f.mul(rows, p["a_inner"]), 0))
        line = f.add(p["next"], f.mul(tile, 64))
        f.set_word("%params", PARAMS.index("ahead"), f.select(follows, line, f.add(here, distance)))
        f.set_word("%params", PARAMS.index("ahead_step"), f.select(follows, p["next_step"], step))

    def call_tile(self, f: Code, index: Operand, a: str, b: str, c: str, params: str = "%params") -> None:
        """Call an entry of the table of tiles."""
        slot = f.let(f"getelementptr ptr, ptr @{self.table}, i64 {index}")
        tile = f.let(f"load ptr, ptr {slot}")
        f.do(f"call {TILE_SIGNATURE} {tile}(ptr {a}, ptr {b}, ptr {c}, i64 %columns, i64 %beta, ptr {params})")

    def sweep(
        self, f: Code, a: str, b: str, c: str, rows: Operand, columns: Operand, beta: Operand, params: str
    ) -> None:
        """Call `kg_sweep`."""
        self.call(
            f,
            "kg_sweep",
            f"ptr {a}",
            f"ptr {b}",
            f"ptr {c}",
            f"i64 {rows}",
            f"i64 {columns}",
            f"i64 {beta}",
            f"ptr {params}",
        )

    def write_tile_entry(self) -> None:
        """``kg_tile``: a panel for kernels of their own; columns as far as one tile goes.

        ``kg_tile_next`` fetches from memory meanwhile: lines at `next`, one for each tile, and one at `next_step`
        elements after that for each term of the sum.
        """
        for name in ("kg_tile", "kg_tile_next"):
            f, p = self.exported(name)
            params = self.params(f, **{word: p[word] for word in PARAMS if word in p})
            a, b, c = (f.pointer(p[name]) for name in "abc")
            self.sweep(f, a, b, c, p["rows"], p["columns"], p["beta"], params)
            f.finish()

    # -- packing -------------------------------------------------------------------------------------------------------

    def write_pack(self) -> None:
        """``kg_pack(b, b_row, b_col, out, k, columns, panel)``: out[k, panel] = b[k, columns], the rest undefined."""
        f = self.shared("kg_pack", "b", "b_row", "b_col", "out", "k", "columns", "panel")
        size = self.scalar.size
        with f.when(f.compare("eq", "%b_col", 1)):
            self._pack_rows(f)
            f.do("ret void")
            f.label("strided")
        with f.when(f.compare("eq", "%b_row", 1)):
            self.call(f, "transpose", "ptr %b", "ptr %out", "i64 %columns", "i64 %k", "i64 %b_col", "i64 %panel")
            f.do("ret void")
            f.label("scattered")
        with f.loop(0, "%k") as k, f.loop(0, "%columns") as n:
            value = f.load_scalar(self.step(f, "%b", (k, "%b_row"), (n, "%b_col")))
            target = f.offset(self.step(f, "%out", (k, "%panel")), f.mul(n, size))
            f.do(f"store {self.scalar.llvm} {value}, ptr {target}, align {size}")
        f.finish()

    def _pack_rows(self, f: VectorCode) -> None:
        lanes = f.lanes
        whole = f.mul(f.div("%columns", lanes), lanes)
        tail = f.lane_mask(f.sub("%columns", whole))
        partial = f.compare("slt", whole, "%columns")
        with f.loop(0, "%k") as k:
            source = self.step(f, "%b", (k, "%b_row"))
            target = self.step(f, "%out", (k, "%panel"))
            with f.loop(0, whole, lanes) as n:
                f.store(f.load(self.step(f, source, (n, 1))), self.step(f, target, (n, 1)))
            with f.when(partial):
                f.store(f.load(self.step(f, source, (whole, 1)), tail), self.step(f, target, (whole, 1)), tail)

    def write_transpose_block(self, full: bool) -> None:
        """``block(source, source_row, target, target_row, rows, columns)``: a square of `lanes`, or a part of one."""
        name = "transpose_full" if full else "transpose_part"
        f = self.code(name, ["ptr source", "i64 source_row", "ptr target", "i64 target_row", "i64 rows", "i64 columns"])
        read = None if full else f.lane_mask("%columns")
        write = None if full else f.lane_mask("%rows")
        square: list[str] = []
        for row in range(f.lanes):
            # Rows past the end read the last one again: a load that is always allowed, and its lanes are not written.
            index: Operand = row if full else f.minimum(row, f.sub("%rows", 1))
            square.append(f.load(self.step(f, "%source", (index, "%source_row")), read))
        for column, value in enumerate(_transposed(f, square)):
            target = self.step(f, "%target", (column, "%target_row"))
            if full:
                f.store(value, target)
            else:
                with f.when(f.compare("slt", column, "%columns")):
                    f.store(value, target, write)
        f.finish()

    def write_transpose(self) -> None:
        """``transpose(source, target, rows, columns, source_row, target_row)``: target[j, i] = source[i, j]."""
        arguments = ["ptr source", "ptr target", *(f"i64 {n}" for n in TRANSPOSE_ARGUMENTS[2:])]
        f = self.code("transpose", arguments)
        lanes = f.lanes
        with f.loop(0, "%rows", lanes) as i, f.loop(0, "%columns", lanes) as j:
            rows, columns = f.minimum(f.sub("%rows", i), lanes), f.minimum(f.sub("%columns", j), lanes)
            source = self.step(f, "%source", (i, "%source_row"), (j, 1))
            target = self.step(f, "%target", (j, "%target_row"), (i, 1))
            whole = f.both(f.compare("eq", rows, lanes), f.compare("eq", columns, lanes))
            where = [
                f"ptr {source}",
                "i64 %source_row",
                f"ptr {target}",
                "i64 %target_row",
                f"i64 {rows}",
                f"i64 {columns}",
            ]
            with f.when(whole):
                self.call(f, "transpose_full", *where)
            with f.when(f.negate(whole)):
                self.call(f, "transpose_part", *where)
        f.finish()
        f, p = self.exported("kg_transpose")
        pointers = [f"ptr {f.pointer(p[name])}" for name in TRANSPOSE_ARGUMENTS[:2]]
        self.call(f, "transpose", *pointers, *(f"i64 {p[name]}" for name in TRANSPOSE_ARGUMENTS[2:]))
        f.finish()

    # -- matrix times vector -------------------------------------------------------------------------------------------

    def write_dot(self) -> None:
        """``dot(a, a_row, x, c, c_row, m, k, beta)``: c[i] (+)= a[i, :] . x, rows of a and x contiguous."""
        f = self.code("dot", ["ptr a", "i64 a_row", "ptr x", "ptr c", "i64 c_row", "i64 m", "i64 k", "i64 beta"])
        group = 4 if self.vectors.bits < 512 else 8
        grouped = f.mul(f.div("%m", group), group)
        with f.loop(0, grouped, group) as row:
            self._dot_rows(f, row, group)
        with f.loop(grouped, "%m") as row:
            self._dot_rows(f, row, 1)
        f.finish()

    def _dot_rows(self, f: VectorCode, first: str, count: int) -> None:
        whole = f.mul(f.div("%k", f.lanes), f.lanes)
        rows = [self.step(f, "%a", (f.add(first, i), "%a_row")) for i in range(count)]
        sums = [f.variable(f.vector, "zeroinitializer") for _ in rows]

        def step(k: Operand, mask: str | None) -> None:
            x = f.load(self.step(f, "%x", (k, 1)), mask)
            for row, total in zip(rows, sums, strict=True):
                total.set(f.multiply_add(f.load(self.step(f, row, (k, 1)), mask), x, total.get()))

        with f.loop(0, whole, f.lanes) as k:
            step(k, None)
        with f.when(f.compare("slt", whole, "%k")):
            step(whole, f.lane_mask(f.sub("%k", whole)))
        kind = self.scalar.llvm
        keep = f.compare("ne", "%beta", 0)
        for i, total in enumerate(sums):
            value = f.variable(kind, f.lane_sum(total.get()))
            target = self.step(f, "%c", (f.add(first, i), "%c_row"))
            with f.when(keep):
                value.set(f.let(f"fadd {kind} {value.get()}, {f.load_scalar(target)}"))
            f.do(f"store {kind} {value.get()}, ptr {target}, align {self.scalar.size}")


def f_lanes(library: Library) -> int:
    """Lanes of the library's vectors."""
    return library.vectors.lanes(library.scalar)


def _transposed(f: VectorCode, square: list[str]) -> list[str]:
    """The transpose of lanes x lanes: swap off-diagonal 1 x 1 squares, then 2 x 2, 4 x 4, ..."""
    lanes = len(square)
    distance = 1
    while distance < lanes:
        upper = [lane if not lane & distance else lanes + lane - distance for lane in range(lanes)]
        lower = [lane + distance if not lane & distance else lanes + lane for lane in range(lanes)]
        following = list(square)
        for row in range(lanes):
            if not row & distance:
                for target, pattern in ((row, upper), (row + distance, lower)):
                    numbers = ", ".join(f"i32 {lane}" for lane in pattern)
                    pair = f"{f.vector} {square[row]}, {f.vector} {square[row + distance]}"
                    following[target] = f.let(f"shufflevector {pair}, <{lanes} x i32> <{numbers}>")
        square = following
        distance *= 2
    return square


# ----------------------------------------------------------------------------------------------------------------------
# Matrix product


def _write_gemm(lib: Library) -> None:
    f, p = lib.exported("kg_gemm")
    m, n, k, beta = p["m"], p["n"], p["k"], p["beta"]
    f.return_if(f.either(f.compare("sle", m, 0), f.compare("sle", n, 0)))
    _gemm_without_terms(lib, f, p)
    _gemm_one_column(lib, f, p)
    a, b, c, scratch = (f.pointer(p[name]) for name in ("a", "b", "c", "scratch"))
    k_blocks = f.maximum(f.div(f.add(k, K_BLOCK // 2), K_BLOCK), 1)
    k_step = f.ceil_div(k, k_blocks)
    m_most = f.maximum(f.div(A_BLOCK // lib.scalar.size, k_step), 2 * lib.vectors.rows)
    m_step = f.ceil_div(m, f.ceil_div(m, m_most))
    panel = lib.panel(f, m_step)
    far = f.compare("sge", p["b_row"], PACK_STRIDE // lib.scalar.size)
    pack = f.either(f.compare("ne", p["b_col"], 1), f.both(far, f.compare("sge", m, PACK_ROWS)))
    b_inner = f.select(pack, panel, p["b_row"])
    # One row collides with nothing; `_gemm_one_column` relies on a product of one row needing no scratch.
    alike = f.compare("eq", f.let(f"and i64 {lib.bytes(f, p['a_row'])}, {A_ALIAS - 1}"), 0)
    colliding = f.both(alike, f.compare("sgt", m, 1))
    copy = f.both(colliding, f.compare("eq", p["a_col"], 1), f.compare("sge", n, A_COLUMNS))
    packed_columns = f.mul(f.ceil_div(f.minimum(n, N_BLOCK), panel), panel)
    a_copy = lib.step(f, scratch, (k_step, packed_columns))
    with f.loop(0, n, N_BLOCK) as n0, f.loop(0, k, k_step) as k0:
        columns = f.minimum(f.sub(n, n0), N_BLOCK)
        terms = f.minimum(f.sub(k, k0), k_step)
        keep = f.let(f"or i64 {beta}, {k0}")
        block = lib.step(f, b, (k0, p["b_row"]), (n0, p["b_col"]))
        base = f.let(f"select i1 {pack}, ptr {scratch}, ptr {block}")
        panel_step = f.select(pack, terms, 1)
        a_row = f.select(copy, f.add(terms, A_PAD), p["a_row"])
        params = lib.params(
            f, a_row=a_row, c_row=p["c_row"], outer=1, a_outer=0, b_outer=0, inner=terms, a_inner=p["a_col"],
            b_inner=b_inner, next_step=p["b_row"],
        )  # fmt: skip
        streams = f.either(pack, f.compare("sle", m, STREAM_ROWS * lib.vectors.rows))
        with f.loop(0, m, m_step) as m0:
            rows = f.minimum(f.sub(m, m0), m_step)
            first = f.compare("eq", m0, 0)
            a_block = f.variable("ptr", lib.step(f, a, (m0, p["a_row"]), (k0, p["a_col"])))
            with f.when(copy):
                sizes = f"i64 {rows}", f"i64 {terms}", f"i64 {a_row}"
                lib.call(f, "kg_pack", f"ptr {a_block.get()}", f"i64 {p['a_row']}", "i64 1", f"ptr {a_copy}", *sizes)
                a_block.set(a_copy)
            with f.loop(0, columns, panel) as j:
                target = lib.step(f, c, (m0, p["c_row"]), (f.add(n0, j), 1))
                width = f.minimum(f.sub(columns, j), panel)
                with f.when(f.both(pack, first)):
                    source, packed = lib.step(f, block, (j, p["b_col"])), lib.step(f, scratch, (j, terms))
                    strides = f"i64 {p['b_row']}", f"i64 {p['b_col']}"
                    sizes = f"i64 {terms}", f"i64 {width}", f"i64 {panel}"
                    lib.call(f, "kg_pack", f"ptr {source}", *strides, f"ptr {packed}", *sizes)
                # While rows of A pass a panel, the next one comes from memory: of these columns, or of the next terms.
                last = f.compare("sge", f.add(j, panel), columns)
                following = f.select(last, f.mul(terms, p["b_row"]), f.mul(f.add(j, panel), p["b_col"]))
                address = f.let(f"ptrtoint ptr {lib.step(f, block, (following, 1))} to i64")
                f.set_word(params, PARAMS.index("next"), f.select(f.both(streams, first), address, 0))
                lib.sweep(f, a_block.get(), lib.step(f, base, (j, panel_step)), target, rows, width, keep, params)
    f.finish()


def _gemm_without_terms(lib: Library, f: Code, p: dict[str, str]) -> None:
    """K = 0: the sum of nothing is zero."""
    nothing = f.compare("sle", p["k"], 0)
    lib.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    with f.when(f.both(nothing, f.compare("eq", p["beta"], 0))):
        c = f.pointer(p["c"])
        with f.loop(0, p["m"]) as row:
            size = lib.bytes(f, p["n"])
            f.do(f"call void @llvm.memset.p0.i64(ptr {lib.step(f, c, (row, p['c_row']))}, i8 0, i64 {size}, i1 false)")
    f.return_if(nothing)


def _gemm_one_column(lib: Library, f: Code, p: dict[str, str]) -> None:
    """N = 1: dot products where A's rows are contiguous; where its columns are, the product of the transposes."""
    single = f.compare("eq", p["n"], 1)
    dot = f.both(single, f.compare("eq", p["a_col"], 1))
    with f.when(dot):
        x = f.variable("ptr", f.pointer(p["b"]))
        with f.when(f.compare("ne", p["b_row"], 1)):
            packed, source = f.pointer(p["scratch"]), x.get()
            sizes = f"i64 {p['k']}", "i64 1", "i64 1"
            lib.call(f, "kg_pack", f"ptr {source}", f"i64 {p['b_row']}", "i64 0", f"ptr {packed}", *sizes)
            x.set(packed)
        pointers = f"ptr {f.pointer(p['a'])}", f"i64 {p['a_row']}", f"ptr {x.get()}", f"ptr {f.pointer(p['c'])}"
        lib.call(f, "dot", *pointers, *(f"i64 {p[name]}" for name in ("c_row", "m", "k", "beta")))
    f.return_if(dot)
    turned = f.both(single, f.compare("eq", p["a_row"], 1), f.compare("eq", p["c_row"], 1))
    with f.when(turned):
        order = (
            p["b"],
            0,
            p["b_row"],
            p["a"],
            p["a_col"],
            1,
            p["c"],
            p["m"],
            1,
            p["m"],
            p["k"],
            p["beta"],
            p["scratch"],
        )
        lib.call(f, "kg_gemm", *(f"i64 {value}" for value in order))
    f.return_if(turned)


# ----------------------------------------------------------------------------------------------------------------------
# Convolution


def _write_conv(lib: Library) -> None:
    """y[n, i, j, :] = sum over kernel rows, columns and channels; x is padded already.

    Kernel columns and channels lie side by side in x, so a kernel row is one inner loop; a dilated or grouped kernel
    takes its columns one by one. Weights are packed panel by panel, and a panel stays in L2 while all pixels pass.
    """
    f, p = lib.exported("kg_conv2d")
    _conv_as_gemm(lib, f, p)
    x, w, y, scratch = (f.pointer(p[name]) for name in ("x", "w", "y", "scratch"))
    merged = f.both(f.compare("eq", p["dw"], 1), f.compare("eq", p["x_pixel"], p["c_in"]))
    panel = lib.panel(f, p["w_out"])
    row_terms = f.mul(p["kw"], p["c_in"])
    small = f.compare("sle", lib.bytes(f, row_terms, p["kh"], panel), PANEL_BYTES)
    taps = f.select(f.both(merged, small), p["kh"], 1)  # kernel rows summed in registers
    params = lib.params(
        f, a_row=f.mul(p["sw"], p["x_pixel"]), c_row=p["y_pixel"], outer=f.select(merged, taps, p["kw"]),
        a_outer=f.select(merged, f.mul(p["dh"], p["x_row"]), f.mul(p["dw"], p["x_pixel"])),
        b_outer=f.mul(f.select(merged, row_terms, p["c_in"]), panel),
        inner=f.select(merged, row_terms, p["c_in"]), a_inner=1, b_inner=panel,
    )  # fmt: skip
    with f.loop(0, p["c_out"], panel) as j, f.loop(0, p["kh"], taps) as tap:
        columns = f.minimum(f.sub(p["c_out"], j), panel)
        _pack_weights(lib, f, p, w, scratch, j, tap, taps, columns, panel)
        with f.loop(p["n_begin"], p["n_end"]) as n, f.loop(0, p["h_out"]) as h:
            row = f.add(f.mul(h, p["sh"]), f.mul(tap, p["dh"]))
            source = lib.step(f, x, (n, p["x_image"]), (row, p["x_row"]))
            target = lib.step(f, y, (n, p["y_image"]), (h, p["y_row"]), (j, 1))
            lib.sweep(f, source, scratch, target, p["w_out"], columns, tap, params)
    f.finish()


def _pack_weights(
    lib: Library, f: Code, p: dict[str, str], w: str, out: str, j: str, tap: str, taps: str, columns: str, panel: str
) -> None:
    """Kernel rows tap .. tap + taps, columns j .. j + columns, as one panel."""
    with f.loop(0, taps) as i, f.loop(0, p["kw"]) as column:
        source = lib.step(f, w, (f.add(tap, i), p["w_row"]), (column, p["w_col"]), (j, 1))
        target = lib.step(f, out, (f.mul(f.add(f.mul(i, p["kw"]), column), p["c_in"]), panel))
        sizes = f"i64 {p['c_in']}", f"i64 {columns}", f"i64 {panel}"
        lib.call(f, "kg_pack", f"ptr {source}", f"i64 {p['w_in']}", "i64 1", f"ptr {target}", *sizes)


def _conv_as_gemm(lib: Library, f: Code, p: dict[str, str]) -> None:
    """A 1 x 1 kernel at stride 1 over unpadded rows is a product of all pixels with the weights."""
    conditions = [f.compare("eq", p[name], 1) for name in ("kh", "kw", "sh", "sw")]
    for tensor in "xy":
        conditions.append(f.compare("eq", p[f"{tensor}_row"], f.mul(p["w_out"], p[f"{tensor}_pixel"])))
    plain = f.both(*conditions)
    with f.when(plain):
        pixels = f.mul(p["h_out"], p["w_out"])
        joined = f.both(
            *(f.compare("eq", p[f"{tensor}_image"], f.mul(p["h_out"], p[f"{tensor}_row"])) for tensor in "xy")
        )
        images = f.sub(p["n_end"], p["n_begin"])
        rows = f.select(joined, f.mul(pixels, f.maximum(images, 0)), pixels)
        end = f.select(joined, f.minimum(p["n_end"], f.add(p["n_begin"], 1)), p["n_end"])
        with f.loop(p["n_begin"], end) as n:
            a = f.add(p["x"], lib.bytes(f, n, p["x_image"]))
            c = f.add(p["y"], lib.bytes(f, n, p["y_image"]))
            order = (
                a,
                p["x_pixel"],
                1,
                p["w"],
                p["w_in"],
                1,
                c,
                p["y_pixel"],
                rows,
                p["c_out"],
                p["c_in"],
                0,
                p["scratch"],
            )
            lib.call(f, "kg_gemm", *(f"i64 {value}" for value in order))
    f.return_if(plain)


def _write_conv_grad(lib: Library) -> None:
    """w[kh, kw, ci, co] = sum over images and pixels of x * y, where y is the gradient of the convolution's result.

    A task is a block of the result: (kernel row, up to `GRAD_ROWS` of its columns and channels, a panel of output
    channels). Tasks are innermost, so that a strip of x and y serves all tasks of a call from L2.
    """
    f, p = lib.exported("kg_conv2d_wgrad")
    x, w, y = (f.pointer(p[name]) for name in "xwy")
    merged = f.both(
        f.compare("eq", p["dw"], 1),
        f.compare("eq", p["x_pixel"], p["c_in"]),
        f.compare("eq", p["w_col"], f.mul(p["c_in"], p["w_in"])),
    )
    rows = f.select(merged, f.mul(p["kw"], p["c_in"]), p["c_in"])
    f.return_if(f.compare("sle", rows, 0))
    blocks = f.ceil_div(rows, GRAD_ROWS)
    block_rows = f.ceil_div(rows, blocks)
    panel = lib.panel(f, block_rows)
    panels = f.ceil_div(f.maximum(p["c_out"], 1), panel)
    line = lib.bytes(f, f.add(f.mul(p["sh"], p["x_row"]), p["y_row"]))
    strip = f.maximum(f.div(GRAD_BLOCK, f.maximum(line, 1)), 1)
    params = lib.params(
        f, a_row=1, c_row=p["w_in"], outer=0, a_outer=f.mul(p["sh"], p["x_row"]), b_outer=p["y_row"], inner=p["w_out"],
        a_inner=f.mul(p["sw"], p["x_pixel"]), b_inner=p["y_pixel"],
    )  # fmt: skip
    grid = blocks, block_rows, panel, panels, rows, merged
    # Small images go together, so that a tile of the result is not written and read again for each of them.
    image = f.maximum(lib.bytes(f, f.add(p["x_image"], p["y_image"])), 1)
    whole = f.compare("sge", strip, p["h_out"])
    group = f.select(whole, f.maximum(f.div(GRAD_GROUP, image), 1), 1)

    def tasks(first: Operand, last: Operand, h: Operand) -> None:
        with f.loop(p["task_begin"], p["task_end"]) as task:
            _conv_grad_task(lib, f, p, (x, w, y), grid, task, (first, last, h), params)

    with f.when(f.either(f.compare("sle", p["n_end"], p["n_begin"]), f.compare("sle", p["h_out"], 0))):
        tasks(p["n_begin"], f.add(p["n_begin"], 1), 0)  # no terms: every tile writes zeros
    with f.loop(p["n_begin"], p["n_end"], group) as n, f.loop(0, p["h_out"], strip) as h:
        f.set_word(params, PARAMS.index("outer"), f.minimum(f.sub(p["h_out"], h), strip))
        tasks(n, f.minimum(f.add(n, group), p["n_end"]), h)
    f.finish()


def _conv_grad_task(
    lib: Library, f: Code, p: dict[str, str], pointers: tuple[str, str, str], grid: tuple[str, ...], task: str,
    place: tuple[Operand, Operand, Operand], params: str,
) -> None:  # fmt: skip
    x, w, y = pointers
    blocks, block_rows, panel, panels, rows, merged = grid
    first_image, last_image, h = place
    rest = f.div(task, panels)
    column = f.mul(f.sub(task, f.mul(rest, panels)), panel)
    tap = f.div(rest, blocks)
    first = f.mul(f.sub(rest, f.mul(tap, blocks)), block_rows)
    taps_per_row = f.select(merged, 1, p["kw"])
    tap_row = f.div(tap, taps_per_row)
    tap_column = f.sub(tap, f.mul(tap_row, taps_per_row))
    image_row = f.add(f.mul(h, p["sh"]), f.mul(tap_row, p["dh"]))
    target = lib.step(f, w, (tap_row, p["w_row"]), (tap_column, p["w_col"]), (first, p["w_in"]), (column, 1))
    corner = lib.step(f, x, (image_row, p["x_row"]), (f.mul(tap_column, p["dw"]), p["x_pixel"]), (first, 1))
    line = lib.step(f, y, (h, p["y_row"]), (column, 1))
    count, columns = f.minimum(f.sub(rows, first), block_rows), f.minimum(f.sub(p["c_out"], column), panel)
    with f.when(f.compare("sgt", count, 0)), f.loop(first_image, last_image) as n:
        keep = f.let(f"or i64 {f.sub(n, p['n_begin'])}, {h}")
        source, gradient = lib.step(f, corner, (n, p["x_image"])), lib.step(f, line, (n, p["y_image"]))
        lib.sweep(f, source, gradient, target, count, columns, keep, params)


# ----------------------------------------------------------------------------------------------------------------------
# The library as a whole


def tile_library_text(dtype: str = "f32", vectors: Vectors | None = None, parts: Collection[str] = tuple(PARTS)) -> str:
    """The LLVM text of some parts of the library of one element type ("f32" or "f64"), in one module."""
    vectors = vectors or host_vectors()
    module = Module(vectors)
    lib = Library(module, vectors, SCALARS[dtype], parts)
    if "products" in parts:
        lib.write_sweep()
        lib.write_tile_entry()
        lib.write_transpose_block(full=True)
        lib.write_transpose_block(full=False)
        lib.write_transpose()
        lib.write_pack()
        lib.write_dot()
        _write_gemm(lib)
    if "convolutions" in parts:
        _write_conv(lib)
        _write_conv_grad(lib)
    if "depthwise" in parts:
        write_depthwise(lib)
    return module.text()


_lock = threading.Lock()
_loaded: dict[tuple[str, str], NativeModule] = {}


def parts_called(symbols: Collection[str]) -> list[tuple[str, str]]:
    """The parts (element type, part) that define some of the `symbols`, each after those that it needs itself."""
    found: list[tuple[str, str]] = []
    for dtype in SCALARS:
        parts = [part for part, own in PARTS.items() if any(f"{symbol}_{dtype}" in symbols for symbol in own)]
        found += [(dtype, part) for part in dict.fromkeys(["products", *parts] if parts else [])]
    return found


def tiles_recipe(dtype: str = "f32", part: str = "products") -> Recipe:
    """A part's object for one element type.

    The key is cheap: it names the version of this file's text rather than hashing it, so that a warm start writes no
    LLVM text.
    """
    vectors = host_vectors()
    described = f"tile library {LIBRARY_VERSION} {dtype} {part} {vectors.key} {host_cpu_key()} {_source_digest()}"
    return Recipe(
        hashlib.sha256(described.encode()).hexdigest(),
        lambda emit: emit(tile_library_text(dtype, vectors, (part,)), by_hand=True),
    )


def load_tiles(
    fetch: Callable[[Recipe], bytes] | None = None, dtype: str = "f32", part: str = "products"
) -> NativeModule:
    """A loaded part of the library; its symbols become visible to objects loaded later.

    fetch: gets an object from the cache or makes it; without one the part is compiled.
    """
    if part != "products":
        load_tiles(fetch, dtype)
    with _lock:
        if (dtype, part) not in _loaded:
            recipe = tiles_recipe(dtype, part)
            module = load_object(fetch(recipe) if fetch else recipe.build(emit_object))
            for name in (*PARTS[part], *(_SHARED if part == "products" else ())):
                add_symbol(f"{name}_{dtype}", module.address(f"{name}_{dtype}"))
            _loaded[dtype, part] = module
        return _loaded[dtype, part]


@functools.cache
def _source_digest() -> str:
    """A digest of the files that write the library: an edited checkout must not meet its old objects."""
    here = Path(__file__)
    try:
        texts = [here.with_name(name).read_bytes() for name in ("tiles.py", "tilelib.py", "depthwise.py")]
    except OSError:  # an installation without source files cannot be edited either
        return ""
    return hashlib.sha256(b"".join(texts)).hexdigest()
