"""Loops over time cut by rows: every thread runs all turns of a loop for its own rows of the batch.

The driver walks an ordinary loop entry by entry, and all threads meet after each.  Where no row of a loop depends on
another row (`loop_rows`), a `RowLoop` is one entry instead: its tasks are blocks of rows, and a task runs the whole
loop.  Pointers move from turn to turn, so every task has a copy of them, at the start of its scratch memory.

Blocks depend on sizes only, so results do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from kgraph.codegen.cpu.pool import KERNEL, Words
from kgraph.codegen.cpu.tiles import Code, Module

__all__ = ["RowLoop", "rows_per_block", "write_walk_rows"]

LEAST_ROWS = 8
"""Rows of a block: so many that a product's tile runs at the speed of its arithmetic, not of loading the weights."""
MOST_BLOCKS = 16
ROW_BYTES = 1 << 17
"""Bytes of weights for which a block needs another row: weights beyond the caches are read again for each block."""

# The plan of a loop, i64 words.
PLAN = ("turns", "start", "words", "skip", "calls", "call_count", "carries", "carry_count", "moves", "move_count")
CALL_WORDS = 4  # function, offset of its pointers in the copy (bytes), dims, place of its timings (bytes)
CARRY_WORDS = 4  # target, source, bytes of a block, bytes of all
MOVE_WORDS = 2  # offset of a pointer in the copy (bytes), bytes added after each turn


def rows_per_block(rows: int, weights: int) -> int:
    """Rows of a task.  weights: bytes of what every block reads at every turn."""
    least = max(LEAST_ROWS, weights // ROW_BYTES)
    blocks = max(1, min(MOST_BLOCKS, rows // least))
    return max(1, -(-rows // (1 << (blocks.bit_length() - 1))))  # a power of two: equal shares for two or four threads


class RowLoop:
    """A loop being built, for blocks of rows; `finish` gives the address of its plan.

    turns: of the loop; blocks: number of tasks.
    """

    def __init__(self, turns: int, blocks: int) -> None:
        self.turns, self.blocks = turns, blocks
        self._pointers: list[int] = []
        self._calls: list[tuple[int, int, int, int]] = []
        self._carries: list[tuple[int, int, int, int]] = []
        self._moves: list[tuple[int, int]] = []
        self._keep: list[Words] = []
        self.start = np.zeros(0, np.int64)
        """The pointers of all kernels at the first turn; loops around this one move them there."""

    def call(self, function: int, pointers: Words, dims: int, entry: int) -> int:
        """Call a kernel at every turn, with its tasks of the same numbers; returns the place of its first pointer.

        entry: the table's entry whose time it is.
        """
        place = len(self._pointers)
        self._calls.append((function, 8 * place, dims, 16 * entry))
        self._pointers += pointers.tolist()
        return place

    def move(self, place: int, step: int) -> None:
        """Add `step` bytes to a pointer after each turn."""
        self._moves.append((8 * place, step))

    def carry(self, target: int, source: int, block: int, size: int) -> None:
        """At the end of each turn copy a state of `size` bytes, of which a block of rows has `block`."""
        self._carries.append((target, source, block, size))

    @property
    def skip(self) -> int:
        """Bytes of scratch memory before that of the kernels."""
        return -(-8 * len(self._pointers) // 64) * 64

    def close(self) -> None:
        """All kernels are there."""
        self.start = np.array(self._pointers, np.int64)

    def finish(self) -> Words:
        """The plan; the arrays it points into live as long as this loop."""
        tables = [
            np.array(rows, np.int64).reshape(-1, width)
            for rows, width in ((self._calls, CALL_WORDS), (self._carries, CARRY_WORDS), (self._moves, MOVE_WORDS))
        ]
        words = [self.turns, self.start.ctypes.data, len(self._pointers), self.skip]
        for table in tables:
            words += [table.ctypes.data, len(table)]
        plan = np.array(words, np.int64)
        self._keep = [*tables, plan]
        return plan


def write_walk_rows(module: Module) -> None:
    """``walk_rows(plan, timings, begin, end, scratch)``: a kernel; all turns of a loop for blocks begin .. end.

    timings: of the table's entries (nanoseconds of all threads together, turns), or 0.
    """
    f = Code(module, "walk_rows", [f"i64 {n}" for n in ("plan", "timings", "begin", "end", "scratch")], internal=True)
    block = f.pointer("%plan")
    plan = {name: f.word(block, position) for position, name in enumerate(PLAN)}
    own = f.pointer("%scratch")
    _copy(f, own, f.pointer(plan["start"]), f.mul(plan["words"], 8))
    rest = f.add("%scratch", plan["skip"])
    timed = f.compare("ne", "%timings", 0)
    last, cell = f.array(1), f.array(2)
    with f.when(timed):
        f.do(f"call void @stamp(ptr {cell}, ptr {last})")
    with f.loop(0, plan["turns"]):
        with f.loop(0, plan["call_count"]) as i:
            entry = f.offset(f.pointer(plan["calls"]), f.mul(i, 8 * CALL_WORDS))
            function, place, dims, time = (f.word(entry, word) for word in range(CALL_WORDS))
            pointers = f.add("%scratch", place)
            f.do(f"call {KERNEL} {f.pointer(function)}(i64 {pointers}, i64 {dims}, i64 %begin, i64 %end, i64 {rest})")
            with f.when(timed):
                _add_time(f, f.offset(f.pointer("%timings"), time), cell, last)
        with f.loop(0, plan["carry_count"]) as i:
            entry = f.offset(f.pointer(plan["carries"]), f.mul(i, 8 * CARRY_WORDS))
            target, source, size, whole = (f.word(entry, word) for word in range(CARRY_WORDS))
            low, high = f.mul("%begin", size), f.minimum(f.mul("%end", size), whole)
            _copy(f, f.offset(f.pointer(target), low), f.offset(f.pointer(source), low), f.sub(high, low))
        with f.loop(0, plan["move_count"]) as i:
            entry = f.offset(f.pointer(plan["moves"]), f.mul(i, 8 * MOVE_WORDS))
            pointer = f.offset(own, f.word(entry, 0))
            f.set_word(pointer, 0, f.add(f.word(pointer, 0), f.word(entry, 1)))
    f.finish()


def _copy(f: Code, target: str, source: str, size: str | int) -> None:
    f.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")


def _add_time(f: Code, total: str, cell: str, last: str) -> None:
    """Add the time since the last stamp to that of an entry, to which other threads add too."""
    f.set_word(cell, 0, 0)
    f.do(f"call void @stamp(ptr {cell}, ptr {last})")
    f.let(f"atomicrmw add ptr {total}, i64 {f.word(cell, 0)} monotonic")
    turn = f.select(f.compare("eq", "%begin", 0), 1, 0)  # count a turn once, whatever the number of blocks
    f.let(f"atomicrmw add ptr {f.offset(total, 8)}, i64 {turn} monotonic")
