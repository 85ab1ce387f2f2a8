"""Loops over a domain of elements: the map family, and the elementwise work that follows an anchor."""

from __future__ import annotations

from collections.abc import Sequence

from kgraph.codegen.cpu.guards import Guarded, find_guard
from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase, chunked
from kgraph.codegen.cpu.writer import Group, Quantity
from kgraph.codegen.loops import Affine, BufferRef, Expr, Tracer
from kgraph.ir.dims import DimLike

__all__ = ["Store", "emit_map", "extents", "stores_of", "task_bounds", "write_map", "write_stores"]


def extents(groups: Sequence[Group]) -> DimLike:
    """Number of turns of a nest."""
    volume: DimLike = 1
    for group in groups:
        volume = volume * group.extent
    return volume


def task_bounds(
    ctx: KernelContext,
    groups: Sequence[Group],
    per_item: DimLike = 1,
    domain: Domain | None = None,
    *,
    folds: bool = False,
) -> tuple[tuple[str, str] | None, Quantity]:
    """Cut the first loop into tasks: (its bounds in a task, number of tasks); see `chunked`.

    domain: of the loops, where they write nothing but the rows (axis 0) that they are at.
    """
    if not groups:
        return None, 1
    w = ctx.writer
    if domain is not None and domain.axis_loop.get(0) == groups[0].loops[0]:
        ctx.rows = domain.shape[0]
    chunk, tasks = chunked(groups[0].extent, extents(groups[1:]) * per_item, folds=folds, blocks_of=ctx.rows)
    step, extent = w.size(chunk), w.size(groups[0].extent)
    w.line(f"low = begin * {step}")
    w.line(f"high = min(end * {step}, {extent})")
    return ("low", "high"), tasks


Store = tuple[BufferRef, Affine, Expr]


def stores_of(ctx: KernelContext, tracer: Tracer, domain: Domain, which: Sequence[int]) -> list[Store]:
    """What a kernel writes over a domain: for each result in `which` its buffer, address and expression."""
    found: list[Store] = []
    for number in which:
        value, buffer = ctx.region.outputs[number], ctx.results[number]
        expr = tracer.element(value, domain.index)
        found.append((buffer, tracer.address(buffer, domain.index), expr))
    return found


def emit_map(ctx: KernelContext) -> EmittedKernel:
    """Elementwise work over one domain, every result the size of it."""
    domain = Domain(ctx.region.outputs[0].shape)
    tracer = ctx.tracer()
    tracer.prepare(domain.index, domain.shape)
    stores = stores_of(ctx, tracer, domain, range(len(ctx.results)))
    groups = domain.groups(range(len(domain.shape)), list(tracer.affines), "i")
    ctx.writer.groups = groups
    bounds, tasks = task_bounds(ctx, groups, domain=domain)
    guarded = find_guard(tracer, groups, stores)
    if guarded:
        _write_guarded(ctx, groups, guarded, bounds)
    else:
        write_stores(ctx, groups, stores, bounds)
    return ctx.finish([Phase(0, tasks)])


def _write_guarded(
    ctx: KernelContext, groups: Sequence[Group], guarded: Guarded, bounds: tuple[str, str] | None
) -> None:
    """A nest with two bodies, chosen once per row."""
    w, inner = ctx.writer, groups[guarded.depth :]

    def rows() -> None:
        with w.block(f"if {guarded.test(w)}:"):
            write_stores(ctx, inner, guarded.hit, None)
        if guarded.missed:
            with w.block("else:"):
                write_stores(ctx, inner, guarded.missed, None)

    w.nest(groups[: guarded.depth], guarded.outer(w, groups), rows, bounds)


def write_stores(
    ctx: KernelContext, groups: Sequence[Group], stores: Sequence[Store], bounds: tuple[str, str] | None
) -> None:
    """The nest that computes and writes `stores`."""
    w = ctx.writer

    def body() -> None:
        for buffer, address, expr in stores:
            w.store(buffer.position, buffer.dtype, w.affine(address), w.name(expr))

    w.nest(groups, [expr for _, _, expr in stores], body, bounds)


def write_map(
    ctx: KernelContext, tracer: Tracer, domain: Domain, which: Sequence[int], bounds: dict[int, tuple[str, str]]
) -> None:
    """The elementwise work after an anchor, over the block of the domain that `bounds` (axis -> range) names."""
    w = ctx.writer
    tracer.prepare(domain.index, domain.shape)
    stores = stores_of(ctx, tracer, domain, which)
    groups: list[Group] = []
    limits: dict[int, tuple[str, str]] = {}
    for axis, dim in enumerate(domain.shape):
        if axis not in bounds:
            if axis == 0 or axis - 1 in bounds:
                run = range(axis, next((k for k in range(axis, len(domain.shape)) if k in bounds), len(domain.shape)))
                groups += domain.groups(run, list(tracer.affines), "i")
        elif dim != 1:
            limits[len(groups)] = bounds[axis]
            groups += domain.groups([axis], [], "i")
    for number, group in enumerate(groups):
        group.variable = f"i{number}"
    w.groups = groups

    def body() -> None:
        for buffer, address, expr in stores:
            w.store(buffer.position, buffer.dtype, w.affine(address), w.name(expr))

    w.nest(groups, [expr for _, _, expr in stores], body, limits=limits)
