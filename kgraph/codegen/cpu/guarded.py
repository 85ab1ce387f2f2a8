"""`KGRAPH_GUARD`: a program that runs kernel by kernel in memory with red zones, to find what reaches past a buffer.

No buffer shares memory with another one; inputs, params, constants, results, temporaries and the scratch of each thread
lie between red zones.  What no kernel has written yet is NaN (in floats).  After each kernel the zones are looked at:
a stray write is an error that names kernel and buffer.  The table that is walked, the kernels, their arguments and the
way tasks are shared are those of a program that is not guarded (of one that cuts no loop by rows); only the loop around
them is here.
"""

from __future__ import annotations

import atexit
import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kgraph.codegen.cpu.binding import CpuExecutable
from kgraph.codegen.cpu.driver import CALL, END, ENTRY_WORDS, LOOP, LOOP_END, Driver, Run, Schedule
from kgraph.codegen.cpu.pool import ThreadPool, get_num_threads
from kgraph.codegen.cpu.redzones import Damage, RedZones
from kgraph.codegen.cpu.writer import quantity
from kgraph.codegen.memory import Arena, Buffer
from kgraph.codegen.program import Array
from kgraph.config import Guard
from kgraph.errors import InternalError
from kgraph.ir.graph import Node, Value
from kgraph.ir.types import itemsize, numpy_dtype

if TYPE_CHECKING:
    from kgraph.codegen.cpu.target import CpuProgram

__all__ = ["GuardedExecutable"]


class GuardedExecutable(CpuExecutable):
    """A `CpuExecutable` whose buffers lie between red zones; runs of all guarded programs wait for one another."""

    cuts_loops = False  # loops are walked kernel by kernel, so that the first stray write is found

    def __init__(self, program: CpuProgram, dims: Mapping[str, int], params: Mapping[str, Array], form: Guard) -> None:
        self._form = form
        self._numbers: dict[Buffer, int] = {}  # of params
        self._fresh: list[int] = []  # buffers that hold nothing when a run starts
        super().__init__(program, dims, params)
        self._walker = _Walker(self, form)

    # -- memory -------------------------------------------------------------------------------------------------------
    def _place(self) -> Arena:
        """Give every buffer memory of its own."""
        plan, names = self.program.plan, _tenants(self.program)
        outside: dict[Buffer, Value] = {}  # with the value that was placed first: the input, param or constant itself
        for value, place in plan.places.items():
            if place.buffer.kind != "arena":
                outside.setdefault(place.buffer, value)
        buffers = [*outside, *plan.buffers]
        spans = [(names[buffer], self.size(buffer.bytes)) for buffer in buffers]
        self._temporary_at = {}
        for node, kernel in self.program.kernels.items():
            for number, temporary in enumerate(kernel.temporaries):
                self._temporary_at[node, number] = len(spans)
                size = quantity(temporary.volume, self.size) * itemsize(temporary.dtype)
                spans.append((f"temporary {number} of {kernel.name}", size))
        self.zones = zones = RedZones(spans, self._form)
        self._memory = zones.memory
        self._bases = {buffer: zones.address(k) for k, buffer in enumerate(buffers)}
        self._temporaries = {key: zones.address(k) for key, k in self._temporary_at.items()}
        self._fresh = list(range(len(outside), len(spans)))
        for number, (buffer, value) in enumerate(outside.items()):
            typed = zones.array(number).view(numpy_dtype(value.dtype)).reshape([self.size(d) for d in value.shape])
            if buffer.kind == "input":
                self._inputs[buffer.name] = typed
                typed[...] = 0
            elif buffer.kind == "param":
                self._numbers[buffer] = number
            else:
                assert value.producer is not None
                typed[...] = value.producer.attrs["value"]
        offsets = zones.offsets[len(outside) :]
        return Arena(offsets, len(zones.memory), len(zones.memory))

    # -- running ------------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Run once; see `CpuExecutable.run`.

        Raises:
            InternalError: a kernel wrote outside its buffers.
        """
        with self._params_inside():
            if not self._walker.walk():
                self._fail(0, 1)

    def run_steps(
        self,
        sources: Mapping[str, Array],
        index: Array | None,
        first: int,
        steps: int,
        sinks: Sequence[Array] | None = None,
    ) -> None:
        """Gather rows and keep results natively, as an unguarded program does, and walk the kernels in between."""
        walker = self._walker
        with self._params_inside():
            for step in range(steps):
                begin = first + step * self.batch
                gather = self._prepare(sources, (), begin, walker.nothing)
                if walker.call(gather, "the gathering of rows", first=begin, index=index) != 1 or not walker.walk():
                    return self._fail(step, steps)
                walker.call(self._prepare({}, sinks or (), begin, walker.nothing), "the keeping of results")

    @contextmanager
    def _params_inside(self) -> Iterator[None]:
        """Copy params between the zones, and back after the run, also after an error."""
        with _one_at_a_time:
            homes = [(self.params[buffer.name], self.zones.array(number)) for buffer, number in self._numbers.items()]
            for home, inside in homes:
                inside[...] = home.reshape(-1).view(np.uint8)
            for number in self._fresh:
                self.zones.poison(number)
            try:
                yield
            finally:
                for home, inside in homes:
                    home.reshape(-1).view(np.uint8)[...] = inside

    def temporaries_of(self, node: Node) -> list[int]:
        """Numbers of a kernel's temporaries among the zones."""
        return [k for (owner, _), k in self._temporary_at.items() if owner is node]


_one_at_a_time = threading.RLock()  # the pool and its scratch serve one guarded run


def _tenants(program: CpuProgram) -> dict[Buffer, str]:
    """What to call each buffer: its input or param, or the values that lie in it and the kernels that make them."""
    found: dict[Buffer, str] = {}
    for buffer, tenants in program.plan.tenants.items():
        if buffer.name:
            found[buffer] = f"{buffer.kind} %{buffer.name}"
            continue
        makers = dict.fromkeys(
            value.producer.attrs["name"] for value in tenants if value.producer and value.producer.op.name == "kernel"
        )
        types = dict.fromkeys(str(value.type) for value in tenants)
        made = f", made by {', '.join(makers)}" if makers else ""
        found[buffer] = f"{'constant' if buffer.kind == 'constant' else 'value'} {', '.join(types)}{made}"
    return found


# ----------------------------------------------------------------------------------------------------------------------
# Walking


class _Walker:
    """The driver's table, walked entry by entry from Python; each kernel is called through the native driver."""

    def __init__(self, executable: GuardedExecutable, form: Guard) -> None:
        self.exe, self.table = executable, executable._table
        self.driver, self.schedule = executable.program.driver, executable._table.schedule
        self.entries = self.schedule.entries
        self.threads = _Threads(self.driver, form)
        single = np.zeros((2, ENTRY_WORDS), np.int64)
        single[1, 0] = END
        self._single, self.nothing = (
            Schedule(single, self.schedule.slots, 0),
            Schedule(single[1:], self.schedule.slots, 0),
        )
        self._single.fault = self.nothing.fault = self.schedule.fault
        self._run = Run(self.driver, self._single)
        self._first = {node: entry for entry, node in reversed(list(self.table.nodes.items()))}

    def walk(self) -> bool:
        """Every entry once, in order; False when a kernel reported a fault."""
        entries, at = self.entries, 0
        base = int(entries.ctypes.data)
        while entries[at, 0] != END:
            kind = int(entries[at, 0])
            if kind == LOOP:
                entries[at, 5] = entries[at, 1]
                self._slots(at, 1, add=False)
                if entries[at, 1] <= 0:
                    at = (int(entries[at, 4]) - base) // (8 * ENTRY_WORDS)
            elif kind == LOOP_END:
                head = (int(entries[at, 1]) - base) // (8 * ENTRY_WORDS)
                entries[head, 5] -= 1
                if entries[head, 5] > 0:
                    self._slots(head, 2, add=True)
                    at = head
            elif not self._entry(at, kind):
                return False
            at += 1
        return True

    def _slots(self, loop: int, word: int, *, add: bool) -> None:
        """Set or move the words that move with a loop."""
        table, base = self.schedule.slots, int(self.schedule.slots.ctypes.data)
        first = (int(self.entries[loop, 2]) - base) // table.strides[0]
        for slot in table[first : first + int(self.entries[loop, 3])]:
            cell = ctypes.c_int64.from_address(int(slot[0]))
            cell.value = (cell.value if add else 0) + int(slot[word])

    def _entry(self, at: int, kind: int) -> bool:
        node = self.table.nodes.get(at)
        name = "a copy between kernels" if node is None else f"kernel {node.attrs['name']}"
        if node is not None and self._first[node] == at:
            for number in self.exe.temporaries_of(node):
                self.exe.zones.poison(number)
        self._single.entries[0] = self.entries[at]
        self._single.scratch = self._scratch(node) if kind == CALL else 0
        began = time.perf_counter_ns()
        done = self.call(self._run, name)
        if self.schedule.timings is not None:
            self.schedule.timings[at] += (time.perf_counter_ns() - began, 1)
        return done == 1

    def _scratch(self, node: Node | None) -> int:
        return 0 if node is None else quantity(self.exe.program.kernels[node].scratch, self.exe.size)

    def call(self, run: Run, name: str, *, first: int = 0, index: Array | None = None) -> int:
        """Call native code, then look at all zones; `name` is what an error calls it."""
        run.workers = self.threads.prepare(run.schedule.scratch)
        done = cast(int, _frame(name)(lambda: run.run(1, first=first, index=index)))
        damage = self.exe.zones.damage() or self.threads.damage()
        if damage is not None:
            raise self._error(name, damage)
        return done

    def _error(self, name: str, damage: Damage) -> InternalError:
        sizes = ", ".join(f"{symbol} = {size}" for symbol, size in self.exe.dims.items()) or "fixed sizes"
        return InternalError(
            f"{name} wrote outside its buffers",
            where=f"program {self.exe.program.options.label or self.exe.graph.name}, {sizes}",
            got=str(damage),
        )


@cache
def _frame(name: str) -> Callable[[Callable[[], Any]], Any]:
    """A function whose frame names what it calls, for `python -X faulthandler` where a page guard ends the process."""
    space: dict[str, Any] = {}
    exec(compile("def called(run):\n    return run()\n", f"<{name}>", "exec"), space)
    return cast(Callable[[Callable[[], Any]], Any], space["called"])


class _Threads:
    """A pool of its own for guarded runs, since its workers get scratch between red zones."""

    def __init__(self, driver: Driver, form: Guard) -> None:
        self._driver, self._form = driver, form
        self._made: dict[tuple[int, int], RedZones] = {}
        self._used: list[RedZones] = []

    def prepare(self, size: int) -> tuple[int, int]:
        """(address of the pool or 0, address of the caller's scratch); each thread has `size` bytes of poison."""
        self._used = [self._scratch(number, size) for number in range(get_num_threads())]
        for area in self._used:
            area.poison(0)
        pool = _guarded_pool(self._driver)
        if pool is not None:
            pool.use_scratch([area.address(0) for area in self._used[1:]])
        return (0 if pool is None else pool.address), self._used[0].address(0)

    def _scratch(self, thread: int, size: int) -> RedZones:
        found = self._made.get((thread, size))
        if found is None:
            found = self._made[thread, size] = RedZones([(f"scratch of thread {thread}", size)], self._form, align=64)
        return found

    def damage(self) -> Damage | None:
        """A write past the scratch of a thread."""
        return next(filter(None, (area.damage() for area in self._used)), None)


_pools: dict[int, ThreadPool] = {}


def _guarded_pool(driver: Driver) -> ThreadPool | None:
    """The pool of guarded runs for the number of threads asked for; None for one thread."""
    threads = get_num_threads()
    if threads == 1:
        return None
    if threads not in _pools:
        if not _pools:
            atexit.register(_close_pools)
        _pools[threads] = driver.new_pool(threads)
    return _pools[threads]


def _close_pools() -> None:
    for pool in _pools.values():
        pool.close()
