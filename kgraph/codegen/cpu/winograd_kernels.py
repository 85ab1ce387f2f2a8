"""Kernels of convolutions: which algorithm each gets, and those around the Winograd library.

A convolution by Winograd is a kernel of two phases: the weights are transformed, then bands of output rows are computed
and the elementwise work follows while they are in cache. Where the tiles of all images are few, the first transforms
their pixels, and the second computes blocks of output channels. Its weight gradient sums chunks of tiles into memory of
their own, then adds the chunks in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from kgraph.codegen.cpu.conv_tasks import TASK_TERMS, CutSizes, best_cut
from kgraph.codegen.cpu.elementwise import write_map
from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase
from kgraph.codegen.cpu.products import (
    ConvShape,
    Evaluate,
    anchor,
    emit_conv,
    emit_wgrad,
    other_results,
    raw_buffer,
    write_call,
    write_ranges,
)
from kgraph.codegen.cpu.winograd import (
    PREFIX,
    Blocks,
    few_blocks,
    few_chunk,
    forward_blocks,
    gradient_blocks,
    weight_columns,
    weight_volume,
)
from kgraph.codegen.cpu.writer import CeilDiv
from kgraph.codegen.loops import BufferRef
from kgraph.config import Convolution
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Node

__all__ = ["emit_convolution", "emit_kernel_gradient", "winograd_pays"]

TRANSFORMS = 220
"""Time of a tile's transforms per channel in and out, in products of the direct sum per channel; as measured."""
MARGIN = 1.1  # by how much Winograd must be faster, as small images and bands cost it more than the formula says

FEW_TILES = 256  # tiles whose transform all tasks read, at most
TASK_TILES = 56  # tiles of a task, at least: as many as hide the reading of the transformed weights
PIXEL_ELEMENTS = 4096  # tiles times input channels of a task that transforms pixels
CHUNK_TILES = 128  # tiles of a chunk of the weight gradient, at least: as many as hide the adding of chunks
MAX_CHUNKS = 8
CHUNK_BYTES = 1 << 23  # all chunks of a weight gradient
SUM_ELEMENTS = 1 << 16  # elements added by a task of its second phase


def winograd_pays(c_in: int, c_out: int, height: DimLike, width: DimLike) -> bool:
    """Whether Winograd is faster than the direct sum, for a convolution and for its weight gradient.

    Of the 36 products that a tile of 2 x 2 pixels costs for each pair of channels it saves 20, and pays for transforms
    that grow with c_in + c_out only, and for the pixels that the last tiles of odd sizes compute in vain. Measured on
    one core, 16 / 32 / 64 / 128 channels at even sizes: the convolution 1.2-1.4 / 1.6-1.7 / 1.9 / 1.9 times as fast,
    the weight gradient 1.1-1.3 / 1.6 / 1.7 / 1.8 times; 8 channels 0.9-1.0 and 0.7-0.8. Batches hardly matter: 16
    tiles are enough to pay for the transformed weights.
    """
    pixels, computed = 1.0, 1.0
    for extent in (height, width):
        if isinstance(extent, int):
            pixels, computed = pixels * extent, computed * 2 * -(-extent // 2)
    transforms = TRANSFORMS * (1 / c_in + 1 / c_out) / 2
    return 36 * pixels > MARGIN * computed * (16 + transforms)


def _use_winograd(choice: Convolution, node: Node, kernel: tuple[DimLike, ...], result: tuple[DimLike, ...]) -> bool:
    """kernel, result: the shapes of the convolution's kernel and result."""
    if choice == "direct" or node.results[0].dtype != "f32":
        return False
    if node.attrs["strides"] != (1, 1) or node.attrs["dilation"] != (1, 1) or node.attrs["groups"] != 1:
        return False
    kh, kw, c_in, c_out = kernel
    if (kh, kw) != (3, 3) or not (isinstance(c_in, int) and isinstance(c_out, int)):
        return False
    return choice == "winograd" or winograd_pays(c_in, c_out, result[1], result[2])


def emit_convolution(ctx: KernelContext) -> EmittedKernel:
    """`conv2d` (already padded), by the algorithm that the options ask for."""
    node = anchor(ctx, "conv2d")
    if _use_winograd(ctx.convolution, node, node.operands[1].shape, node.results[0].shape):
        return _emit_forward(ctx, node)
    return emit_conv(ctx)


def emit_kernel_gradient(ctx: KernelContext) -> EmittedKernel:
    """`conv2d_kernel_grad` (already padded), by the algorithm that the options ask for."""
    node = anchor(ctx, "conv2d_kernel_grad")
    if _use_winograd(ctx.convolution, node, node.results[0].shape, node.operands[1].shape):
        return _emit_gradient(ctx, node)
    return emit_wgrad(ctx)


# -- the convolution ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """How a convolution is cut into tasks: `Cut`, and whether all its tiles are few (1 or 0)."""

    few: int
    tiles: int
    images: int
    rows: int
    columns: int
    bands: int
    blocks: int
    tasks: int


@lru_cache(maxsize=1024)
def _plan(images: int, down: int, across: int, c_in: int, c_out: int) -> _Plan:
    """By sizes only. down, across: tiles of an image.

    Few tiles: blocks of channels, each of which reads all tiles. Else bands of an image's rows of tiles, or several
    images, as evenly as a task's share of two, four or eight threads allows.
    """
    tiles, panel = images * down * across, weight_columns(c_out)
    if tiles <= FEW_TILES and c_out > panel:
        blocks = -(-c_out // panel)
        return _Plan(1, tiles, max(1, images), 2 * max(1, down), panel, 1, blocks, blocks if tiles else 0)
    least = min(max(1, tiles), max(TASK_TILES, TASK_TERMS // (16 * c_in * c_out)))
    cut = best_cut(CutSizes(images, down, across, c_out, 16 * c_in, False), least)
    return _Plan(0, tiles, cut.images, 2 * cut.rows, c_out, cut.bands, 1, cut.tasks)


class _Tasks:
    """The plan of a kernel whose sizes may be known only when it is bound."""

    def __init__(self, shape: ConvShape) -> None:
        self.shape = shape
        self.label = f"winograd {shape.images}|{shape.h_out}|{shape.w_out}|{shape.c_in}|{shape.c_out}"

    def plan(self, ev: Evaluate) -> _Plan:
        """The plan for these sizes."""
        return _plan(ev(self.shape.images), *_tiles(ev, self.shape), ev(self.shape.c_in), ev(self.shape.c_out))

    def part(self, name: str) -> CeilDiv:
        """An attribute of the plan."""
        return self.size(name, lambda plan: int(getattr(plan, name)))

    def size(self, name: str, compute: Callable[[_Plan], int]) -> CeilDiv:
        """A size that follows from the plan."""
        return CeilDiv(lambda ev: compute(self.plan(ev)), f"{self.label} {name}")


def _tiles(ev: Evaluate, shape: ConvShape) -> tuple[int, int]:
    return -(-ev(shape.h_out) // 2), -(-ev(shape.w_out) // 2)


def _numbers(ctx: KernelContext, **sizes: DimLike) -> str:
    """Sizes as arguments. Each has a name of its own in the kernel, so that its text does not say which are equal."""
    return ", ".join(ctx.writer.size(_named(name, size)) for name, size in sizes.items())


def _named(name: str, size: DimLike) -> CeilDiv:
    return CeilDiv(lambda ev: ev(size), f"winograd {name}")


def _image_arguments(
    ctx: KernelContext, shape: ConvShape, rows: str, channels: str, x: BufferRef, y: BufferRef, blocks: Blocks
) -> tuple[str, str, str]:
    """Sizes, strides, and where blocks lie: what the functions of images take."""
    sizes = f"{rows}, {_numbers(ctx, w_out=shape.w_out)}, {channels}"
    (x_image, x_row, x_pixel, _), (y_image, y_row, y_pixel, _) = x.layout, y.layout
    strides = _numbers(
        ctx, x_pixel=x_pixel, x_row=x_row, x_image=x_image, y_pixel=y_pixel, y_row=y_row, y_image=y_image
    )
    places = _numbers(
        ctx, block=blocks.tiles, v_row=blocks.row, v_plane=blocks.plane, panel=blocks.panel, p_plane=blocks.panel_plane
    )
    return sizes, strides, places


def _channels(ctx: KernelContext, shape: ConvShape) -> str:
    return _numbers(ctx, c_in=shape.c_in, c_out=shape.c_out)


def _kernel_strides(ctx: KernelContext, shape: ConvShape) -> str:
    column = shape.c_in * shape.filters
    return _numbers(ctx, w_in=shape.filters, w_col=column, w_row=shape.kw * column)


def _emit_forward(ctx: KernelContext, node: Node) -> EmittedKernel:
    """Phase 0 transforms what all tasks of phase 1 read: the weights, or the pixels where they are few."""
    raw, w = node.results[0], ctx.writer
    x, kernel = (ctx.operands[value] for value in node.operands)
    y = raw_buffer(ctx, raw)
    shape = ConvShape(node, x, node.operands[0], node.operands[1].shape, raw)
    forward = _Forward(ctx, shape, x, kernel, y)
    limits = {0: ("n_low", "n_high"), 1: ("h_low", "h_high"), 3: ("c_low", "c_high")}
    few = w.size(forward.tasks.part("few"))
    with w.block("if phase == 0:"):
        with w.block(f"if {few} == 1:"):
            pixel_tasks = forward.write_pixels()
        with w.block("else:"):
            weight_tasks = forward.write_weights()
    with w.block("else:"), w.block("for task in range(begin, end):"):
        write_ranges(w, forward.tasks.part, limits, {0: shape.images, 1: shape.h_out, 3: shape.c_out})
        with w.block(f"if {few} == 1:"):
            forward.write_few()
        with w.block("else:"):
            forward.write_band()
        which = other_results(ctx, raw)
        if which:
            write_map(ctx, ctx.tracer({raw: y}), Domain(raw.shape), which, limits)
    first = forward.tasks.size("first", lambda plan: pixel_tasks(plan) if plan.few else weight_tasks)
    return ctx.finish([Phase(0, first), Phase(1, forward.tasks.part("tasks"))], forward.scratch())


class _Forward:
    """Writes the calls of the library for one convolution."""

    def __init__(self, ctx: KernelContext, shape: ConvShape, x: BufferRef, kernel: BufferRef, y: BufferRef) -> None:
        self.ctx, self.shape, self.x, self.kernel, self.y = ctx, shape, x, kernel, y
        self.c_in, self.c_out = _static(shape.c_in), _static(shape.c_out)
        self.tasks = _Tasks(shape)
        self.blocks = forward_blocks(self.c_in, self.c_out)
        self.columns = -(-self.c_out // self.blocks.panel) * self.blocks.panel
        weights = weight_volume(self.c_in, self.c_out)
        volume = self.tasks.size("memory", lambda plan: 16 * self._few(plan).plane if plan.few else weights)
        self.shared = ctx.temporary("f32", volume, (1,)).position

    def _few(self, plan: _Plan) -> Blocks:
        return few_blocks(plan.tiles, self.c_in, self.c_out)

    def scratch(self) -> CeilDiv:
        """Bytes of a thread."""
        return self.tasks.size("scratch", lambda plan: self._few(plan).bytes if plan.few else self.blocks.bytes)

    def write_weights(self) -> int:
        """Transformed weights into shared memory. Returns the number of tasks."""
        ctx, panel = self.ctx, _numbers(self.ctx, panel=self.blocks.panel)

        def call(rows: str) -> None:
            sizes = rows, _channels(ctx, self.shape), _kernel_strides(ctx, self.shape), panel
            pointers = f"p{self.kernel.position}, p{self.shared}"
            write_call(ctx.writer, f"{PREFIX}_weights_f32", pointers, *sizes)

        return _write_rows(ctx, self.c_in, SUM_ELEMENTS // (16 * self.columns), call)

    def write_pixels(self) -> Callable[[_Plan], int]:
        """Transformed pixels into shared memory. Returns how to find the number of tasks."""
        ctx, w = self.ctx, self.ctx.writer
        step = max(1, PIXEL_ELEMENTS // self.c_in)
        size, total = _numbers(ctx, step=step), w.size(self.tasks.part("tiles"))
        with w.block("for task in range(begin, end):"):
            sizes, strides, _ = self._arguments(_numbers(ctx, h_out=self.shape.h_out), _channels(ctx, self.shape))
            tiles = f"task * {size}, min((task + 1) * {size}, {total})"
            pointers = f"p{self.x.position}, p{self.shared}"
            write_call(w, f"{PREFIX}_pixels_f32", pointers, tiles, sizes, strides, self._few_places())
        return lambda plan: -(-plan.tiles // step)

    def write_few(self) -> None:
        """The channels of a task, all tiles."""
        ctx, w = self.ctx, self.ctx.writer
        channels = f"{_numbers(ctx, c_in=self.c_in)}, c_high - c_low"
        sizes, strides, _ = self._arguments("h_high", channels)
        pointers = f"p{self.shared}, p{self.kernel.position} + c_low * 4, p{self.y.position} + c_low * 4, n_high"
        plane = w.size(self.tasks.size("p_plane", lambda plan: self._few(plan).panel_plane))
        chunk = w.size(self.tasks.size("chunk", lambda plan: few_chunk(plan.tiles, self.c_in, self.c_out)))
        places = f"{self._few_places()}, {_numbers(ctx, panel=self.blocks.panel)}, {plane}, {chunk}"
        groups = pointers, sizes, strides, _kernel_strides(ctx, self.shape), places, "scratch"
        write_call(w, f"{PREFIX}_few_f32", *groups)

    def write_band(self) -> None:
        """The images and rows of a task, all channels."""
        ctx = self.ctx
        at_x = f"p{self.x.position} + h_low * {_numbers(ctx, x_row=self.x.layout[1])} * 4"
        at_y = f"p{self.y.position} + h_low * {_numbers(ctx, y_row=self.y.layout[1])} * 4"
        groups = self._arguments("h_high - h_low", _channels(ctx, self.shape))
        pointers = f"{at_x}, p{self.shared}, {at_y}, n_low, n_high"
        write_call(ctx.writer, f"{PREFIX}_f32", pointers, *groups, "scratch")

    def _arguments(self, rows: str, channels: str) -> tuple[str, str, str]:
        return _image_arguments(self.ctx, self.shape, rows, channels, self.x, self.y, self.blocks)

    def _few_places(self) -> str:
        w, row = self.ctx.writer, _numbers(self.ctx, v_row=self.blocks.row)
        return f"{row}, {w.size(self.tasks.size('v_plane', lambda plan: self._few(plan).plane))}"


def _write_rows(ctx: KernelContext, rows: int, step: int, body: Callable[[str], None]) -> int:
    """Tasks over the rows of a kernel; `body` writes what is done for a range of them. Returns the number of tasks."""
    w = ctx.writer
    step = max(1, min(rows, step))
    size, total = _numbers(ctx, rows=step), _numbers(ctx, c_in=rows)
    with w.block("for task in range(begin, end):"):
        body(f"task * {size}, min((task + 1) * {size}, {total})")
    return -(-rows // step)


def _static(dim: DimLike) -> int:
    assert isinstance(dim, int), "_use_winograd looks at this"
    return dim


# -- its weight gradient -----------------------------------------------------------------------------------------------


def _emit_gradient(ctx: KernelContext, node: Node) -> EmittedKernel:
    raw, w = node.results[0], ctx.writer
    x, dy = (ctx.operands[value] for value in node.operands)
    result = ctx.results[0]
    shape = ConvShape(node, x, node.operands[0], raw.shape, node.operands[1])
    c_in, c_out = _static(shape.c_in), _static(shape.c_out)
    blocks = gradient_blocks(c_in, c_out)
    volume = 16 * c_in * c_out
    label = f"winograd chunks {shape.images}|{shape.h_out}|{shape.w_out}|{volume}"

    def tiles(ev: Evaluate) -> int:
        down, across = _tiles(ev, shape)
        return ev(shape.images) * down * across

    def chunks(ev: Evaluate) -> int:
        """A power of two, so that threads get equal shares."""
        most = min(MAX_CHUNKS, tiles(ev) // CHUNK_TILES, CHUNK_BYTES // (4 * volume))
        return 1 << (max(1, most).bit_length() - 1)

    u = ctx.temporary("f32", CeilDiv(lambda ev: volume * chunks(ev), label + " memory"), (1,))
    count = w.size(CeilDiv(chunks, label))

    def sums(rows: str) -> None:
        groups = f"p{u.position}, p{result.position}, {count}", rows, _channels(ctx, shape)
        write_call(w, f"{PREFIX}_sum_f32", *groups, _kernel_strides(ctx, shape))

    with w.block("if phase == 0:"), w.block("for task in range(begin, end):"):
        total = w.size(CeilDiv(tiles, label + " tiles"))
        w.line("chunk = quotient(task, 4)")
        w.line("group = remainder(task, 4)")
        at_u = f"p{u.position} + task * {_numbers(ctx, volume=volume)}"  # a fourth of the elements, of 4 bytes each
        part = f"chunk * {total} // {count}, (chunk + 1) * {total} // {count}"
        rows = _numbers(ctx, h_out=shape.h_out)
        groups = _image_arguments(ctx, shape, rows, _channels(ctx, shape), x, dy, blocks)
        write_call(
            w, f"{PREFIX}_wgrad_f32", f"p{x.position}, p{dy.position}, {at_u}", f"group, {part}", *groups, "scratch"
        )
    with w.block("else:"):
        tasks = _write_rows(ctx, c_in, SUM_ELEMENTS // (16 * c_out), sums)
    first = CeilDiv(lambda ev: 4 * chunks(ev), label + " tasks")
    return ctx.finish([Phase(0, first), Phase(1, tasks)], blocks.bytes)
