"""Kernels that move elements or add them where an index says: concat, cumsum, scatter, the gradient of max pooling."""

from __future__ import annotations

from kgraph.codegen.cpu.elementwise import Store, task_bounds, write_stores
from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase, chunked
from kgraph.codegen.cpu.writer import SCOPES, CeilDiv, FaultSite
from kgraph.codegen.loops import loop_index
from kgraph.ir.dims import DimLike, Shape, shape_volume
from kgraph.ir.graph import Node
from kgraph.ir.types import itemsize

__all__ = ["emit_concat", "emit_cumsum", "emit_pool_grad", "emit_scatter"]


def emit_concat(ctx: KernelContext) -> EmittedKernel:
    """Copies each operand to its place in the result.  A task is a range of rows, where all operands have these."""
    w, result = ctx.writer, ctx.results[0]
    node = ctx.region.outputs[0].producer
    assert node is not None
    shape = node.results[0].shape
    axis = node.attrs["axis"] % len(shape)
    offset: DimLike = 0
    bounds, tasks = _row_range(ctx, shape) if axis and shape[0] != 1 else (None, 1)
    in_place = set(ctx.in_place)
    for value in node.operands:
        if ctx.operands[value].position in in_place:
            in_place.discard(ctx.operands[value].position)  # a value that comes twice lies in its first place only
            offset = offset + value.shape[axis]
            continue
        domain = Domain(value.shape)
        tracer = ctx.tracer()
        shifted = tuple(i + offset if a == axis else i for a, i in enumerate(domain.index))
        stores: list[Store] = [(result, tracer.address(result, shifted), tracer.element(value, domain.index))]
        rows = domain.groups([0], [], "r") if bounds else []
        rest = range(1 if rows else 0, len(domain.shape))
        w.groups = [*rows, *domain.groups(rest, list(tracer.affines), "i")]
        w.forget([e for _, _, e in stores])
        write_stores(ctx, w.groups, stores, bounds)
        offset = offset + value.shape[axis]
    return ctx.finish([Phase(0, tasks)])


def _row_range(ctx: KernelContext, shape: Shape) -> tuple[tuple[str, str], CeilDiv]:
    """Cut axis 0 of a shape into tasks: (bounds of its loop in a task, number of tasks)."""
    w, ctx.rows = ctx.writer, shape[0]
    chunk, tasks = chunked(shape[0], shape_volume(shape[1:]), blocks_of=shape[0])
    step, extent = w.size(chunk), w.size(shape[0])
    w.line(f"low = begin * {step}")
    w.line(f"high = min(end * {step}, {extent})")
    return ("low", "high"), tasks


def emit_cumsum(ctx: KernelContext) -> EmittedKernel:
    """Running sums along one axis."""
    w, node = ctx.writer, ctx.region.outputs[0].producer
    assert node is not None
    x = node.operands[0]
    axis = node.attrs["axis"] % x.type.rank
    domain = Domain(x.shape)
    tracer = ctx.tracer()
    along = domain.axis_loop.get(axis)
    index = list(domain.index)
    if along is not None and node.attrs["reverse"]:
        index[axis] = loop_index(along) * -1 + (x.shape[axis] + -1)
    item = tracer.element(x, tuple(index))
    address = tracer.address(ctx.results[0], tuple(index))
    others = domain.groups([a for a in range(x.type.rank) if a != axis], list(tracer.affines), "i")
    inner = domain.groups([axis], list(tracer.affines), "j")
    w.groups = [*others, *inner]
    bounds, tasks = task_bounds(ctx, others, x.shape[axis])

    def row() -> None:
        w.line(f"total = to_{x.dtype}(0)")

        def body() -> None:
            if not node.attrs["exclusive"]:
                w.line(f"total = to_{x.dtype}(total + {w.name(item)})")
            w.store(ctx.results[0].position, x.dtype, w.affine(address), "total")
            if node.attrs["exclusive"]:
                w.line(f"total = to_{x.dtype}(total + {w.name(item)})")

        w.nest(inner, [item], body)

    w.nest(others, [], row, bounds)
    return ctx.finish([Phase(0, tasks)])


def emit_scatter(ctx: KernelContext) -> EmittedKernel:
    """Adds rows of updates at their ids.  A task owns a range of result rows and looks through all ids, so the order of
    additions, and with it every bit of the result, does not depend on threads.

    `scatter_rows` notes which rows got an update and writes no others.
    """
    w, node = ctx.writer, ctx.region.outputs[0].producer
    assert node is not None
    result, *hit = [ctx.results[ctx.region.outputs.index(value)] for value in node.results]
    ids, updates = node.operands
    rows, width = node.results[0].shape[0], shape_volume(node.results[0].shape[1:])
    ids_at, updates_at = ctx.operands[ids], ctx.operands[updates]
    chunk, tasks = chunked(rows, width, 1 << 20)
    step, total, n, d = w.size(chunk), w.size(rows), w.size(shape_volume(ids.shape)), w.size(width)
    dtype = updates.dtype
    w.line(f"low = begin * {step}")
    w.line(f"high = min(end * {step}, {total})")
    if hit:
        w.line(f"memset0(p{hit[0].position} + low, high - low)")
    else:
        size = itemsize(dtype)
        w.line(f"memset0(p{result.position} + low * {d} * {size}, (high - low) * {d} * {size})")

    def write(first: bool) -> None:
        with w.block(f"for j in range({d}):"):
            more = w.load(updates_at.position, dtype, f"i * {d} + j")
            have = "" if first else w.load(result.position, dtype, f"row * {d} + j") + " + "
            w.store(result.position, dtype, f"row * {d} + j", have + more)

    with w.block(f"for i in range({n}):"):
        w.line(f"row = to_i64({w.load(ids_at.position, ids.dtype, 'i')})")
        # Every task looks through all ids; the first of them reports a wrong one.
        site = FaultSite(node.loc.layer or "scatter_add", rows)
        w.report_row(f"begin == 0 and (row < 0 or row >= {total})", "row", site)
        with w.block("if row >= low and row < high:"):
            if hit:
                with w.block(f"if {w.load(hit[0].position, 'bool', 'row')}:"):
                    write(first=False)
                with w.block("else:"):
                    write(first=True)
                    w.store(hit[0].position, "bool", "row", "True")
            else:
                write(first=False)
    return ctx.finish([Phase(0, tasks)])


_CHANNELS = 256
"""Channels of a window that are looked at together: what they still wait for fits on the stack."""


def emit_pool_grad(ctx: KernelContext) -> EmittedKernel:
    """Gives each window's gradient to the first of its greatest elements.

    Windows come in order and within a window its places, so sums have one order. A copy of the window's maxima says
    which channels still look for theirs; once found it is NaN, which nothing equals. So all places have one loop over
    channels without a branch, and windows of all sizes one source.
    """
    w, node, result = ctx.writer, ctx.region.outputs[0].producer, ctx.results[0]
    assert node is not None
    x, y, dy = node.operands
    at_y = ctx.operands[y]
    images, height, width, channels = (w.size(d) for d in x.shape)
    rows, columns = w.size(dy.shape[1]), w.size(dy.shape[2])
    dtype = x.dtype
    chunk, tasks = chunked(x.shape[0], shape_volume(x.shape[1:]), 65536)
    step = w.size(chunk)
    w.line(f"low = begin * {step}")
    w.line(f"high = min(end * {step}, {images})")
    image = f"{height} * {width} * {channels} * {itemsize(dtype)}"
    w.line(f"memset0(p{result.position} + low * {image}, (high - low) * {image})")
    w.line(f"sought = local_f32({_CHANNELS * itemsize(dtype) // 4})")
    with (
        w.block("for n in range(low, high):"),
        w.block(f"for r in range({rows}):"),
        w.block(f"for c in range({columns}):"),
        w.block(f"for first in range(0, {channels}, {_CHANNELS}):"),
    ):
        w.line(f"count = min({_CHANNELS}, {channels} - first)")
        w.line(f"window = ((n * {rows} + r) * {columns} + c) * {channels} + first")
        with w.block("for k in range(count):"):
            w.line(f"store_{dtype}(sought, k, {w.load(at_y.position, dtype, 'window + k')}, {SCOPES - 1})")
        _pool_grad_places(ctx, node, height, width, channels)
    return ctx.finish([Phase(0, tasks)])


def _pool_grad_places(ctx: KernelContext, node: Node, height: str, width: str, channels: str) -> None:
    """The places of one window, those in the padding left out."""
    w, result = ctx.writer, ctx.results[0].position
    x, _, dy = (ctx.operands[value].position for value in node.operands)
    dtype = node.operands[0].dtype
    (kh, kw), (sh, sw) = node.attrs["window"], node.attrs["strides"]
    (top, _), (left, _) = node.attrs["padding"]
    down, right = w.size(sh), w.size(sw)
    with w.block(
        f"for h in range(max(r * {down} - {w.size(top)}, 0), min(r * {down} + {w.size(kh - top)}, {height})):"
    ):
        columns = f"range(max(c * {right} - {w.size(left)}, 0), min(c * {right} + {w.size(kw - left)}, {width}))"
        with w.block(f"for q in {columns}:"):
            w.line(f"at = ((n * {height} + h) * {width} + q) * {channels} + first")
            with w.block("for k in range(count):"):
                w.line(f"best = load_{dtype}(sought, k, {SCOPES - 1})")
                w.line(f"hit = {w.load(x, dtype, 'at + k')} == best")
                given = f"select(hit, {w.load(dy, dtype, 'window + k')}, to_{dtype}(0.0))"
                w.store(result, dtype, "at + k", f"{w.load(result, dtype, 'at + k')} + {given}")
                w.line(f"store_{dtype}(sought, k, select(hit, to_{dtype}(float_nan), best), {SCOPES - 1})")
