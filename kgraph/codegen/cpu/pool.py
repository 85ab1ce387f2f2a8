"""Threads of the native driver: a small pool that spins briefly, then sleeps.

Workers are Python daemon threads inside one native call, without the GIL. A parallel region publishes a kernel and a
number of tasks; the caller and any workers that are awake take tasks until none is left. The caller never waits for a
worker that has not taken a task, so a pool whose workers are gone (after a fork, at exit) still finishes its regions.

Invariants: tasks write disjoint outputs, so results do not depend on who runs them; one region runs at a time, and a
program that finds the pool taken runs its tasks itself. Denormals are flushed in workers for their whole life.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kgraph.codegen.cpu.tiles import Code, Module, Operand
from kgraph.config import settings
from kgraph.errors import InvalidArgumentError

__all__ = [
    "Scratch",
    "ThreadPool",
    "caller_scratch",
    "get_num_threads",
    "pool_changes",
    "set_num_threads",
    "shared_pool",
    "write_pool",
]

Words = npt.NDArray[np.int64]

MAX_THREADS = 256
ALIGNMENT = 64

# Words of the pool's state. Each group has a cache line (8 words) of its own, as different threads write them.
GENERATION = 0  # counts regions; its lower half is what sleepers wait on
FINISHED = 8  # tasks of this region that are done
FN, PTRS, DIMS, TASKS, SHARES, CHUNK = range(16, 22)  # the region
SLEEPERS = 24
LOCK = 32  # 1 while a region runs
SHUTDOWN, SPINS, THREADS = range(40, 43)
SCRATCH = 48  # one address per worker
TICKETS = SCRATCH + MAX_THREADS  # a line per share: generation << 32 | tasks of the share not yet taken
LINE = 8
STATE_WORDS = TICKETS + LINE * MAX_THREADS

KERNEL = "void (i64, i64, i64, i64, i64)"
_REMAINING = (1 << 32) - 1
_GENERATION = 1 << 32
_YIELD_AFTER = 2000  # turns of waiting for the last tasks before the processor is offered to their owners
# Turns before a worker sleeps: 100 to 250 microseconds, longer than what runs between two parallel kernels of a step.
_SPINS = 8000


# ----------------------------------------------------------------------------------------------------------------------
# Native part


def _machine() -> str:
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def write_pause(f: Code) -> None:
    """Tell the processor that we are waiting in a loop."""
    if _machine() == "x86_64":
        f.module.declare("declare void @llvm.x86.sse2.pause()")
        f.do("call void @llvm.x86.sse2.pause()")
    elif _machine() == "aarch64":
        f.module.declare("declare void @llvm.aarch64.hint(i32)")
        f.do("call void @llvm.aarch64.hint(i32 1)")  # yield


def write_flush_denormals(f: Code) -> str:
    """Set flush-to-zero (and denormals-are-zero) on this thread; returns the old control word, an i64."""
    if _machine() == "x86_64":
        slot = f.array(1)
        f.module.declare("declare void @llvm.x86.sse.stmxcsr(ptr)")
        f.module.declare("declare void @llvm.x86.sse.ldmxcsr(ptr)")
        f.do(f"call void @llvm.x86.sse.stmxcsr(ptr {slot})")
        old = f.let(f"load i32, ptr {slot}")
        f.do(f"store i32 {f.let(f'or i32 {old}, 32832')}, ptr {slot}")  # 0x8040: FTZ and DAZ
        f.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {slot})")
        return f.let(f"zext i32 {old} to i64")
    if _machine() == "aarch64":
        f.module.declare("declare i64 @llvm.aarch64.get.fpcr()")
        f.module.declare("declare void @llvm.aarch64.set.fpcr(i64)")
        old = f.let("call i64 @llvm.aarch64.get.fpcr()")
        f.do(f"call void @llvm.aarch64.set.fpcr(i64 {f.let(f'or i64 {old}, {1 << 24}')})")
        return old
    return "0"


def write_restore_denormals(f: Code, old: str) -> None:
    """Undo `write_flush_denormals`."""
    if _machine() == "x86_64":
        slot = f.array(1)
        f.do(f"store i32 {f.let(f'trunc i64 {old} to i32')}, ptr {slot}")
        f.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {slot})")
    elif _machine() == "aarch64":
        f.do(f"call void @llvm.aarch64.set.fpcr(i64 {old})")


def _futex_number() -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    return {"x86_64": 202, "aarch64": 98}.get(_machine())


def _write_sleep(f: Code, pool: str, generation: str) -> None:
    """Sleep until the generation changes. Without futex: a short sleep, and the caller looks again."""
    futex = _futex_number()
    if futex is not None:
        f.module.declare("declare i64 @syscall(i64, ...)")
        # Both processors are little-endian: the word's address is that of its lower half.
        f.do(f"call i64 (i64, ...) @syscall(i64 {futex}, ptr {pool}, i64 128, i64 {generation}, i64 0, i64 0, i64 0)")
    elif sys.platform == "win32":
        f.module.declare("declare void @Sleep(i32)")
        f.do("call void @Sleep(i32 1)")
    else:
        f.module.declare("declare i32 @usleep(i32)")
        f.do("call i32 @usleep(i32 200)")


def _write_wake(f: Code, pool: str, count: Operand) -> None:
    futex = _futex_number()
    if futex is not None:
        f.module.declare("declare i64 @syscall(i64, ...)")
        f.do(f"call i64 (i64, ...) @syscall(i64 {futex}, ptr {pool}, i64 129, i64 {count}, i64 0, i64 0, i64 0)")


def _write_yield(f: Code) -> None:
    if sys.platform == "win32":
        f.module.declare("declare i32 @SwitchToThread()")
        f.do("call i32 @SwitchToThread()")
    else:
        f.module.declare("declare i32 @sched_yield()")
        f.do("call i32 @sched_yield()")


def _atomic(f: Code, pool: str, word: Operand, order: str = "monotonic") -> str:
    return f.let(f"load atomic i64, ptr {f.offset(pool, f.mul(word, 8))} {order}, align 8")


def _atomic_set(f: Code, pool: str, word: int, value: Operand, order: str = "monotonic") -> None:
    f.do(f"store atomic i64 {value}, ptr {f.offset(pool, 8 * word)} {order}, align 8")


def _atomic_add(f: Code, pool: str, word: int, value: Operand, order: str) -> None:
    f.let(f"atomicrmw add ptr {f.offset(pool, 8 * word)}, i64 {value} {order}")


def write_pool(module: Module) -> None:
    """Write `kg_worker(pool, id)`, `kg_shutdown(pool)`, `kg_parallel` and the internal `parallel`."""
    _write_take_tasks(module)
    _write_parallel(module)
    _write_worker(module)
    _write_shutdown(module)
    # For tests and for callers outside the driver's table.
    f = Code(module, "kg_parallel", [f"i64 {n}" for n in ("pool", "fn", "ptrs", "dims", "tasks", "scratch")])
    pointer = f.pointer("%pool")
    f.do(f"call void @parallel(ptr {pointer}, i64 %fn, i64 %ptrs, i64 %dims, i64 %tasks, i64 %scratch)")
    f.finish()


def _write_take_tasks(module: Module) -> None:
    """``take_tasks(pool, me, scratch_cell)``: run tasks until none is left to take.

    A thread starts with its own share, the same part of the range in every region, so that what a kernel wrote is in
    the cache of the thread that reads it next; then it helps with the others' shares.

    The number of tasks left is in the ticket, beside the generation: once a region is over it is zero, so a late worker
    can take nothing, whatever it has read of the next region. A successful exchange proves that the region which the
    fields were read from was open all the while.
    """
    f = Code(module, "take_tasks", ["ptr pool", "i64 me", "ptr scratch_cell"], internal=True)
    around = f.maximum(_atomic(f, "%pool", SHARES), 1)
    with f.loop(0, around) as turn:
        share = f.let(f"urem i64 {f.add('%me', turn)}, {around}")
        _write_take_share(f, share)
    f.finish()


def _write_take_share(f: Code, share: str) -> None:
    ticket_cell = f.offset("%pool", 8 * TICKETS, f.mul(share, 8 * LINE))
    f.jump("again")
    f.label("again")
    ticket = _atomic(f, ticket_cell, 0, "acquire")
    left = f.let(f"and i64 {ticket}, {_REMAINING}")
    f.do(f"br i1 {f.compare('eq', left, 0)}, label %share_done, label %claim")
    f.label("claim")
    fn, ptrs, dims, tasks, shares, chunk = (
        _atomic(f, "%pool", word) for word in (FN, PTRS, DIMS, TASKS, SHARES, CHUNK)
    )
    count = f.minimum(chunk, left)
    pair = f.let(f"cmpxchg ptr {ticket_cell}, i64 {ticket}, i64 {f.sub(ticket, count)} acq_rel acquire")
    taken = f.let(f"extractvalue {{ i64, i1 }} {pair}, 1")
    f.do(f"br i1 {taken}, label %run, label %again")
    f.label("run")
    begin = f.sub(f.div(f.mul(tasks, f.add(share, 1)), shares), left)
    scratch = f.word("%scratch_cell", 0)
    f.do(
        f"call {KERNEL} {f.pointer(fn)}(i64 {ptrs}, i64 {dims}, i64 {begin}, i64 {f.add(begin, count)}, i64 {scratch})"
    )
    _atomic_add(f, "%pool", FINISHED, count, "release")
    f.jump("again")
    f.label("share_done")


def _write_parallel(module: Module) -> None:
    """``parallel(pool, fn, ptrs, dims, tasks, scratch)``: a region; returns when all tasks are done."""
    names = ("fn", "ptrs", "dims", "tasks", "scratch")
    f = Code(module, "parallel", ["ptr pool", *(f"i64 {name}" for name in names)], internal=True)
    f.return_if(f.compare("sle", "%tasks", 0))
    threads = f.variable("i64", 1)
    with f.when(f.let("icmp ne ptr %pool, null")):
        threads.set(_atomic(f, "%pool", THREADS))
    count = threads.get()
    useful = f.both(f.compare("sgt", count, 1), f.compare("sgt", "%tasks", 1), f.compare("sle", "%tasks", _REMAINING))
    f.do(f"br i1 {useful}, label %lock, label %serial")
    f.label("lock")
    pair = f.let(f"cmpxchg ptr {f.offset('%pool', 8 * LOCK)}, i64 0, i64 1 acquire monotonic")
    f.do(f"br i1 {f.let(f'extractvalue {{ i64, i1 }} {pair}, 1')}, label %publish, label %serial")
    f.label("publish")
    for word, name in zip((FN, PTRS, DIMS, TASKS), names, strict=False):
        _atomic_set(f, "%pool", word, f"%{name}")
    shares = f.minimum(count, "%tasks")
    _atomic_set(f, "%pool", SHARES, shares)
    # A share is taken in quarters: whoever is done early can help with the rest.
    _atomic_set(f, "%pool", CHUNK, f.maximum(f.div("%tasks", f.mul(shares, 4)), 1))
    _atomic_set(f, "%pool", FINISHED, 0)
    with f.loop(0, shares) as share:
        start, end = (f.div(f.mul("%tasks", f.add(share, i)), shares) for i in (0, 1))
        cell = f.offset("%pool", 8 * TICKETS, f.mul(share, 8 * LINE))
        _atomic_add(f, cell, 0, f.add(f.sub(end, start), _GENERATION), "release")
    _atomic_add(f, "%pool", GENERATION, 1, "seq_cst")
    # A worker counts itself as a sleeper first and compares the generation second; we do it the other way round.
    with f.when(f.compare("sgt", _atomic(f, "%pool", SLEEPERS, "seq_cst"), 0)):
        _write_wake(f, "%pool", f.sub("%tasks", 1))
    cell = f.array(1)
    f.set_word(cell, 0, "%scratch")
    f.do(f"call void @take_tasks(ptr %pool, i64 0, ptr {cell})")
    _write_wait_finished(f)
    _atomic_set(f, "%pool", LOCK, 0, "release")
    f.do("ret void")
    f.label("serial")
    f.do(f"call {KERNEL} {f.pointer('%fn')}(i64 %ptrs, i64 %dims, i64 0, i64 %tasks, i64 %scratch)")
    f.finish()


def _write_wait_finished(f: Code) -> None:
    turns = f.variable("i64", 0)
    f.jump("wait")
    f.label("wait")
    f.do(f"br i1 {f.compare('eq', _atomic(f, '%pool', FINISHED, 'acquire'), '%tasks')}, label %over, label %wait_more")
    f.label("wait_more")
    write_pause(f)
    turns.set(f.add(turns.get(), 1))
    with f.when(f.compare("sgt", turns.get(), _YIELD_AFTER)):
        _write_yield(f)
    f.jump("wait")
    f.label("over")


def _write_worker(module: Module) -> None:
    """``kg_worker(pool, id)``: a worker's life; returns after a shutdown."""
    f = Code(module, "kg_worker", ["i64 address", "i64 id"])
    pool = f.pointer("%address")
    old = write_flush_denormals(f)
    cell = f.offset(pool, 8 * SCRATCH, f.mul("%id", 8))
    spins, seen = f.variable("i64", 0), f.variable("i64", 0)
    f.jump("look")
    f.label("look")
    generation = _atomic(f, pool, GENERATION, "acquire")
    f.do(f"br i1 {f.compare('ne', _atomic(f, pool, SHUTDOWN, 'acquire'), 0)}, label %leave, label %alive")
    f.label("alive")
    idle = f.compare("eq", generation, seen.get())
    f.do(f"br i1 {idle}, label %idle, label %busy")
    f.label("busy")
    seen.set(generation)
    f.do(f"call void @take_tasks(ptr {pool}, i64 {f.add('%id', 1)}, ptr {cell})")
    spins.set(0)
    f.jump("look")
    f.label("idle")
    write_pause(f)
    spins.set(f.add(spins.get(), 1))
    f.do(f"br i1 {f.compare('sgt', spins.get(), _atomic(f, pool, SPINS))}, label %sleep, label %look")
    f.label("sleep")
    _atomic_add(f, pool, SLEEPERS, 1, "seq_cst")
    _write_sleep(f, pool, generation)
    _atomic_add(f, pool, SLEEPERS, -1, "seq_cst")
    spins.set(0)
    f.jump("look")
    f.label("leave")
    write_restore_denormals(f, old)
    f.finish()


def _write_shutdown(module: Module) -> None:
    """``kg_shutdown(pool)``: workers leave as soon as they have no task; a running region goes on without them."""
    f = Code(module, "kg_shutdown", ["i64 address"])
    pool = f.pointer("%address")
    _atomic_set(f, pool, THREADS, 1)
    _atomic_set(f, pool, SHUTDOWN, 1, "seq_cst")
    _atomic_add(f, pool, GENERATION, 1, "seq_cst")
    _write_wake(f, pool, MAX_THREADS)
    f.finish()


# ----------------------------------------------------------------------------------------------------------------------
# Python part


class Scratch:
    """A 64-byte aligned buffer that grows; buffers it outgrew are kept, as a running kernel may still hold one."""

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.uint8]] = []
        self.size = self.address = 0

    def reserve(self, size: int) -> int:
        """Address of at least `size` bytes."""
        if size > self.size or not self._buffers:
            size = max(size, 2 * self.size, 4096)
            buffer = np.empty(size + ALIGNMENT, np.uint8)
            self._buffers.append(buffer)
            self.size, self.address = size, -(-buffer.ctypes.data // ALIGNMENT) * ALIGNMENT
        return self.address


class _CallerScratch(threading.local):
    def __init__(self) -> None:
        self.area = Scratch()


_caller = _CallerScratch()


def caller_scratch(size: int) -> Scratch:
    """At least `size` bytes of scratch of the calling Python thread; the address is valid while this object is held."""
    _caller.area.reserve(size)
    return _caller.area


class ThreadPool:
    """Workers beside the calling thread. worker, shutdown: addresses of the native `kg_worker` and `kg_shutdown`."""

    def __init__(self, worker: int, shutdown: int, threads: int) -> None:
        _check_threads(threads)
        self.threads = threads
        self._scratch = [Scratch() for _ in range(threads - 1)]
        self._lock = threading.Lock()
        self._reserved = 0
        self._state = _aligned_words(STATE_WORDS)
        self.address = int(self._state.ctypes.data)
        """What the native side calls `pool`."""
        self._state[SPINS] = _SPINS
        self._state[THREADS] = threads
        self.reserve(1)
        self._shutdown = ctypes.CFUNCTYPE(None, ctypes.c_int64)(shutdown)
        entry = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(worker)
        self._workers = [
            threading.Thread(target=entry, args=(self.address, i), name=f"kgraph-{i + 1}", daemon=True)
            for i in range(threads - 1)
        ]
        for thread in self._workers:
            thread.start()

    def reserve(self, size: int) -> None:
        """Give every worker at least `size` bytes of scratch."""
        if size <= self._reserved:
            return
        with self._lock:
            for i, area in enumerate(self._scratch):
                self._state[SCRATCH + i] = area.reserve(size)
            self._reserved = max(self._reserved, size)

    def use_scratch(self, addresses: Sequence[int]) -> None:
        """Give each worker the scratch at an address, until `reserve` is called; only while no region runs."""
        self._state[SCRATCH : SCRATCH + len(addresses)] = addresses

    def close(self, timeout: float = 1.0) -> None:
        """Send the workers home; `timeout` in seconds. Regions that run or come later are finished by their callers."""
        self._shutdown(self.address)
        for thread in self._workers:
            thread.join(timeout)


# ----------------------------------------------------------------------------------------------------------------------
# The pool that all programs share


class _Shared:
    """The process's pool and the number of threads asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pool: ThreadPool | None = None
        self.threads: int | None = None
        self.changes = 0  # counts pools that came or went: what a run knows of the pool holds until then
        self.retired: list[ThreadPool] = []  # a program may still run with one: its state must stay

    def forget(self) -> None:
        """In the child of a fork: the workers did not come along, and locks may be held by threads that did not."""
        self.lock = threading.Lock()
        if self.pool is not None:
            self.retired.append(self.pool)
        self.pool = None
        self.changes += 1


_shared = _Shared()


def get_num_threads() -> int:
    """Threads a program runs on, the calling one included.

    Default: `KGRAPH_NUM_THREADS`, or else the processors this process may use (affinity mask and cgroup quota).
    """
    if _shared.threads is None:
        asked = os.environ.get("KGRAPH_NUM_THREADS", "").strip()
        _shared.threads = min(settings().num_threads if asked else _usable_processors(), MAX_THREADS)
    return _shared.threads


def set_num_threads(threads: int) -> None:
    """Set the number of threads, 1 to 256, of all programs that start from now on; results do not depend on it.

    Raises ValueError outside the range.
    """
    _check_threads(threads)
    with _shared.lock:
        if threads != _shared.threads and _shared.pool is not None:
            old, _shared.pool = _shared.pool, None
            _shared.retired.append(old)
            old.close()
        _shared.threads = threads
        _shared.changes += 1


def pool_changes() -> int:
    """A number that is another one whenever `shared_pool` would give another pool."""
    return _shared.changes


def shared_pool(worker: int, shutdown: int, scratch: int) -> ThreadPool | None:
    """The process's pool, started on first use, with at least `scratch` bytes per worker; None for one thread."""
    threads = get_num_threads()
    if threads == 1:
        return None
    pool = _shared.pool
    if pool is None or pool.threads != threads:
        with _shared.lock:
            if _shared.pool is None or _shared.pool.threads != threads:
                _shared.pool = ThreadPool(worker, shutdown, threads)
                _shared.changes += 1
            pool = _shared.pool
    pool.reserve(scratch)
    return pool


def _at_exit() -> None:
    """Workers must not outlive the interpreter: what they look at is freed with it."""
    with _shared.lock:
        pool, _shared.pool = _shared.pool, None
        if pool is not None:
            _shared.retired.append(pool)
            pool.close()
        _shared.threads = 1
        _shared.changes += 1


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.forget)


def _check_threads(threads: int) -> None:
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise InvalidArgumentError(
            "the number of threads is out of range", got=repr(threads), needed=f"a whole number from 1 to {MAX_THREADS}"
        )


def _usable_processors() -> int:
    """Processors this process may use: its affinity mask, cut by the quota of its control group."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, _quota(Path("/sys/fs/cgroup"), count)))


def _quota(root: Path, otherwise: int) -> int:
    """The control group's quota in whole processors, rounded up (version 2, then version 1)."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return otherwise
    try:
        return -(-int(limit) // int(period)) if int(limit) > 0 else otherwise
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return otherwise


def _aligned_words(count: int) -> Words:
    raw = np.zeros(count + 8, np.int64)
    skip = (-raw.ctypes.data % ALIGNMENT) // 8
    return raw[skip : skip + count]
