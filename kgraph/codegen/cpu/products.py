"""Kernels around the tile library: matrix products and convolutions with the elementwise work that follows them.

The library writes the raw product of a block into the memory of the first result of its type; the elementwise work
then runs over the same block while it is in cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from kgraph.codegen.cpu.conv_tasks import Cut, CutSizes, TaskCut, best_cut
from kgraph.codegen.cpu.depthwise import depthwise_tasks
from kgraph.codegen.cpu.elementwise import write_map
from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase
from kgraph.codegen.cpu.tilelib import conv_scratch, gemm_scratch, wgrad_tasks
from kgraph.codegen.cpu.writer import CeilDiv, Writer
from kgraph.codegen.loops import BufferRef, Layout, contiguous
from kgraph.errors import UnsupportedError
from kgraph.ir.dims import DimLike, shape_volume
from kgraph.ir.graph import Node, Value

__all__ = [
    "ConvShape",
    "Evaluate",
    "anchor",
    "emit_conv",
    "emit_gemm",
    "emit_wgrad",
    "other_results",
    "raw_buffer",
    "write_call",
    "write_ranges",
]

LEAST_TERMS = 250_000
"""Multiply-adds of a task of a product, at least: some 3 microseconds, above the cost of handing it to a thread."""

Evaluate = Callable[[DimLike], int]


def anchor(ctx: KernelContext, op: str) -> Node:
    """The node that a kernel is built around."""
    return next(node for node in ctx.region.nodes if node.op.name == op)


def raw_buffer(ctx: KernelContext, raw: Value) -> BufferRef:
    """Where the product is written before the elementwise work: a result's own memory if one fits, else a temporary."""
    return _result_for(ctx, raw) or ctx.temporary(raw.dtype, raw.type.volume, contiguous(raw.shape))


def _result_for(ctx: KernelContext, raw: Value) -> BufferRef | None:
    """A result whose memory can hold the raw product first."""
    results = list(zip(ctx.region.outputs, ctx.results, strict=True))
    for value, buffer in results:
        if value is raw:
            return buffer
    for value, buffer in results:
        # A result in the memory of an operand, a param that is updated: the elementwise work reads the old value first.
        in_place = buffer.position < len(ctx.node.operands)
        if value.type == raw.type and buffer.layout[-1] == 1 and not in_place:
            return buffer
    return None


def other_results(ctx: KernelContext, raw: Value) -> list[int]:
    """The results that elementwise work makes of the product."""
    return [k for k, value in enumerate(ctx.region.outputs) if value is not raw]


def _supported(dtype: str, node: Node) -> None:
    if dtype not in ("f32", "f64"):
        raise UnsupportedError(
            f"{node.op.name} of {dtype} has no native kernel", where=str(node.loc), fix="cast the operands to f32"
        )


def _matrix_strides(layout: Layout, transposed: bool) -> tuple[DimLike, DimLike]:
    row, column = layout[-2], layout[-1]
    return (column, row) if transposed else (row, column)


def emit_gemm(ctx: KernelContext) -> EmittedKernel:
    """`matmul`, any transposes, with or without leading batch axes."""
    node = anchor(ctx, "matmul")
    raw = node.results[0]
    _supported(raw.dtype, node)
    w = ctx.writer
    a, b = (ctx.operands[value] for value in node.operands)
    *_, m, n = raw.shape
    k = node.operands[0].shape[-2 if node.attrs["transpose_a"] else -1]
    batch = shape_volume(raw.shape[:-2])
    cut = _GemmCut(m, n, k)
    scratch = CeilDiv(lambda ev: gemm_scratch(ev(m), ev(n), ev(k), raw.dtype), f"gemm {m}|{n}|{k}")
    c = _result_for(ctx, raw)
    spare = None
    if c is None:
        spare = _ScratchBlock(ctx, raw, scratch)
        c, scratch = spare.ref, spare.scratch(cut)
    a_row, a_col = _matrix_strides(a.layout, node.attrs["transpose_a"])
    b_row, b_col = _matrix_strides(b.layout, node.attrs["transpose_b"])
    size = {name: w.size(q) for name, q in (("m", m), ("n", n), ("k", k), ("batch", batch))}
    rows, columns = w.size(cut.rows()), w.size(cut.columns())
    column_blocks = w.size(cut.column_blocks())
    with w.block("for task in range(begin, end):"):
        block = "task"
        if raw.type.rank > 2:
            block, blocks = "block", f"{w.size(cut.row_blocks())} * {column_blocks}"
            w.line(f"matrix = quotient(task, {blocks})")
            w.line(f"block = remainder(task, {blocks})")
        w.line(f"i_low = quotient({block}, {column_blocks}) * {rows}")
        w.line(f"i_high = min(i_low + {rows}, {size['m']})")
        w.line(f"j_low = remainder({block}, {column_blocks}) * {columns}")
        w.line(f"j_high = min(j_low + {columns}, {size['n']})")
        _unravel_matrix(ctx, raw)
        if spare:
            spare.write_address()
        bytes_ = 4 if raw.dtype == "f32" else 8
        at_a = f"p{a.position} + ({_matrix_offset(ctx, a)}i_low * {w.size(a_row)}) * {bytes_}"
        at_b = f"p{b.position} + ({_matrix_offset(ctx, b)}j_low * {w.size(b_col)}) * {bytes_}"
        c_row = w.size(c.layout[-2])
        at_c = f"p{c.position} + ({_matrix_offset(ctx, c)}i_low * {c_row} + j_low) * {bytes_}"
        write_call(
            w,
            f"kg_gemm_{raw.dtype}",
            f"{at_a}, {w.size(a_row)}, {w.size(a_col)}",
            f"{at_b}, {w.size(b_row)}, {w.size(b_col)}",
            f"{at_c}, {c_row}",
            f"i_high - i_low, j_high - j_low, {size['k']}, 0, scratch",
        )
        _gemm_epilogue(ctx, raw, c)
    ctx.rows = m if raw.type.rank == 2 else None
    tasks = CeilDiv(lambda ev: ev(batch) * cut.row_blocks().compute(ev) * cut.column_blocks().compute(ev), "gemm tasks")
    return ctx.finish([Phase(0, tasks)], scratch)


class _ScratchBlock:
    """A task's block of a product that only the elementwise work after it reads, in the thread's scratch.

    It is addressed like the whole matrix, whose first element would lie before the scratch.
    """

    def __init__(self, ctx: KernelContext, raw: Value, library: CeilDiv) -> None:
        self.w, self.raw, self.library = ctx.writer, raw, library
        position = ctx.count + len(ctx.temporaries)
        self.w.scopes[position] = position
        *lead, _, columns = raw.shape
        self.ref = BufferRef(position, raw.dtype, (*(0 for _ in lead), columns, 1))
        self.bytes = 4 if raw.dtype == "f32" else 8

    def _offset(self, ev: Evaluate) -> int:
        return -(-self.library.compute(ev) // 64) * 64

    def write_address(self) -> None:
        """Assign the block's pointer for the task's rows."""
        offset = self.w.size(CeilDiv(self._offset, "block after " + self.library.label))
        row = self.w.size(self.raw.shape[-1])
        self.w.line(f"p{self.ref.position} = scratch + {offset} - i_low * {row} * {self.bytes}")

    def scratch(self, cut: _GemmCut) -> CeilDiv:
        """Bytes for the library and the block."""
        planned, columns = cut.rows(), self.raw.shape[-1]

        def size(ev: Evaluate, rows: int) -> int:
            return self._offset(ev) + rows * ev(columns) * self.bytes

        return CeilDiv(lambda ev: size(ev, planned.compute(ev)), "block in " + self.library.label, size)


def write_call(w: Writer, symbol: str, *groups: str) -> None:
    """A call of a library's function, one group of arguments a line."""
    w.line("call_symbol(")
    w.line(f'    "{symbol}",')
    for group in groups:
        w.line(f"    {group},")
    w.line(")")


def _unravel_matrix(ctx: KernelContext, raw: Value) -> None:
    """Write the indices of the leading axes, `m0, m1, ...`, from the number of the matrix."""
    w, lead = ctx.writer, raw.type.rank - 2
    if lead == 1:
        w.line("m0 = matrix")
    elif lead > 1:
        w.line("rest = matrix")
        for axis in range(lead - 1, -1, -1):
            extent = w.size(raw.shape[axis])
            w.line(f"m{axis} = remainder(rest, {extent})")
            w.line(f"rest = quotient(rest, {extent})")


def _matrix_offset(ctx: KernelContext, ref: BufferRef) -> str:
    """Elements from the first matrix of a buffer to the task's; leading axes may lie anyhow."""
    return "".join(f"m{axis} * {ctx.writer.size(stride)} + " for axis, stride in enumerate(ref.layout[:-2]))


def _gemm_epilogue(ctx: KernelContext, raw: Value, c: BufferRef) -> None:
    which = other_results(ctx, raw)
    if not which:
        return
    rank = raw.type.rank
    domain = Domain(raw.shape)
    tracer = ctx.tracer({raw: c})
    bounds = {rank - 2: ("i_low", "i_high"), rank - 1: ("j_low", "j_high")}
    for axis in range(rank - 2):
        bounds[axis] = (f"m{axis}", f"m{axis} + 1")
    write_map(ctx, tracer, domain, which, bounds)


@lru_cache(maxsize=1024)
def _product_cut(m: int, n: int, k: int) -> Cut:
    """The cut of a product: that of a convolution whose kernel is one pixel, over an image one pixel wide."""
    return best_cut(CutSizes(1, m, 1, n, k, True), grain=LEAST_TERMS)


class _GemmCut:
    """How a product is cut into tasks, by rows and columns; by size only."""

    def __init__(self, m: DimLike, n: DimLike, k: DimLike) -> None:
        self.m, self.n, self.k = m, n, k

    def _plan(self, evaluate: Evaluate) -> Cut:
        return _product_cut(*(max(1, evaluate(size)) for size in (self.m, self.n, self.k)))

    def rows(self) -> CeilDiv:
        return self._part("rows", lambda ev: self._plan(ev).rows, lambda ev, rows: rows)

    def columns(self) -> CeilDiv:
        return self._part("columns", lambda ev: self._plan(ev).columns, lambda ev, rows: max(1, ev(self.n)))

    def row_blocks(self) -> CeilDiv:
        return self._part(
            "row blocks", lambda ev: -(-ev(self.m) // self._plan(ev).rows), lambda ev, rows: -(-ev(self.m) // rows)
        )

    def column_blocks(self) -> CeilDiv:
        return self._part("column blocks", lambda ev: -(-ev(self.n) // self._plan(ev).columns), lambda ev, rows: 1)

    def _part(self, name: str, compute: Callable[[Evaluate], int], by_rows: Callable[[Evaluate, int], int]) -> CeilDiv:
        return CeilDiv(compute, f"gemm {name} {self.m}|{self.n}|{self.k}", by_rows)


# -- convolution ------------------------------------------------------------------------------------------------------
class ConvShape:
    """Sizes and strides of a convolution without padding: x NHWC, kernel HWIO, y NHWC."""

    def __init__(
        self, node: Node, x: BufferRef, x_value: Value, kernel_shape: tuple[DimLike, ...], y_value: Value
    ) -> None:
        self.images, _, _, self.channels = x_value.shape
        self.kh, self.kw, self.c_in, self.filters = kernel_shape
        _, self.h_out, self.w_out, _ = y_value.shape
        (self.sh, self.sw), (self.dh, self.dw) = node.attrs["strides"], node.attrs["dilation"]
        self.groups: int = node.attrs["groups"]
        # One channel in and out per group: all groups go in one call, whose channels they are.
        self.depthwise = self.c_in == 1 and self.groups > 1 and self.filters == self.groups
        self.calls = 1 if self.depthwise else self.groups
        self.c_out = self.filters if self.calls == 1 else self.filters // self.groups

    def pointwise(self, x: Layout, y: Layout) -> bool:
        """Whether it is one product over all pixels, which follow one another evenly in both pictures."""
        if (self.kh, self.kw, self.sh, self.sw, self.groups) != (1, 1, 1, 1, 1):
            return False
        return all(t[1] == self.w_out * t[2] and t[0] == self.h_out * t[1] for t in (x, y))

    def arguments(
        self, ctx: KernelContext, x: Layout, y: Layout, images: tuple[str, str], rows: str, columns: str = ""
    ) -> tuple[str, str]:
        """Size and stride arguments of the library's convolutions, after the three addresses.

        columns: how many output channels, all when left out.
        """
        w = ctx.writer
        sizes = [
            *images,
            rows,
            w.size(self.w_out),
            w.size(self.c_in),
            columns or w.size(self.c_out),
            w.size(self.kh),
            w.size(self.kw),
        ]
        sizes += [w.size(q) for q in (self.sh, self.sw, self.dh, self.dw)]
        w_row = self.kw * self.c_in * self.filters
        strides = [x[2], x[1], x[0], self.filters, self.c_in * self.filters, w_row, y[2], y[1], y[0]]
        return ", ".join(sizes), ", ".join(w.size(q) for q in strides)


def emit_conv(ctx: KernelContext) -> EmittedKernel:
    """`conv2d` (already padded): tasks are bands of output rows of an image."""
    node = anchor(ctx, "conv2d")
    raw = node.results[0]
    _supported(raw.dtype, node)
    w = ctx.writer
    x, kernel = (ctx.operands[value] for value in node.operands)
    y = raw_buffer(ctx, raw)
    shape = ConvShape(node, x, node.operands[0], node.operands[1].shape, raw)
    whole = shape.depthwise or shape.calls > 1  # groups share no channels: their blocks would be slivers
    terms = shape.kh * shape.kw * shape.c_in * (shape.filters if whole else 1)
    product = (shape.kh, shape.kw, shape.sh, shape.sw) == (1, 1, 1, 1)
    cut = TaskCut(shape.images, shape.h_out, shape.w_out, 1 if whole else shape.c_out, terms, product)
    bytes_ = 4 if raw.dtype == "f32" else 8
    limits = {0: ("n_low", "n_high"), 1: ("h_low", "h_high")}
    if not whole:
        limits[3] = ("c_low", "c_high")
    with w.block("for task in range(begin, end):"):
        write_ranges(w, cut.part, limits, {0: shape.images, 1: shape.h_out, 3: shape.c_out})
        at_x = f"p{x.position} + h_low * {w.size(shape.sh)} * {w.size(x.layout[1])} * {bytes_}"
        at_y = f"p{y.position} + h_low * {w.size(y.layout[1])} * {bytes_}"
        arguments = shape.arguments(ctx, x.layout, y.layout, ("n_low", "n_high"), "h_high - h_low", "c_high - c_low")
        symbol = f"kg_depthwise_{raw.dtype}" if shape.depthwise else f"kg_conv2d_{raw.dtype}"
        if not whole:
            at_w, at_y = f"p{kernel.position} + c_low * {bytes_}", f"{at_y} + c_low * {bytes_}"
            write_call(w, symbol, f"{at_x}, {at_w}, {at_y}", *arguments, "scratch")
        elif shape.depthwise:
            arguments = shape.arguments(ctx, x.layout, y.layout, ("n_low", "n_high"), "h_high - h_low")
            write_call(w, symbol, f"{at_x}, p{kernel.position}, {at_y}", *arguments, "scratch")
        else:
            arguments = shape.arguments(ctx, x.layout, y.layout, ("n_low", "n_high"), "h_high - h_low")
            with w.block(f"for g in range({w.size(shape.groups)}):"):
                at_x += f" + g * {w.size(shape.c_in)} * {bytes_}"
                at_w = f"p{kernel.position} + g * {w.size(shape.c_out)} * {bytes_}"
                at_y += f" + g * {w.size(shape.c_out)} * {bytes_}"
                write_call(w, symbol, f"{at_x}, {at_w}, {at_y}", *arguments, "scratch")
        which = other_results(ctx, raw)
        if which:
            write_map(ctx, ctx.tracer({raw: y}), Domain(raw.shape), which, limits)
    return ctx.finish([Phase(0, cut.part("tasks"))], _conv_scratch(shape, raw.dtype))


def write_ranges(
    w: Writer, part: Callable[[str], CeilDiv], limits: dict[int, tuple[str, str]], extents: dict[int, DimLike]
) -> None:
    """Write the range of each limited axis of the result (images, rows, channels) that the task computes.

    part: gives the sizes of a `Cut` by name.
    """
    bands, blocks = w.size(part("bands")), w.size(part("blocks")) if 3 in limits else ""
    band = f"quotient(task, {blocks})" if blocks else "task"
    starts = {0: f"quotient({band}, {bands})", 1: f"remainder({band}, {bands})", 3: f"remainder(task, {blocks})"}
    for axis, name in ((0, "images"), (1, "rows"), (3, "columns")):
        if axis in limits:
            size, (low, high) = w.size(part(name)), limits[axis]
            w.line(f"{low} = {starts[axis]} * {size}")
            w.line(f"{high} = min({low} + {size}, {w.size(extents[axis])})")


def _conv_scratch(shape: ConvShape, dtype: str) -> CeilDiv:
    def compute(ev: Evaluate) -> int:
        rows = ev(shape.images) * ev(shape.h_out) * ev(shape.w_out)
        return conv_scratch(ev(shape.kh), ev(shape.kw), ev(shape.c_in), ev(shape.c_out), rows, dtype)

    return CeilDiv(compute, "conv scratch")


def emit_wgrad(ctx: KernelContext) -> EmittedKernel:
    """`conv2d_kernel_grad`: tasks are blocks of the kernel's gradient, each summed over all images in one order."""
    node = anchor(ctx, "conv2d_kernel_grad")
    raw = node.results[0]
    _supported(raw.dtype, node)
    w = ctx.writer
    x, dy = (ctx.operands[value] for value in node.operands)
    result = ctx.results[0]
    shape = ConvShape(node, x, node.operands[0], raw.shape, node.operands[1])
    bytes_ = 4 if raw.dtype == "f32" else 8
    images = ("0", w.size(shape.images))
    if shape.pointwise(x.layout, dy.layout):
        return _emit_pixel_product(ctx, shape, x, dy, raw.dtype)
    arguments = shape.arguments(ctx, x.layout, dy.layout, images, w.size(shape.h_out))
    symbol = f"kg_depthwise_wgrad_{raw.dtype}" if shape.depthwise else f"kg_conv2d_wgrad_{raw.dtype}"
    merged = shape.dw == 1 and shape.groups == 1

    def per_call(ev: Evaluate) -> int:
        if shape.depthwise:
            return depthwise_tasks(ev(shape.c_out), raw.dtype)
        sizes = [ev(q) for q in (shape.kh, shape.kw, shape.c_in, shape.c_out)]
        return wgrad_tasks(*sizes, merged=merged, dtype=raw.dtype)

    if shape.calls == 1:
        pointers = f"p{x.position}, p{result.position}, p{dy.position}"
        write_call(w, symbol, pointers, *arguments, "begin, end, scratch")
    else:
        count = w.size(CeilDiv(per_call, "wgrad tasks per group"))
        with w.block("for task in range(begin, end):"):
            w.line(f"g = quotient(task, {count})")
            w.line(f"t = remainder(task, {count})")
            at_x = f"p{x.position} + g * {w.size(shape.c_in)} * {bytes_}"
            at_w = f"p{result.position} + g * {w.size(shape.c_out)} * {bytes_}"
            at_dy = f"p{dy.position} + g * {w.size(shape.c_out)} * {bytes_}"
            write_call(w, symbol, f"{at_x}, {at_w}, {at_dy}", *arguments, "t, t + 1, scratch")
    tasks = CeilDiv(lambda ev: shape.calls * per_call(ev), "wgrad tasks")
    return ctx.finish([Phase(0, tasks)], _conv_scratch(shape, raw.dtype))


def _emit_pixel_product(ctx: KernelContext, shape: ConvShape, x: BufferRef, dy: BufferRef, dtype: str) -> EmittedKernel:
    """The weight gradient of a kernel of one pixel, x^T dy: tasks are blocks of input and output channels."""
    w, result, bytes_ = ctx.writer, ctx.results[0], 4 if dtype == "f32" else 8
    pixels = shape.images * shape.h_out * shape.w_out
    cut = TaskCut(1, shape.c_in, 1, shape.c_out, pixels)
    x_pixel, y_pixel, filters = w.size(x.layout[2]), w.size(dy.layout[2]), w.size(shape.filters)
    with w.block("for task in range(begin, end):"):
        write_ranges(w, cut.part, {1: ("i_low", "i_high"), 3: ("j_low", "j_high")}, {1: shape.c_in, 3: shape.c_out})
        write_call(
            w,
            f"kg_gemm_{dtype}",
            f"p{x.position} + i_low * {bytes_}, 1, {x_pixel}",
            f"p{dy.position} + j_low * {bytes_}, {y_pixel}, 1",
            f"p{result.position} + (i_low * {filters} + j_low) * {bytes_}, {filters}",
            f"i_high - i_low, j_high - j_low, {w.size(pixels)}, 0, scratch",
        )
    scratch = CeilDiv(lambda ev: gemm_scratch(ev(shape.c_in), ev(shape.c_out), ev(pixels), dtype), "wgrad gemm")
    return ctx.finish([Phase(0, cut.part("tasks"))], scratch)
