"""Kernels that move elements or add them where an index says: concat, cumsum, scatter, the gradient of max pooling."""

from __future__ import annotations

from kgraph.codegen.cpu.elementwise import Store, task_bounds, write_stores
from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase, chunked
from kgraph.codegen.cpu.writer import FaultSite
from kgraph.codegen.loops import BufferRef, loop_index
from kgraph.ir.dims import DimLike, shape_volume
from kgraph.ir.types import itemsize

__all__ = ["emit_concat", "emit_cumsum", "emit_pool_grad", "emit_scatter"]


def emit_concat(ctx: KernelContext) -> EmittedKernel:
    """Copies each operand to its place in the result."""
    w, result = ctx.writer, ctx.results[0]
    node = ctx.region.outputs[0].producer
    assert node is not None
    axis = node.attrs["axis"] % len(node.results[0].shape)
    offset: DimLike = 0
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
        w.groups = domain.groups(range(len(domain.shape)), list(tracer.affines), "i")
        w.forget([e for _, _, e in stores])
        write_stores(ctx, w.groups, stores, None)
        offset = offset + value.shape[axis]
    return ctx.finish([Phase(0, 1)])


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


def emit_pool_grad(ctx: KernelContext) -> EmittedKernel:
    """Gives each window's gradient to the first of its greatest elements."""
    w, node, result = ctx.writer, ctx.region.outputs[0].producer, ctx.results[0]
    assert node is not None
    x, y, dy = node.operands
    at_x, at_y, at_dy = ctx.operands[x], ctx.operands[y], ctx.operands[dy]
    (kh, kw), (sh, sw) = node.attrs["window"], node.attrs["strides"]
    (top, _), (left, _) = node.attrs["padding"]
    images, height, width, channels = (w.size(d) for d in x.shape)
    rows, columns = w.size(dy.shape[1]), w.size(dy.shape[2])
    dtype = x.dtype
    chunk, tasks = chunked(x.shape[0], shape_volume(x.shape[1:]), 65536)
    step = w.size(chunk)
    w.line(f"low = begin * {step}")
    w.line(f"high = min(end * {step}, {images})")
    image = f"{height} * {width} * {channels}"
    w.line(
        f"memset0(p{result.position} + low * {image} * {itemsize(dtype)}, (high - low) * {image} * {itemsize(dtype)})"
    )
    padded = any(p for pair in node.attrs["padding"] for p in pair)
    places = [(i, j) for i in range(kh) for j in range(kw)]
    with (
        w.block("for n in range(low, high):"),
        w.block(f"for r in range({rows}):"),
        w.block(f"for c in range({columns}):"),
    ):
        for q, (i, j) in enumerate(places):
            w.line(f"h{q} = r * {sh} + {i - top}")
            w.line(f"c{q} = c * {sw} + {j - left}")
            if padded:
                w.line(f"in{q} = h{q} >= 0 and h{q} < {height} and c{q} >= 0 and c{q} < {width}")
            place = f"((n * {height} + h{q}) * {width} + c{q}) * {channels}"
            w.line(f"at{q} = {f'select(in{q}, {place}, 0)' if padded else place}")
        w.line(f"window = ((n * {rows} + r) * {columns} + c) * {channels}")
        with w.block(f"for k in range({channels}):"):
            _pool_grad_channel(ctx, (at_x, at_y, at_dy), len(places), padded)
    return ctx.finish([Phase(0, tasks)])


def _pool_grad_channel(
    ctx: KernelContext, buffers: tuple[BufferRef, BufferRef, BufferRef], places: int, padded: bool
) -> None:
    """One channel of one window, without branches (unless windows are padded), so that channels share a vector."""
    at_x, at_y, at_dy = buffers
    w, dtype, result = ctx.writer, at_x.dtype, ctx.results[0].position
    for q in range(places):
        item = w.load(at_x.position, dtype, f"at{q} + k")
        w.line(f"x{q} = {f'select(in{q}, {item}, to_{dtype}(float_nan))' if padded else item}")
    w.line(f"best = {w.load(at_y.position, dtype, 'window + k')}")
    w.line(f"grad = {w.load(at_dy.position, dtype, 'window + k')}")
    w.line("free = True")
    for q in range(places):
        w.line(f"hit = select(free, x{q} == best, False)")
        w.line("free = select(hit, False, free)")
        step = f"{w.load(result, dtype, f'at{q} + k')} + select(hit, grad, to_{dtype}(0.0))"
        if padded:
            with w.block(f"if in{q}:"):
                w.store(result, dtype, f"at{q} + k", step)
        else:
            w.store(result, dtype, f"at{q} + k", step)
