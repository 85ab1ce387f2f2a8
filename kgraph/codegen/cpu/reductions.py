"""Reductions: rows (along the last axes) and cols (along leading or middle axes), with the work around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kgraph.codegen.cpu.elementwise import Store, extents, stores_of, task_bounds
from kgraph.codegen.cpu.kernel import Domain, EmittedKernel, KernelContext, Phase
from kgraph.codegen.cpu.writer import CeilDiv, Group, Quantity
from kgraph.codegen.loops import Affine, BufferRef, Expr, Tracer, contiguous
from kgraph.ir.dims import DimLike, shape_volume
from kgraph.ir.graph import Node, Value
from kgraph.ir.types import is_float, numpy_dtype

__all__ = ["emit_cols", "emit_rows"]

# Worth keeping in scratch rather than computing once per pass over a row.
_COSTLY = frozenset("exp expm1 log log1p tanh sigmoid softplus erf pow sin cos philox_uniform".split())


# -- rows -------------------------------------------------------------------------------------------------------------
class _Folds:
    """The reductions of a kernel: operand expressions, accumulators, and in which pass over the row each is done."""

    def __init__(self, ctx: KernelContext) -> None:
        self.nodes: list[Node] = [n for n in ctx.region.nodes if n.op.name in _FOLDS]
        self.number = {node.results[0]: k for k, node in enumerate(self.nodes)}
        self.operands: list[Expr] = []

    def trace(self, tracer: Tracer, domain: Domain) -> None:
        self.operands = [tracer.element(node.operands[0], domain.index) for node in self.nodes]
        self.level: list[int] = []
        for operand in self.operands:
            self.level.append(1 + max((self.level[k] for k in operand.folds), default=-1))


_FOLDS = frozenset({"sum", "max", "min", "prod", "argmax", "argmin"})


def _fold_start(node: Node) -> str:
    dtype = node.operands[0].dtype
    name = node.op.name
    if name in ("sum", "prod"):
        return f"to_{dtype}({0 if name == 'sum' else 1})"
    low = name in ("max", "argmax")
    if is_float(dtype):
        return f"to_{dtype}({'-' if low else ''}float_inf)"
    if dtype == "bool":
        return "False" if low else "True"
    info = np.iinfo(numpy_dtype(dtype))
    return f"to_{dtype}({info.min if low else info.max})"


def _fold_step(node: Node, accumulator: str, value: str) -> str:
    dtype = node.operands[0].dtype
    text = {
        "sum": f"{accumulator} + {value}",
        "prod": f"{accumulator} * {value}",
        "max": f"maximum({accumulator}, {value})",
        "min": f"minimum({accumulator}, {value})",
    }[node.op.name]
    return text if dtype in ("f32", "f64", "i64") else f"to_{dtype}({text})"


def emit_rows(ctx: KernelContext) -> EmittedKernel:
    """Reductions along the last axes, with all the row's elementwise work before, between and after them."""
    folds = _Folds(ctx)
    source = folds.nodes[0].operands[0]
    axes = _fold_axes(folds.nodes[0])
    domain = Domain(source.shape)
    tracer = ctx.tracer(folds=folds.number)
    tracer.prepare(domain.index, domain.shape)
    folds.trace(tracer, domain)
    whole = [k for k, v in enumerate(ctx.region.outputs) if not _per_row(v, source.shape, axes)]
    single = [k for k in range(len(ctx.results)) if k not in whole]
    stores = stores_of(ctx, tracer, domain, whole)
    kept_axes = [axis for axis in range(len(source.shape)) if axis not in axes]
    row_stores = [_row_store(ctx, tracer, domain, kept_axes, k) for k in single]

    w = ctx.writer
    row_length = shape_volume(tuple(source.shape[a] for a in axes))
    position = Affine()
    for stride, axis in zip(contiguous(tuple(source.shape[a] for a in axes)), axes, strict=True):
        position = position + domain.index[axis] * stride
    tracer.affines.setdefault(position)
    affines = list(tracer.affines)
    outer = domain.groups(kept_axes, affines, "i")
    inner = domain.groups(axes, affines, "j")
    w.groups = [*outer, *inner]
    bounds, tasks = task_bounds(ctx, outer, row_length, domain, folds=True)
    plan = _RowPlan(ctx, folds, stores, row_stores, inner, position, row_length)
    w.nest(outer, [], plan.write, bounds)
    return ctx.finish([Phase(0, tasks)], scratch=plan.scratch())


def _fold_axes(node: Node) -> list[int]:
    rank = node.operands[0].type.rank
    if node.op.name in ("argmax", "argmin"):
        return [rank - 1]
    return sorted(axis % rank for axis in node.attrs["axes"])


def _per_row(value: Value, domain: Sequence[DimLike], axes: Sequence[int]) -> bool:
    """Whether a region output has one element per row.  Where a row has one element both readings give the same."""
    return value.shape != tuple(domain) or all(domain[a] == 1 for a in axes)


def _row_store(ctx: KernelContext, tracer: Tracer, domain: Domain, kept_axes: Sequence[int], number: int) -> Store:
    value, buffer = ctx.region.outputs[number], ctx.results[number]
    kept = iter([domain.index[a] for a in kept_axes if domain.shape[a] != 1])
    index = tuple(Affine() if dim == 1 else next(kept) for dim in value.shape)
    return buffer, tracer.address(buffer, index), tracer.element(value, index)


class _RowPlan:
    """Writes the passes over one row."""

    def __init__(
        self,
        ctx: KernelContext,
        folds: _Folds,
        stores: list[Store],
        row_stores: list[Store],
        inner: list[Group],
        position: Affine,
        row_length: DimLike,
    ) -> None:
        self.ctx, self.folds, self.stores, self.row_stores = ctx, folds, stores, row_stores
        self.inner, self.position, self.row_length = inner, position, row_length
        self.level = folds.level
        self.passes = 1 + max([*self.level, *(self._stage(e) for _, _, e in stores)], default=-1)
        self.kept: list[Expr] = []  # costly values that later passes read from scratch

    def _stage(self, expr: Expr) -> int:
        """The first pass in which an expression can be computed."""
        return 1 + max((self.level[k] for k in expr.folds), default=-1)

    def scratch(self) -> Quantity:
        """Bytes for the rows kept between passes."""
        if not self.kept:
            return 0
        count, length = len(self.kept), self.row_length
        return CeilDiv(lambda evaluate: 8 * count * evaluate(length) + 64, f"row scratch {count}|{length}")

    def _roots(self, stage: int) -> list[Expr]:
        folded = [self.folds.operands[k] for k, level in enumerate(self.level) if level == stage]
        return folded + [e for _, _, e in self.stores if self._stage(e) == stage]

    def write(self) -> None:
        w = self.ctx.writer
        saved = dict(w.replaced)
        per_pass = [set(w.pending(self._roots(stage))) for stage in range(self.passes)]
        for stage in range(self.passes):
            self._pass(stage, per_pass)
        row_roots = [expr for _, _, expr in self.row_stores]
        for expr in w.pending(row_roots):
            w.compute(expr)
        for buffer, address, expr in self.row_stores:
            w.store(buffer.position, buffer.dtype, w.affine(address), w.name(expr))
        w.replaced = saved

    def _pass(self, stage: int, per_pass: list[set[Expr]]) -> None:
        w, folds = self.ctx.writer, self.folds
        here = [k for k, level in enumerate(self.level) if level == stage]
        stores = [s for s in self.stores if self._stage(s[2]) == stage]
        roots = self._roots(stage)
        if not roots:
            return
        for k in here:
            w.line(f"a{k} = {_fold_start(folds.nodes[k])}")
            if folds.nodes[k].op.name in ("argmax", "argmin"):
                w.line(f"b{k} = 0")
        later = set().union(*per_pass[stage + 1 :]) if stage + 1 < len(per_pass) else set()
        keep = [e for e in sorted(per_pass[stage] & later, key=lambda e: e.number) if self._worth_keeping(e)]

        def body() -> None:
            for expr in keep:
                slot = self._slot(expr)
                w.line(f"store_{expr.dtype}({slot}, {w.affine(self.position)}, {w.name(expr)})")
            for k in here:
                self._fold(k, w.name(folds.operands[k]))
            for buffer, address, expr in stores:
                w.store(buffer.position, buffer.dtype, w.affine(address), w.name(expr))

        w.nest(self.inner, [*keep, *roots], body)
        for k in here:
            accumulator = "b" if folds.nodes[k].op.name in ("argmax", "argmin") else "a"
            self._bind_fold(k, f"to_i32(b{k})" if accumulator == "b" else f"a{k}")
        for expr in keep:
            w.replaced[expr] = f"load_{expr.dtype}({self._slot(expr)}, {w.affine(self.position)})"

    def _bind_fold(self, k: int, text: str) -> None:
        for expr in self._fold_exprs(k):
            self.ctx.writer.replaced[expr] = text

    def _fold_exprs(self, k: int) -> list[Expr]:
        seen: dict[Expr, None] = {}
        stack = [*self.folds.operands, *(e for _, _, e in self.stores), *(e for _, _, e in self.row_stores)]
        while stack:
            expr = stack.pop()
            if k in expr.folds and expr not in seen:
                seen[expr] = None
                stack.extend(expr.inputs())
        return [e for e in seen if e.kind == "fold" and e.attrs[0] == k]

    def _worth_keeping(self, expr: Expr) -> bool:
        return expr.kind in _COSTLY and bool(expr.loops & {loop for g in self.inner for loop in g.loops})

    def _slot(self, expr: Expr) -> str:
        if expr not in self.kept:
            self.kept.append(expr)
        number = self.kept.index(expr)
        return f"scratch + {number} * 8 * {self.ctx.writer.size(self.row_length)}" if number else "scratch"

    def _fold(self, k: int, value: str) -> None:
        w, node = self.ctx.writer, self.folds.nodes[k]
        if node.op.name in ("argmax", "argmin"):
            better = f"{value} {'>' if node.op.name == 'argmax' else '<'} a{k}"
            if is_float(node.operands[0].dtype):  # the first NaN wins, as in NumPy
                better = f"select({value} != {value}, a{k} == a{k}, {better})"
            w.line(f"b{k} = select({better}, {w.affine(self.position)}, b{k})")
            w.line(f"a{k} = select({better}, {value}, a{k})")
        else:
            w.line(f"a{k} = {_fold_step(node, f'a{k}', value)}")


# -- cols -------------------------------------------------------------------------------------------------------------
COLS_GRAIN = 65536
"""Elements folded in a task of a cols kernel."""
MAX_PARTS = 64


def emit_cols(ctx: KernelContext) -> EmittedKernel:
    """Reductions along leading or middle axes: columns are summed side by side, so the innermost loop walks memory.

    Without kept axes in front, the folded axes are cut into parts by size (never by the number of threads), each part
    sums into its own row of a temporary, and a second phase adds the parts in order and does the work per column.
    """
    folds = _Folds(ctx)
    source = folds.nodes[0].operands[0]
    axes = _fold_axes(folds.nodes[0])
    domain = Domain(source.shape)
    front = [a for a in range(axes[0]) if source.shape[a] != 1]
    back = [a for a in range(axes[-1] + 1, len(source.shape))]
    return _Columns(ctx, folds, domain, front, axes, back).emit()


class _Columns:
    def __init__(
        self, ctx: KernelContext, folds: _Folds, domain: Domain, front: list[int], axes: list[int], back: list[int]
    ) -> None:
        self.ctx, self.folds, self.domain, self.front, self.axes, self.back = ctx, folds, domain, front, axes, back
        shape = domain.shape
        self.columns = shape_volume(tuple(shape[a] for a in back))
        self.whole = [k for k, v in enumerate(ctx.region.outputs) if v.shape == shape]
        self.single = [k for k in range(len(ctx.results)) if k not in self.whole]

    def emit(self) -> EmittedKernel:
        ctx, domain, w = self.ctx, self.domain, self.ctx.writer
        tracer = ctx.tracer(folds=self.folds.number)
        tracer.prepare(domain.index, domain.shape)
        self.folds.trace(tracer, domain)
        stores = stores_of(ctx, tracer, domain, self.whole)
        column = Affine()
        for stride, axis in zip(contiguous(tuple(domain.shape[a] for a in self.back)), self.back, strict=True):
            column = column + domain.index[axis] * stride
        tracer.affines.setdefault(column)
        row_stores = [_row_store(ctx, tracer, domain, [*self.front, *self.back], k) for k in self.single]
        affines = list(tracer.affines)
        front = domain.groups(self.front, affines, "i")
        folded = domain.groups(self.axes, affines, "j")
        back = domain.groups(self.back, affines, "k")
        w.groups = [*front, *folded, *back]
        if front:
            return self._emit_by_front(front, folded, back, stores, row_stores, column)
        return self._emit_in_parts(folded, back, stores, row_stores, column)

    def _sums(self, parts: CeilDiv) -> list[BufferRef]:
        """One temporary per reduction, `parts` rows of columns each."""
        columns = self.columns
        refs = []
        for k, node in enumerate(self.folds.nodes):
            label = f"sums {k} {parts.label}|{columns}"
            volume = CeilDiv(lambda evaluate: parts.compute(evaluate) * evaluate(columns), label)
            refs.append(self.ctx.temporary(node.results[0].dtype, volume, (1,)))
        return refs

    def _clear(self, sums: list[BufferRef], back: list[Group], row: str, column: Affine) -> None:
        w = self.ctx.writer

        def body() -> None:
            for ref, node in zip(sums, self.folds.nodes, strict=True):
                w.store(ref.position, ref.dtype, f"{row}{w.affine(column)}", _fold_start(node))

        w.nest(back, [], body)

    def _accumulate(
        self,
        sums: list[BufferRef],
        nest: list[Group],
        stores: list[Store],
        row: str,
        column: Affine,
        bounds: tuple[str, str] | None,
    ) -> None:
        w = self.ctx.writer

        def body() -> None:
            place = f"{row}{w.affine(column)}"
            for ref, node, operand in zip(sums, self.folds.nodes, self.folds.operands, strict=True):
                step = _fold_step(node, w.load(ref.position, ref.dtype, place), w.name(operand))
                w.store(ref.position, ref.dtype, place, step)
            for buffer, address, expr in stores:
                w.store(buffer.position, buffer.dtype, w.affine(address), w.name(expr))

        w.nest(nest, [*self.folds.operands, *(e for _, _, e in stores)], body, bounds)

    def _finish_columns(self, back: list[Group], row_stores: list[Store], totals: dict[int, str]) -> None:
        """Per column: totals are in variables; compute and store what the kernel gives per column."""
        w = self.ctx.writer
        roots = [e for _, _, e in row_stores]
        stack = list(roots)
        while stack:
            expr = stack.pop()
            if expr.kind == "fold" and isinstance(expr.attrs[0], int):
                w.replaced[expr] = totals[expr.attrs[0]]
            stack.extend(expr.inputs())
        for expr in w.pending(roots):
            w.compute(expr)
        for buffer, address, expr in row_stores:
            w.store(buffer.position, buffer.dtype, w.affine(address), w.name(expr))

    def _emit_by_front(
        self,
        front: list[Group],
        folded: list[Group],
        back: list[Group],
        stores: list[Store],
        row_stores: list[Store],
        column: Affine,
    ) -> EmittedKernel:
        """Kept axes in front: each task owns whole outputs and sums in scratch."""
        ctx, w = self.ctx, self.ctx.writer
        work = self.columns * shape_volume(tuple(self.domain.shape[a] for a in self.axes))
        bounds, tasks = task_bounds(ctx, front, work)
        # Sums lie in this thread's scratch, which is addressed like a buffer.
        sums = []
        for k, node in enumerate(self.folds.nodes):
            position = ctx.count + len(ctx.temporaries) + k
            w.line(f"p{position} = scratch + {k} * 8 * {w.size(self.columns)}")
            w.scopes[position] = position
            sums.append(BufferRef(position, node.results[0].dtype, (1,)))

        def body() -> None:
            self._clear(sums, back, "", column)
            self._accumulate(sums, [*folded, *back], stores, "", column, None)

            def per_column() -> None:
                totals = {}
                for k, ref in enumerate(sums):
                    w.line(f"a{k} = {w.load(ref.position, ref.dtype, w.affine(column))}")
                    totals[k] = f"a{k}"
                self._finish_columns(back, row_stores, totals)

            w.nest(back, [], per_column)

        w.nest(front, [], body, bounds)
        count, columns = len(sums), self.columns
        scratch = CeilDiv(lambda evaluate: 8 * count * evaluate(columns) + 64, f"column scratch {count}|{columns}")
        return ctx.finish([Phase(0, tasks)], scratch)

    def _emit_in_parts(
        self, folded: list[Group], back: list[Group], stores: list[Store], row_stores: list[Store], column: Affine
    ) -> EmittedKernel:
        ctx, w = self.ctx, self.ctx.writer
        if not folded:  # every folded axis has size 1
            folded = [Group([10_000], 1, "j0")]
            w.groups = [*folded, *back]
        rows, per_row = folded[0].extent, extents(folded[1:]) * self.columns

        def part(evaluate: Callable[[DimLike], int]) -> int:
            count, width = evaluate(rows), max(1, evaluate(per_row))
            return max(1, COLS_GRAIN // width, -(-count // MAX_PARTS))

        def parts(evaluate: Callable[[DimLike], int]) -> int:
            return max(1, -(-evaluate(rows) // part(evaluate)))  # no rows: one part, to say what nothing sums to

        label = f"{rows}|{per_row}"
        chunk, tasks = CeilDiv(part, "part " + label), CeilDiv(parts, "parts " + label)
        sums = self._sums(tasks)
        step, extent, width = w.size(chunk), w.size(rows), w.size(self.columns)
        with w.block("if phase == 0:"), w.block("for part in range(begin, end):"):
            self._clear(sums, back, f"part * {width} + ", column)
            w.line(f"low = part * {step}")
            w.line(f"high = min(low + {step}, {extent})")
            self._accumulate(sums, [*folded, *back], stores, f"part * {width} + ", column, ("low", "high"))
        with w.block("else:"):
            count = w.size(tasks)

            def per_column() -> None:
                totals = {}
                for k, (ref, node) in enumerate(zip(sums, self.folds.nodes, strict=True)):
                    w.line(f"a{k} = {w.load(ref.position, ref.dtype, w.affine(column))}")
                    with w.block(f"for part in range(1, {count}):"):
                        value = w.load(ref.position, ref.dtype, f"part * {width} + {w.affine(column)}")
                        w.line(f"a{k} = {_fold_step(node, f'a{k}', value)}")
                    totals[k] = f"a{k}"
                self._finish_columns(back, row_stores, totals)

            w.nest(back, [], per_column)
        return ctx.finish([Phase(0, tasks), Phase(1, 1)])
