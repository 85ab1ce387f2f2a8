"""Kernels of convolutions: which algorithm each gets, and those around the Winograd library.

A convolution by Winograd is a kernel of two phases: the weights are transformed, then bands of output rows are computed
and the elementwise work follows while they are in cache. Its weight gradient sums chunks of tiles into memory of their
own, then adds the chunks in order.
"""

from __future__ import annotations

from collections.abc import Callable

from kgraph.codegen.cpu.elementwise import write_map
from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase
from kgraph.codegen.cpu.products import (
    TASK_FLOPS,
    ConvShape,
    Evaluate,
    anchor,
    emit_conv,
    emit_wgrad,
    other_results,
    raw_buffer,
    write_call,
)
from kgraph.codegen.cpu.winograd import PREFIX, Blocks, forward_blocks, gradient_blocks
from kgraph.codegen.cpu.writer import CeilDiv
from kgraph.codegen.loops import BufferRef
from kgraph.config import Convolution
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Node

__all__ = ["emit_convolution", "emit_kernel_gradient", "winograd_pays"]

TRANSFORMS = 220
"""Time of a tile's transforms per channel in and out, in products of the direct sum per channel; as measured."""
MARGIN = 1.1  # by how much Winograd must be faster, as small images and bands cost it more than the formula says

TASK_TILES = 56  # tiles of a task, at least: as many as hide the reading of the transformed weights
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


class _Bands:
    """Tasks of a convolution: bands of an image's rows of tiles, or several images; by sizes only."""

    def __init__(self, shape: ConvShape, channels: int) -> None:
        self.shape = shape
        self.wanted = max(TASK_TILES, TASK_FLOPS // (32 * channels))
        self.label = f"winograd {shape.images}|{shape.h_out}|{shape.w_out}|{channels}"

    def _plan(self, ev: Evaluate) -> tuple[int, int, int]:
        """Images of a task, output rows of a band, bands of an image."""
        down, across = _tiles(ev, self.shape)
        per_image = max(1, down * across)
        images = max(1, min(ev(self.shape.images), self.wanted // per_image))
        bands = max(1, min(down, per_image // self.wanted))
        rows = 2 * max(1, -(-down // bands))
        return images, rows, -(-2 * down // rows)

    def part(self, number: int, name: str) -> CeilDiv:
        """Entry `number` of the plan as a size."""
        return CeilDiv(lambda ev: self._plan(ev)[number], f"{self.label} {name}")

    def tasks(self) -> CeilDiv:
        """Number of tasks."""

        def compute(ev: Evaluate) -> int:
            images, _, bands = self._plan(ev)
            return -(-ev(self.shape.images) // images) * bands

        return CeilDiv(compute, f"{self.label} tasks")


def _tiles(ev: Evaluate, shape: ConvShape) -> tuple[int, int]:
    return -(-ev(shape.h_out) // 2), -(-ev(shape.w_out) // 2)


def _numbers(ctx: KernelContext, **sizes: DimLike) -> str:
    """Sizes as arguments. Each has a name of its own in the kernel, so that its text does not say which are equal."""
    return ", ".join(ctx.writer.size(_named(name, size)) for name, size in sizes.items())


def _named(name: str, size: DimLike) -> CeilDiv:
    return CeilDiv(lambda ev: ev(size), f"winograd {name}")


def _image_arguments(
    ctx: KernelContext, shape: ConvShape, rows: str, x: BufferRef, y: BufferRef, blocks: Blocks
) -> tuple[str, str, str]:
    """Sizes, strides, and where blocks lie: what both functions of images take."""
    sizes = f"{rows}, {_numbers(ctx, w_out=shape.w_out)}, {_channels(ctx, shape)}"
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
    raw, w = node.results[0], ctx.writer
    x, kernel = (ctx.operands[value] for value in node.operands)
    y = raw_buffer(ctx, raw)
    shape = ConvShape(node, x, node.operands[0], node.operands[1].shape, raw)
    c_in, c_out = _static(shape.c_in), _static(shape.c_out)
    blocks = forward_blocks(c_in, c_out)
    columns = -(-c_out // blocks.panel) * blocks.panel
    u = ctx.temporary("f32", 16 * c_in * columns, (1,))
    bands = _Bands(shape, c_in * c_out)

    def weights(rows: str) -> None:
        sizes = rows, _channels(ctx, shape), _kernel_strides(ctx, shape), _numbers(ctx, panel=blocks.panel)
        write_call(w, f"{PREFIX}_weights_f32", f"p{kernel.position}, p{u.position}", *sizes)

    with w.block("if phase == 0:"):
        tasks = _write_rows(ctx, c_in, SUM_ELEMENTS // (16 * columns), weights)
    with w.block("else:"), w.block("for task in range(begin, end):"):
        _write_band(ctx, shape, bands)
        at_x = f"p{x.position} + h_low * {_numbers(ctx, x_row=x.layout[1])} * 4"
        at_y = f"p{y.position} + h_low * {_numbers(ctx, y_row=y.layout[1])} * 4"
        groups = _image_arguments(ctx, shape, "h_high - h_low", x, y, blocks)
        write_call(w, f"{PREFIX}_f32", f"{at_x}, p{u.position}, {at_y}, n_low, n_high", *groups, "scratch")
        which = other_results(ctx, raw)
        if which:
            limits = {0: ("n_low", "n_high"), 1: ("h_low", "h_high")}
            write_map(ctx, ctx.tracer({raw: y}), Domain(raw.shape), which, limits)
    return ctx.finish([Phase(0, tasks), Phase(1, bands.tasks())], blocks.bytes)


def _write_band(ctx: KernelContext, shape: ConvShape, bands: _Bands) -> None:
    """Write the images and rows of the task, `n_low`, `n_high`, `h_low` and `h_high`."""
    w = ctx.writer
    images, rows, count = (w.size(bands.part(k, name)) for k, name in enumerate(("images", "rows", "bands")))
    w.line(f"n_low = quotient(task, {count}) * {images}")
    w.line(f"n_high = min(n_low + {images}, {_numbers(ctx, images=shape.images)})")
    w.line(f"h_low = remainder(task, {count}) * {rows}")
    w.line(f"h_high = min(h_low + {rows}, {_numbers(ctx, h_out=shape.h_out)})")


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
        groups = _image_arguments(ctx, shape, _numbers(ctx, h_out=shape.h_out), x, dy, blocks)
        write_call(
            w, f"{PREFIX}_wgrad_f32", f"p{x.position}, p{dy.position}, {at_u}", f"group, {part}", *groups, "scratch"
        )
    with w.block("else:"):
        tasks = _write_rows(ctx, c_in, SUM_ELEMENTS // (16 * c_out), sums)
    first = CeilDiv(lambda ev: 4 * chunks(ev), label + " tasks")
    return ctx.finish([Phase(0, first), Phase(1, tasks)], blocks.bytes)
