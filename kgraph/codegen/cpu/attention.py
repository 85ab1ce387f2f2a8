"""Kernels of attention: scores of a block of queries and a block of keys at a time, in scratch, never of all pairs.

Source: T. Dao et al., "FlashAttention", NeurIPS 2022; T. Dao, "FlashAttention-2", 2023. The gradient computes weights
again from scores and from what the forward pass kept of each row: its greatest score and its sum.

Blocks are constants, and one task owns whatever it writes, so results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from kgraph.codegen.cpu.attention_tiles import KEYS, QUERIES, AttentionTiles
from kgraph.codegen.cpu.kernel import EmittedKernel, KernelContext
from kgraph.codegen.cpu.products import Evaluate
from kgraph.codegen.cpu.writer import CeilDiv
from kgraph.codegen.loops import BufferRef
from kgraph.ir.dims import DimLike

__all__ = ["emit_attention", "emit_attention_grad"]


# -- forward ----------------------------------------------------------------------------------------------------------
def emit_attention(ctx: KernelContext) -> EmittedKernel:
    """`attention`: a unit is a block of queries of one head."""
    t = AttentionTiles(ctx, "attention")
    w = t.w
    found = {value: ctx.results[place] for place, value in enumerate(ctx.region.outputs)}
    y, top, total = (found.get(value) for value in t.node.results)
    for name, rows in (("queries", t.depth), ("out", t.width), ("scores", KEYS)):
        t.reserve(name, rows)
    for name in ("top", "total", "shift", "factor"):
        t.reserve(name, 1)
    scratch = t.reserve_products()

    def blocks(evaluate: Evaluate) -> int:
        return -(-evaluate(t.rows) // QUERIES)

    count, heads = w.size(CeilDiv(blocks, f"attention blocks {t.rows}")), w.size(t.heads)
    units = t.batch * t.heads
    with t.units(lambda ev: ev(units) * blocks(ev), 2, lambda ev: min(ev(t.rows), QUERIES), "blocks"):
        w.line(f"i_low = unit % {count} * {QUERIES}")
        w.line(f"head = unit // {count} % {heads}")
        w.line(f"batch = unit // {count} // {heads}")
        t.row_block()
        t.turn_in(t.q, "queries", t.depth)
        with t.per_row():
            t.store("top", "c", t.number(float("-inf")))
            t.store("total", "c", t.number(0.0))
        with t.when_empty(t.keys):
            _clear_sums(t)
        with t.key_blocks():
            t.leave_when_masked()
            t.raw_scores()
            _greatest(t)
            _weights(t)
            _combine(t)
        _results(t, y, top, total)
    return t.finish(scratch)


def _clear_sums(t: AttentionTiles) -> None:
    """No keys: the result is 0, not 0 / 0."""
    t.w.line(f"memset0(out, {t.w.size(t.width)} * {QUERIES * t.bytes})")
    with t.per_row():
        t.store("total", "c", t.number(1.0))


def _greatest(t: AttentionTiles) -> None:
    """Scores to their final form, and the greatest so far of each row.

    NaN is passed over here: it comes back with the exponentials, in the sum and so in the whole row.
    """
    w = t.w
    with t.per_row():
        t.store("shift", "c", t.load("top", "c"))
    if t.is_plain():
        _greatest_of_products(t)
    else:

        def body() -> None:
            t.write_score()
            t.store("scores", "at", "score")
            w.line(f"best = {t.load('shift', 'c')}")
            t.store("shift", "c", _larger("score", "best"))

        t.pairs(t.score_roots(), body)
    with t.per_row():
        w.line(f"best = {t.load('shift', 'c')}")
        # Where all scores so far are -inf, a shift of -inf would make NaN of what later ones mend.
        w.line(f"shift_c = select(best == -float_inf, {t.number(0.0)}, best)")
        w.line(f"shrink = m_exp({t.load('top', 'c')} - shift_c)")
        t.store("factor", "c", "shrink")
        t.store("total", "c", f"{t.load('total', 'c')} * shrink")
        t.store("top", "c", "best")
        t.store("shift", "c", "shift_c")


def _larger(a: str, b: str) -> str:
    return f"select({a} > {b}, {a}, {b})"


def _greatest_of_products(t: AttentionTiles) -> None:
    """Eight keys at a time, so that the greatest score is not read and written for each."""
    w, group = t.w, 8

    def fold(first: str, count: int) -> None:
        w.line(f"best = {t.load('shift', 'c')}")
        for step in range(count):
            w.line(f"score = {t.load('scores', f'({first} + {step}) * {QUERIES} + c')}")
            w.line(f"best = {_larger('score', 'best')}")
        t.store("shift", "c", "best")

    with w.block(f"for j in range(0, keys - {group - 1}, {group}):"), t.per_row():
        fold("j", group)
    with w.block(f"for j in range(keys // {group} * {group}, keys):"), t.per_row():
        fold("j", 1)


def _weights(t: AttentionTiles) -> None:
    """Exponentials in the place of scores, and their sums."""

    def body() -> None:
        t.w.line(f"weight = m_exp({t.load('scores', 'at')} - {t.load('shift', 'c')})")
        t.store("total", "c", f"{t.load('total', 'c')} + weight")
        t.store("scores", "at", t.kept("weight"))

    t.pairs([t.keep], body)


def _combine(t: AttentionTiles) -> None:
    """Add the block's values, after what is there has been brought to the same shift."""
    with t.w.block("if j_low > 0:"), t.w.block(f"for e in range({t.w.size(t.width)}):"), t.per_row():
        t.store("out", f"e * {QUERIES} + c", f"{t.load('out', f'e * {QUERIES} + c')} * {t.load('factor', 'c')}")
    t.product(
        f"{t.place(t.v, 'j_low')}, 1, {t.stride(t.v)}",
        f"scores, {QUERIES}, 1",
        f"out, {QUERIES}",
        f"{t.w.size(t.width)}, rows, keys",
        "j_low",
    )


def _results(t: AttentionTiles, y: BufferRef | None, top: BufferRef | None, total: BufferRef | None) -> None:
    w = t.w
    if y is not None:
        with t.per_row():
            t.store("factor", "c", f"{t.number(1.0)} / {t.load('total', 'c')}")
        with w.block(f"for e in range({w.size(t.width)}):"), t.per_row():
            t.store("out", f"e * {QUERIES} + c", f"{t.load('out', f'e * {QUERIES} + c')} * {t.load('factor', 'c')}")
        t.turn_out("out", y, t.width)
    for name, buffer in (("top", top), ("total", total)):
        if buffer is not None:
            with t.per_row():
                w.store(buffer.position, t.dtype, _per_row_address(t, buffer), t.load(name, "c"))


def _per_row_address(t: AttentionTiles, buffer: BufferRef) -> str:
    batch, head, row = (t.w.size(stride) for stride in buffer.layout)
    return f"batch * {batch} + head * {head} + (i_low + c) * {row}"


# -- backward ---------------------------------------------------------------------------------------------------------
def emit_attention_grad(ctx: KernelContext) -> EmittedKernel:
    """`attention_grad`: a unit is one head, so that sums over queries have one order."""
    t = AttentionTiles(ctx, "attention_grad")
    w = t.w
    y, top, total, dy = (ctx.operands[value] for value in t.node.operands[6:])
    found = {value: ctx.results[place] for place, value in enumerate(ctx.region.outputs)}
    dq, dk, dv = (found.get(value) for value in t.node.results)
    sizes = (("queries", t.depth), ("grads", t.width), ("d_queries", t.depth), ("scores", KEYS), ("d_scores", KEYS))
    for name, rows in sizes:
        t.reserve(name, rows)
    for name in ("top", "share", "inner"):
        t.reserve(name, 1)
    scratch = t.reserve_products()
    units = t.batch * t.heads
    with t.units(lambda ev: ev(units), 5, lambda ev: ev(t.rows), "gradient"):
        w.line(f"head = unit % {w.size(t.heads)}")
        w.line(f"batch = unit // {w.size(t.heads)}")
        # A causal mask may leave keys without a query.
        with nullcontext() if t.causal else t.when_empty(t.rows):
            _clear(t, [(dk, t.depth), (dv, t.width)])
        with t.row_blocks():
            t.turn_in(t.q, "queries", t.depth)
            t.turn_in(dy, "grads", t.width)
            _row_state(t, y, dy, top, total)
            with t.when_empty(t.keys):
                w.line(f"memset0(d_queries, {w.size(t.depth)} * {QUERIES * t.bytes})")
            with t.key_blocks():
                t.leave_when_masked(" and finite")
                t.raw_scores()
                _weight_gradients(t)
                _score_gradients(t)
                _spread(t, dy, dq, dk, dv)
            if dq is not None:
                t.turn_out("d_queries", dq, t.depth)
    return t.finish(scratch)


def _clear(t: AttentionTiles, buffers: Sequence[tuple[BufferRef | None, DimLike]]) -> None:
    """Zeros for every key of the head; with each buffer goes the number of its features."""
    with t.w.block(f"for j in range({t.w.size(t.keys)}):"):
        for buffer, features in buffers:
            if buffer is not None:
                t.w.line(f"memset0({t.place(buffer, 'j')}, {t.w.size(features)} * {t.bytes})")


def _row_state(t: AttentionTiles, y: BufferRef, dy: BufferRef, top: BufferRef, total: BufferRef) -> None:
    """Greatest score, 1 / sum, and sum of gradient times result, of each query."""
    w = t.w
    with t.per_row():
        t.store("top", "c", w.load(top.position, t.dtype, _per_row_address(t, top)))
        t.store("share", "c", f"{t.number(1.0)} / {w.load(total.position, t.dtype, _per_row_address(t, total))}")
        w.line(f"inner_c = {t.number(0.0)}")
        with w.block(f"for e in range({w.size(t.width)}):"):
            values = (w.load(each.position, t.dtype, f"{t.index(each, 'i_low + c')} + e") for each in (y, dy))
            w.line(f"inner_c = inner_c + {' * '.join(values)}")
        t.store("inner", "c", "inner_c")
    if t.causal:
        w.line("check = to_f64(0.0)")
        with t.per_row():
            w.line(f"check = maximum(check, to_f64(m_fabs({t.load('inner', 'c')})))")
        w.line("finite = check < float_inf")


def _weight_gradients(t: AttentionTiles) -> None:
    t.product(
        f"{t.place(t.v, 'j_low')}, {t.stride(t.v)}, 1",
        f"grads, {QUERIES}, 1",
        f"d_scores, {QUERIES}",
        f"keys, rows, {t.w.size(t.width)}",
        "0",
    )


def _score_gradients(t: AttentionTiles) -> None:
    """Weights in the place of scores, and gradients of scores in the place of those of weights."""
    w = t.w

    def body() -> None:
        t.write_score()
        w.line(f"weight = m_exp(score - {t.load('top', 'c')}) * {t.load('share', 'c')}")
        w.line(f"grad = {t.load('d_scores', 'at')}")
        w.line(f"grad = weight * ({t.kept('grad')} - {t.load('inner', 'c')})")
        if t.node.attrs["scale"] != 1.0:
            w.line(f"grad = grad * {t.number(t.node.attrs['scale'])}")
        if t.seen():
            w.line(f"grad = select(seen, grad, {t.number(0.0)})")
        t.store("d_scores", "at", "grad")
        t.store("scores", "at", t.kept("weight"))

    t.pairs([*t.score_roots(), t.keep], body)


def _spread(t: AttentionTiles, dy: BufferRef, dq: BufferRef | None, dk: BufferRef | None, dv: BufferRef | None) -> None:
    """Add the tile's part to the three gradients."""
    keep = "1" if t.causal else "i_low"
    for source, other, target, features in (("scores", dy, dv, t.width), ("d_scores", t.q, dk, t.depth)):
        if target is not None:
            t.product(
                f"{source}, {QUERIES}, 1",
                f"{t.place(other, 'i_low')}, {t.stride(other)}, 1",
                f"{t.place(target, 'j_low')}, {t.stride(target)}",
                f"keys, {t.w.size(features)}, rows",
                keep,
            )
    if dq is not None:
        t.product(
            f"{t.place(t.k, 'j_low')}, 1, {t.stride(t.k)}",
            f"d_scores, {QUERIES}, 1",
            f"d_queries, {QUERIES}",
            f"{t.w.size(t.depth)}, rows, keys",
            "j_low",
        )
