"""The native driver: walks a table of kernels for whole epochs without the GIL.

A `ScheduleBuilder` writes the table (kernels, loops, copies), `Schedule` adds what changes from run to run (rows to
gather, results to keep, number of steps), and `Driver.run` hands both to the native function ``kg_run``. Every kernel
is a C function ``kernel(ptrs, dims, begin, end, scratch)`` of int64; see the table layouts below.

Invariants: the table is walked in order, with all of an entry's work done before the next one starts; a schedule is
run by one thread at a time (its loops keep their state in the table); the native code checks every gathered row.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kgraph.codegen.cpu.cache import Recipe
from kgraph.codegen.cpu.objects import NativeModule, emit_object, host_cpu_key, load_object
from kgraph.codegen.cpu.pool import (
    KERNEL,
    Scratch,
    ThreadPool,
    Words,
    caller_scratch,
    pool_changes,
    shared_pool,
    write_flush_denormals,
    write_pool,
    write_restore_denormals,
)
from kgraph.codegen.cpu.row_loops import RowLoop, write_walk_rows
from kgraph.codegen.cpu.tiles import Code, Module, Operand, Variable

__all__ = [
    "FAULT_ROW",
    "Driver",
    "Loop",
    "Schedule",
    "ScheduleBuilder",
    "Sink",
    "Slot",
    "Source",
    "driver_recipe",
    "driver_text",
    "load_driver",
]

DRIVER_VERSION = 2

# An entry of the table is eight words; the first is its kind.
ENTRY_WORDS = 8
CALL, LOOP, LOOP_END, COPY, ZERO, END, ROWS, PART = range(8)
#   CALL      1 function  2 ptrs  3 dims  4 tasks  5 whether tasks may run in parallel
#   LOOP      1 turns  2 slots  3 number of slots  4 address of its LOOP_END  5 turns left (state)
#   LOOP_END  1 address of its LOOP
#   COPY      1 target  2 source  3 bytes
#   ZERO      1 target  2 bytes
#   ROWS      1 plan of a `RowLoop`  2 tasks  3 whether tasks may run in parallel
#   PART      nothing to do: the place of the timings of a kernel that a ROWS calls

# A slot is a word somewhere (in a ptrs array, an entry, another slot's start) that moves with a loop.
SLOT_WORDS = 3  # address of the word, value at the first turn, bytes added after each turn

SOURCE_WORDS = 4  # array, bytes of a row, staging buffer, number of rows
SINK_WORDS = 3  # result, array, bytes per step

# The header of a run.
HEADER = (
    "entries", "begin", "steps", "first", "batch", "index", "sources", "source_count", "sinks", "sink_count", "stop",
    "fault", "timings", "pool", "scratch",
)  # fmt: skip
_WORD = {name: position for position, name in enumerate(HEADER)}

FAULT_ROW = 1
"""fault[0] when a step asked for a row that is not there; then fault[1:] are the source, the row and the step."""


# ----------------------------------------------------------------------------------------------------------------------
# Native part


def driver_text() -> str:
    """The LLVM text of the driver and the pool."""
    module = Module()
    module.declare("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    module.declare("declare i32 @clock_gettime(i32, ptr)")
    write_pool(module)
    _write_stamp(module)
    write_walk_rows(module)
    _write_gather_rows(module)
    _write_gather(module)
    _write_keep(module)
    _write_walk(module)
    _write_run(module)
    return module.text()


def _copy(f: Code, target: str, source: str, size: str) -> None:
    f.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")


def _write_stamp(module: Module) -> None:
    """``stamp(cell, last)``: cell[0] += nanoseconds since last[0], cell[1] += 1; last[0] = now."""
    f = Code(module, "stamp", ["ptr cell", "ptr last"], internal=True)
    moment = f.array(2)
    if hasattr(time, "CLOCK_MONOTONIC"):
        f.do(f"call i32 @clock_gettime(i32 {time.CLOCK_MONOTONIC}, ptr {moment})")
        now = f.add(f.mul(f.word(moment, 0), 1_000_000_000), f.word(moment, 1))
    else:
        module.declare("declare i64 @llvm.readcyclecounter()")
        now = f.let("call i64 @llvm.readcyclecounter()")
    f.set_word("%cell", 0, f.add(f.word("%cell", 0), f.sub(now, f.word("%last", 0))))
    f.set_word("%cell", 1, f.add(f.word("%cell", 1), 1))
    f.set_word("%last", 0, now)
    f.finish()


def _write_gather_rows(module: Module) -> None:
    """A kernel: task t copies rows of one source, `per_task` of them, to its staging buffer; `ptrs` holds `_COPY`."""
    f = Code(module, "gather_rows", [f"i64 {n}" for n in ("ptrs", "dims", "begin", "end", "scratch")], internal=True)
    job = f.pointer("%ptrs")
    origin, target, numbers, first, size, batch, per_task = (f.word(job, word) for word in range(len(_COPY)))
    row_from = f.mul("%begin", per_task)
    row_to = f.minimum(f.mul("%end", per_task), batch)
    direct = f.compare("eq", numbers, 0)
    with f.when(direct):  # consecutive rows are one copy
        source = f.offset(f.pointer(origin), f.mul(f.add(first, row_from), size))
        length = f.mul(f.sub(row_to, row_from), size)
        _copy(f, f.offset(f.pointer(target), f.mul(row_from, size)), source, str(length))
    with f.when(f.negate(direct)), f.loop(row_from, row_to) as r:
        row = f.word(f.pointer(numbers), f.add(first, r))
        _copy(f, f.offset(f.pointer(target), f.mul(r, size)), f.offset(f.pointer(origin), f.mul(row, size)), size)
    f.finish()


_COPY = ("origin", "target", "numbers", "first", "size", "batch", "per_task")
_GATHER_GRAIN = 1 << 14  # bytes a task copies: above the cost of handing it to another thread


def _write_gather(module: Module) -> None:
    """``gather(run, step)``: the step's rows of every source into its staging buffer.

    All threads copy: the rows of a shuffled epoch come from main memory, where one thread would wait for each.
    """
    f = Code(module, "gather", ["ptr run", "i64 step"], internal=True)
    names = ("source_count", "batch", "index", "pool", "scratch")
    count, batch, index, pool, scratch = (f.word("%run", _WORD[name]) for name in names)
    first = f.add(f.word("%run", _WORD["first"]), f.mul("%step", batch))
    sources, fault = (f.pointer(f.word("%run", _WORD[name])) for name in ("sources", "fault"))
    direct = f.compare("eq", index, 0)
    job = f.array(len(_COPY))
    with f.loop(0, count) as i:
        source = f.offset(sources, f.mul(i, 8 * SOURCE_WORDS))
        array, size, staging, rows = (f.word(source, word) for word in range(SOURCE_WORDS))

        def check(row: Operand, last: Operand, source_number: Operand = i, rows: Operand = rows) -> None:
            inside = f.both(f.compare("sge", row, 0), f.compare("slt", last, rows))
            with f.when(f.negate(inside)):
                values: tuple[Operand, ...] = (FAULT_ROW, source_number, row, "%step")
                for word, value in enumerate(values):
                    f.set_word(fault, word, value)
            f.return_if(f.negate(inside))

        with f.when(direct):
            check(first, f.sub(f.add(first, batch), 1))
        with f.when(f.negate(direct)), f.loop(0, batch) as r:
            row = f.word(f.offset(f.pointer(index), f.mul(first, 8)), r)
            check(row, row)
        per_task = f.maximum(f.div(_GATHER_GRAIN, f.maximum(size, 1)), 1)
        for word, value in enumerate((array, staging, index, first, size, batch, per_task)):
            f.set_word(job, word, value)
        address = f.let(f"ptrtoint ptr {job} to i64")
        numbers = f"i64 {address}, i64 0, i64 {f.ceil_div(batch, per_task)}, i64 {scratch}"
        function = f.let("ptrtoint ptr @gather_rows to i64")
        f.do(f"call void @parallel(ptr {f.pointer(pool)}, i64 {function}, {numbers})")
    f.finish()


def _write_keep(module: Module) -> None:
    """``keep(run, step)``: the step's results into the sinks."""
    f = Code(module, "keep", ["ptr run", "i64 step"], internal=True)
    count, sinks = f.word("%run", _WORD["sink_count"]), f.pointer(f.word("%run", _WORD["sinks"]))
    with f.loop(0, count) as i:
        result, array, size = (f.word(f.offset(sinks, f.mul(i, 8 * SINK_WORDS)), word) for word in range(SINK_WORDS))
        _copy(f, f.offset(f.pointer(array), f.mul("%step", size)), f.pointer(result), size)
    f.finish()


def _write_walk(module: Module) -> None:
    """``walk(entries, pool, scratch, timings)``: every entry once, in order."""
    f = Code(module, "walk", ["ptr entries", "ptr pool", "i64 scratch", "i64 timings"], internal=True)
    at = f.variable("ptr", "%entries")
    last = f.array(1)
    spare = f.array(2)
    timed = f.compare("ne", "%timings", 0)
    with f.when(timed):  # starts the clock
        f.do(f"call void @stamp(ptr {spare}, ptr {last})")
    f.jump("fetch")

    def after(label: str) -> None:
        """Go on with the entry behind; its kind's name is part of the labels."""
        with f.when(timed):
            number = f.sub(f.let(f"ptrtoint ptr {at.get()} to i64"), f.let("ptrtoint ptr %entries to i64"))
            cell = f.offset(f.pointer("%timings"), f.mul(f.div(number, 8 * ENTRY_WORDS), 16))
            f.do(f"call void @stamp(ptr {cell}, ptr {last})")
        f.jump("following")

    f.label("following")
    at.set(f.offset(at.get(), 8 * ENTRY_WORDS))
    f.jump("fetch")
    f.label("fetch")
    kinds = {CALL: "call", LOOP: "loop", LOOP_END: "loop_end", COPY: "copy", ZERO: "zero"}
    kinds |= {ROWS: "rows", PART: "following"}
    cases = " ".join(f"i64 {kind}, label %{label}" for kind, label in kinds.items())
    f.do(f"switch i64 {f.word(at.get(), 0)}, label %over [{cases}]")

    f.label("call")
    entry = at.get()
    function, ptrs, dims, tasks, shared = (f.word(entry, word) for word in range(1, 6))
    f.do(f"br i1 {f.compare('ne', shared, 0)}, label %call_parallel, label %call_serial")
    f.label("call_serial")
    f.do(f"call {KERNEL} {f.pointer(function)}(i64 {ptrs}, i64 {dims}, i64 0, i64 {tasks}, i64 %scratch)")
    after("call_serial")
    f.label("call_parallel")
    f.do(f"call void @parallel(ptr %pool, i64 {function}, i64 {ptrs}, i64 {dims}, i64 {tasks}, i64 %scratch)")
    after("call_parallel")

    f.label("rows")
    rows_plan, row_tasks, shared = (f.word(at.get(), word) for word in range(1, 4))
    job = f"i64 {rows_plan}, i64 %timings, "
    f.do(f"br i1 {f.compare('ne', shared, 0)}, label %rows_parallel, label %rows_serial")
    f.label("rows_serial")
    f.do(f"call {KERNEL} @walk_rows({job}i64 0, i64 {row_tasks}, i64 %scratch)")
    after("rows_serial")
    f.label("rows_parallel")
    walk_rows = f.let("ptrtoint ptr @walk_rows to i64")
    f.do(f"call void @parallel(ptr %pool, i64 {walk_rows}, {job}i64 {row_tasks}, i64 %scratch)")
    after("rows_parallel")

    f.label("copy")
    target, source, size = (f.word(at.get(), word) for word in range(1, 4))
    _copy(f, f.pointer(target), f.pointer(source), size)
    after("copy")
    f.label("zero")
    target, size = (f.word(at.get(), word) for word in range(1, 3))
    f.do(f"call void @llvm.memset.p0.i64(ptr {f.pointer(target)}, i8 0, i64 {size}, i1 false)")
    after("zero")
    _write_loop_entries(f, at)
    f.label("over")
    f.finish()


def _write_loop_entries(f: Code, at: Variable) -> None:
    f.label("loop")
    entry = at.get()
    turns, slots, count, end = (f.word(entry, word) for word in range(1, 5))
    f.set_word(entry, 5, turns)
    with f.loop(0, count) as i:
        slot = f.offset(f.pointer(slots), f.mul(i, 8 * SLOT_WORDS))
        f.set_word(f.pointer(f.word(slot, 0)), 0, f.word(slot, 1))
    empty = f.compare("sle", turns, 0)
    with f.when(empty):
        at.set(f.pointer(end))
    f.jump("following")

    f.label("loop_end")
    head = f.pointer(f.word(at.get(), 1))
    left = f.sub(f.word(head, 5), 1)
    f.set_word(head, 5, left)
    f.do(f"br i1 {f.compare('sgt', left, 0)}, label %turn, label %following")
    f.label("turn")
    slots, count = (f.word(head, word) for word in (2, 3))
    with f.loop(0, count) as i:
        slot = f.offset(f.pointer(slots), f.mul(i, 8 * SLOT_WORDS))
        cell = f.pointer(f.word(slot, 0))
        f.set_word(cell, 0, f.add(f.word(cell, 0), f.word(slot, 2)))
    at.set(head)
    f.jump("following")


def _write_run(module: Module) -> None:
    """``kg_run(run) -> steps``: steps begin .. steps of a run; returns the number of the first step not finished."""
    f = Code(module, "kg_run", ["ptr run"], result="i64")
    get = {name: f.word("%run", _WORD[name]) for name in HEADER}
    stop, fault = f.pointer(get["stop"]), f.pointer(get["fault"])
    entries, pool = f.pointer(get["entries"]), f.pointer(get["pool"])
    old = write_flush_denormals(f)
    done = f.variable("i64", get["begin"])
    f.jump("step")
    f.label("step")
    step = done.get()
    flag = f.let(f"load atomic i64, ptr {stop} acquire, align 8")
    go_on = f.both(f.compare("slt", step, get["steps"]), f.compare("eq", flag, 0))
    f.do(f"br i1 {go_on}, label %work, label %over")
    f.label("work")
    f.do(f"call void @gather(ptr %run, i64 {step})")
    f.do(f"br i1 {f.compare('eq', f.word(fault, 0), 0)}, label %walk_table, label %over")
    f.label("walk_table")
    f.do(f"call void @walk(ptr {entries}, ptr {pool}, i64 {get['scratch']}, i64 {get['timings']})")
    f.do(f"br i1 {f.compare('eq', f.word(fault, 0), 0)}, label %finish_step, label %over")
    f.label("finish_step")
    f.do(f"call void @keep(ptr %run, i64 {step})")
    done.set(f.add(step, 1))
    f.jump("step")
    f.label("over")
    write_restore_denormals(f, old)
    f.finish(f"i64 {done.get()}")


# ----------------------------------------------------------------------------------------------------------------------
# The table, built in Python


class Slot:
    """A word that moves with a loop; as a target it stands for its own start value, so that loops can nest."""

    def __init__(self, cell: int | Slot, start: int, step: int) -> None:
        self.cell, self.start, self.step = cell, start, step
        self.row = -1  # its row in the schedule's slot array, once that exists


class Loop:
    """A loop being built: `slot` may be called until the schedule is finished."""

    def __init__(self, turns: int, entry: int) -> None:
        self.turns, self.entry, self.end = turns, entry, -1
        self.slots: list[Slot] = []

    def slot(self, cell: int | Slot, start: int, step: int) -> Slot:
        """Set the word at address `cell` to `start` before the first turn and add `step` after each (bytes).

        With a `Slot` of an inner loop as `cell`, the start value of that slot moves: an address start + i * step +
        j * inner step. Slots of the outer loop are set first.
        """
        made = Slot(cell, start, step)
        self.slots.append(made)
        return made


class ScheduleBuilder:
    """Writes a table: calls, loops and copies in the order in which they run."""

    def __init__(self) -> None:
        self._entries: list[list[int]] = []
        self._loops: list[Loop] = []
        self._open: list[Loop] = []
        self._row_loops: list[RowLoop] = []

    def call(self, function: int, ptrs: int, dims: int, tasks: int = 1, *, parallel: bool = False) -> int:
        """``function(ptrs, dims, begin, end, scratch)`` over [0, tasks); returns the entry's number."""
        return self._entry(CALL, function, ptrs, dims, tasks, int(parallel))

    def rows(self, loop: RowLoop, *, parallel: bool = False) -> int:
        """All of a loop, block by block; returns the entry's number."""
        plan = loop.finish()
        self._row_loops.append(loop)
        return self._entry(ROWS, plan.ctypes.data, loop.blocks, int(parallel))

    def part(self) -> int:
        """An entry that only keeps the time of a kernel of a `RowLoop`; returns its number."""
        return self._entry(PART)

    def copy(self, target: int, source: int, size: int) -> int:
        """Copy `size` bytes; the areas do not overlap."""
        return self._entry(COPY, target, source, size)

    def zero(self, target: int, size: int) -> int:
        """Set `size` bytes to zero."""
        return self._entry(ZERO, target, size)

    def begin_loop(self, turns: int) -> Loop:
        """Entries up to the matching `end_loop` run `turns` times."""
        loop = Loop(turns, self._entry(LOOP, turns))
        self._loops.append(loop)
        self._open.append(loop)
        return loop

    def end_loop(self) -> None:
        """Close the innermost open loop."""
        loop = self._open.pop()
        loop.end = self._entry(LOOP_END)

    def finish(self, *, scratch: int = 0) -> Schedule:
        """The schedule; `scratch`: bytes that any kernel may ask of its last argument."""
        if self._open:
            raise ValueError("a loop of the schedule is not closed")
        self._entry(END)
        entries = np.zeros((len(self._entries), ENTRY_WORDS), np.int64)
        for row, words in zip(entries, self._entries, strict=True):
            row[: len(words)] = words
        slots = self._slot_table()
        for loop in self._loops:
            first = loop.slots[0].row if loop.slots else 0
            entries[loop.entry, 2] = slots.ctypes.data + 8 * SLOT_WORDS * first
            entries[loop.entry, 3] = len(loop.slots)
            entries[loop.entry, 4] = _row_address(entries, loop.end)
            entries[loop.end, 1] = _row_address(entries, loop.entry)
        schedule = Schedule(entries, slots, scratch)
        schedule.keep += self._row_loops
        return schedule

    def _slot_table(self) -> Words:
        slots = [slot for loop in self._loops for slot in loop.slots]
        table = np.zeros((max(len(slots), 1), SLOT_WORDS), np.int64)
        for row, slot in enumerate(slots):
            slot.row = row
        for row, slot in enumerate(slots):
            cell = slot.cell if isinstance(slot.cell, int) else _row_address(table, slot.cell.row) + 8
            table[row] = cell, slot.start, slot.step
        return table

    def _entry(self, *words: int) -> int:
        self._entries.append(list(words))
        return len(self._entries) - 1


def _row_address(table: Words, row: int) -> int:
    return int(table.ctypes.data + row * table.strides[0])


@dataclass(frozen=True)
class Source:
    """Rows to gather: `rows` rows of `size` bytes at address `array`; a batch of them goes to `staging`."""

    array: int
    rows: int
    size: int
    staging: int


@dataclass(frozen=True)
class Sink:
    """A result to keep: `size` bytes at `result` go to ``array + step * size``."""

    result: int
    array: int
    size: int


class Schedule:
    """A finished table. The addresses in it must stay valid; `keep` holds objects for that purpose."""

    def __init__(self, entries: Words, slots: Words, scratch: int) -> None:
        self.entries, self.slots, self.scratch = entries, slots, scratch
        self.keep: list[object] = []
        self.fault = np.zeros(4, np.int64)
        """Kernels set fault[0] (not 0, not `FAULT_ROW`) to end the run; the other words are theirs."""
        self.stop = np.zeros(1, np.int64)
        """Any thread may set stop[0] to end a run after the current step."""
        self.timings: Words | None = None
        """[entry, 2]: nanoseconds and number of times, summed over runs, once `time_entries` was called."""

    def time_entries(self) -> Words:
        """Measure every entry from now on (some 50 ns each); returns the array that the sums go to."""
        if self.timings is None:
            self.timings = np.zeros((len(self.entries), 2), np.int64)
        return self.timings


# ----------------------------------------------------------------------------------------------------------------------
# Running


_SLICE_SECONDS = 0.05  # how long Python's signal handlers (Ctrl-C) may have to wait


class Driver:
    """The loaded native driver."""

    def __init__(self, module: NativeModule) -> None:
        self.module = module
        self.run_native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(module.address("kg_run"))
        self._worker, self._shutdown = module.address("kg_worker"), module.address("kg_shutdown")

    def pool(self, scratch: int) -> ThreadPool | None:
        """The process's thread pool (None for one thread), with `scratch` bytes for each worker."""
        return shared_pool(self._worker, self._shutdown, scratch)

    def new_pool(self, threads: int) -> ThreadPool:
        """A pool beside that of the process, for the caller to close."""
        return ThreadPool(self._worker, self._shutdown, threads)

    def run(
        self,
        schedule: Schedule,
        *,
        steps: int = 1,
        batch: int = 0,
        first: int = 0,
        index: Words | None = None,
        sources: Sequence[Source] = (),
        sinks: Sequence[Sink] = (),
    ) -> int:
        """Prepare a `Run` and run it."""
        return Run(self, schedule, batch=batch, sources=sources, sinks=sinks).run(steps, first=first, index=index)


class Run:
    """A schedule with its sources and sinks, ready to run many times."""

    def __init__(
        self,
        driver: Driver,
        schedule: Schedule,
        *,
        batch: int = 0,
        sources: Sequence[Source] = (),
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.driver, self.schedule, self.batch = driver, schedule, batch
        self.workers: tuple[int, int] | None = None
        """Addresses of the pool and the scratch of the calling thread to run with; None: those of the process."""
        self._tables = (
            np.array([(s.array, s.size, s.staging, s.rows) for s in sources], np.int64),
            np.array([(s.result, s.array, s.size) for s in sinks], np.int64),
        )
        self._header = (ctypes.c_int64 * len(HEADER))()
        self._address = ctypes.addressof(self._header)
        self._scratch: Scratch | None = None
        # For what `once` has set the header: a thread, a state of the pool, a clock.
        self._caller = self._changes = -1
        self._timed: Words | None = None
        self._set(
            entries=schedule.entries.ctypes.data,
            batch=batch,
            sources=self._tables[0].ctypes.data,
            source_count=len(sources),
            sinks=self._tables[1].ctypes.data,
            sink_count=len(sinks),
            stop=schedule.stop.ctypes.data,
            fault=schedule.fault.ctypes.data,
        )

    def _set(self, **values: int) -> None:
        for name, value in values.items():
            self._header[_WORD[name]] = value

    def run(self, steps: int = 1, *, first: int = 0, index: Words | None = None) -> int:
        """Run the table `steps` times; returns the number of steps that were finished.

        Step s gathers rows ``index[first + s * batch]`` and the following ones (the rows from ``first + s * batch`` on
        without an index) of every source, walks the table and copies the results to the sinks. Fewer steps are finished
        when `schedule.stop` was set or `schedule.fault` is not zero afterwards. The interpreter's lock is free while
        steps run; signal handlers run in between. Raises ValueError when the index is too short or not contiguous.
        """
        schedule = self.schedule
        self._prepare(first, 0 if index is None else self._checked(index, first, steps))
        self._caller = -1
        schedule.fault[0] = 0
        _running.add(schedule)
        try:
            return self._slices(steps)
        finally:
            _running.discard(schedule)

    def once(self) -> int:
        """What `run()` does, with no more Python than one step bears: for a single row it is most of the time."""
        schedule = self.schedule
        caller = threading.get_ident()
        if caller != self._caller or self._changes != pool_changes() or self._timed is not schedule.timings:
            self._prepare(0, 0)
            self._set(begin=0, steps=1)
            self._caller, self._changes, self._timed = caller, pool_changes(), schedule.timings
        schedule.fault[0] = 0
        _running.add(schedule)
        try:
            return int(self.driver.run_native(self._address))
        finally:
            _running.discard(schedule)

    def _prepare(self, first: int, index: int) -> None:
        """Set what depends on the calling thread and on who asks."""
        schedule = self.schedule
        pool, scratch = self.workers or self._workers()
        self._set(
            first=first,
            index=index,
            pool=pool,
            scratch=scratch,
            timings=0 if schedule.timings is None else schedule.timings.ctypes.data,
        )

    def _workers(self) -> tuple[int, int]:
        pool = self.driver.pool(self.schedule.scratch)
        self._scratch = caller_scratch(self.schedule.scratch)
        return 0 if pool is None else pool.address, self._scratch.address

    def _checked(self, index: Words, first: int, steps: int) -> int:
        if index.dtype != np.int64 or index.ndim != 1 or not index.flags.c_contiguous:
            raise ValueError("the index must be a contiguous array of int64")
        if first < 0 or first + steps * self.batch > len(index):
            raise ValueError(
                f"{steps} steps of {self.batch} rows from {first} on need a longer index than {len(index)}"
            )
        return int(index.ctypes.data)

    def _slices(self, steps: int) -> int:
        """Short native calls: Python looks at signals only between them."""
        header, call, stop = self._header, self.driver.run_native, self.schedule.stop
        done, size = 0, 1
        while done < steps:
            end = min(done + size, steps)
            header[_BEGIN], header[_STEPS] = done, end
            began = time.perf_counter()
            done = call(self._address)
            if done < end or stop[0]:
                break
            if time.perf_counter() - began < _SLICE_SECONDS / 2:
                size *= 2
        return done


_BEGIN, _STEPS = _WORD["begin"], _WORD["steps"]
_running: set[Schedule] = set()


def _stop_all() -> None:
    """At exit: a thread in the middle of a run must not meet freed memory."""
    until = time.monotonic() + 1.0
    while _running and time.monotonic() < until:
        for schedule in tuple(_running):
            schedule.stop[0] = 1
        time.sleep(0.001)


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)  # the threads that ran them stayed in the parent


_lock = threading.Lock()
_drivers: list[Driver] = []


def driver_recipe() -> Recipe:
    """The driver's object."""
    key = hashlib.sha256(f"driver {DRIVER_VERSION} {sys.platform} {host_cpu_key()} {_digest()}".encode()).hexdigest()
    return Recipe(key, lambda emit: emit(driver_text(), by_hand=True))


def load_driver(fetch: Callable[[Recipe], bytes] | None = None) -> Driver:
    """The process's driver. fetch: gets an object from the cache or makes it; without one the driver is compiled."""
    with _lock:
        if not _drivers:
            recipe = driver_recipe()
            _drivers.append(Driver(load_object(fetch(recipe) if fetch else recipe.build(emit_object))))
        return _drivers[0]


def _digest() -> str:
    """A digest of the files that write the driver: an edited checkout must not meet its old objects."""
    here = Path(__file__)
    try:
        texts = [here.with_name(name).read_bytes() for name in ("driver.py", "row_loops.py", "pool.py", "tiles.py")]
    except OSError:
        return ""
    return hashlib.sha256(b"".join(texts)).hexdigest()
