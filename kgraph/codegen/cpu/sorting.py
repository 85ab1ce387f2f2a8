"""The kernel of `argsort`: runs of eight by insertion, then merged pairwise, each row by itself."""

from __future__ import annotations

from kgraph.codegen.cpu.kernel import EmittedKernel, KernelContext, Phase, chunked
from kgraph.codegen.cpu.writer import Writer
from kgraph.ir.dims import shape_volume
from kgraph.ir.types import is_float

__all__ = ["emit_argsort"]

RUN = 8  # shorter rows need no merge at all


def emit_argsort(ctx: KernelContext) -> EmittedKernel:
    """Positions in the order of values.  A task owns whole rows; merges go to and fro between result and scratch."""
    w, node, result = ctx.writer, ctx.region.outputs[0].producer, ctx.results[0]
    assert node is not None
    x = node.operands[0]
    at_x = ctx.operands[x]
    length = x.shape[-1]
    rows = shape_volume(x.shape[:-1])
    chunk, tasks = chunked(rows, length * 8)
    n, step, total = w.size(length), w.size(chunk), w.size(rows)
    w.line(f"low = begin * {step}")
    w.line(f"high = min(end * {step}, {total})")
    order = _Order(w, at_x.position, x.dtype, node.attrs["descending"])
    with w.block("for row in range(low, high):"):
        w.line(f"base = row * {n}")
        w.line(f"begin_at = p{result.position} + base * 4")
        w.line("here = begin_at")
        w.line("there = scratch")
        _write_runs(w, n, order)
        _write_merges(w, n, order)
        with w.block("if here != begin_at:"):
            w.line(f"memcpy(begin_at, here, {n} * 4)")
    return ctx.finish([Phase(0, tasks)], scratch=length * 4)


class _Order:
    """How to read an element and compare two."""

    def __init__(self, w: Writer, position: int, dtype: str, descending: bool) -> None:
        self.w, self.position, self.dtype, self.descending = w, position, dtype, descending

    def load(self, place: str) -> str:
        return self.w.load(self.position, self.dtype, f"base + {place}")

    def before(self, a: str, b: str) -> str:
        """Whether `a` must stand before `b`: false for equal ones; NaN is greater than any number."""
        low, high = (b, a) if self.descending else (a, b)
        return f"{low} < {high} or ({high} != {high} and {low} == {low})" if is_float(self.dtype) else f"{low} < {high}"


def _write_runs(w: Writer, n: str, order: _Order) -> None:
    with w.block(f"for start in range(0, {n}, {RUN}):"):
        w.line(f"stop = min(start + {RUN}, {n})")
        with w.block("for i in range(start, stop):"):
            w.line(f"item = {order.load('i')}")
            w.line("j = i")
            with w.block("while j > start:"):
                w.line("left = load_i32(here, j - 1)")
                w.line(f"other = {order.load('left')}")
                with w.block(f"if not ({order.before('item', 'other')}):"):
                    w.line("break")
                w.line("store_i32(here, j, left)")
                w.line("j = j - 1")
            w.line("store_i32(here, j, to_i32(i))")


def _write_merges(w: Writer, n: str, order: _Order) -> None:
    w.line(f"width = {RUN}")
    with w.block(f"while width < {n}:"):
        with w.block(f"for start in range(0, {n}, 2 * width):"):
            w.line("a = start")
            w.line(f"middle = min(start + width, {n})")
            w.line("b = middle")
            w.line(f"stop = min(start + 2 * width, {n})")
            with w.block("for k in range(start, stop):"):
                w.line("right = b < stop")
                with w.block("if right and a < middle:"):
                    w.line(f"item = {order.load('load_i32(here, b)')}")
                    w.line(f"other = {order.load('load_i32(here, a)')}")
                    w.line(f"right = {order.before('item', 'other')}")
                with w.block("if right:"):
                    w.line("store_i32(there, k, load_i32(here, b))")
                    w.line("b = b + 1")
                with w.block("else:"):
                    w.line("store_i32(there, k, load_i32(here, a))")
                    w.line("a = a + 1")
        w.line("swap = here")
        w.line("here = there")
        w.line("there = swap")
        w.line("width = 2 * width")
