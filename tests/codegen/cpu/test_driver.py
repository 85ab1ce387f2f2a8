"""The native driver and its threads: tables, loops, gathers, early ends, and what can go wrong with threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kgraph.codegen.cpu import pool as pools
from kgraph.codegen.cpu.driver import FAULT_ROW, Driver, Run, ScheduleBuilder, Sink, Source, driver_text, load_driver
from kgraph.codegen.cpu.objects import NativeModule, emit_object, load_object

Array = np.ndarray[Any, Any]

KERNELS = """
; y[i] += x[i] for i in the task range; ptrs: x, y (f64)
define void @test_add(i64 %ptrs, i64 %dims, i64 %begin, i64 %end, i64 %scratch) {
entry:
  %table = inttoptr i64 %ptrs to ptr
  %second = getelementptr i64, ptr %table, i64 1
  %xa = load i64, ptr %table
  %ya = load i64, ptr %second
  %x = inttoptr i64 %xa to ptr
  %y = inttoptr i64 %ya to ptr
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %px = getelementptr double, ptr %x, i64 %i
  %py = getelementptr double, ptr %y, i64 %i
  %a = load double, ptr %px
  %b = load double, ptr %py
  %sum = fadd double %a, %b
  store double %sum, ptr %py
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}
; word = dims[0], counted up at ptrs[0]; when it reaches dims[0], the word at ptrs[1] becomes 7
define void @test_count(i64 %ptrs, i64 %dims, i64 %begin, i64 %end, i64 %scratch) {
  %table = inttoptr i64 %ptrs to ptr
  %second = getelementptr i64, ptr %table, i64 1
  %ca = load i64, ptr %table
  %fa = load i64, ptr %second
  %counter = inttoptr i64 %ca to ptr
  %flag = inttoptr i64 %fa to ptr
  %limits = inttoptr i64 %dims to ptr
  %limit = load i64, ptr %limits
  %old = load i64, ptr %counter
  %new = add i64 %old, 1
  store i64 %new, ptr %counter
  %hit = icmp eq i64 %new, %limit
  br i1 %hit, label %set, label %done
set:
  store i64 7, ptr %flag
  br label %done
done:
  ret void
}
; scratch[0] = begin; y[begin] = scratch[0]; ptrs: y (i64)
define void @test_scratch(i64 %ptrs, i64 %dims, i64 %begin, i64 %end, i64 %scratch) {
entry:
  %table = inttoptr i64 %ptrs to ptr
  %ya = load i64, ptr %table
  %y = inttoptr i64 %ya to ptr
  %mine = inttoptr i64 %scratch to ptr
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  store volatile i64 %i, ptr %mine
  %back = load volatile i64, ptr %mine
  %py = getelementptr i64, ptr %y, i64 %i
  store i64 %back, ptr %py
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


@pytest.fixture(scope="module")
def kernels() -> NativeModule:
    return load_object(emit_object(KERNELS))


@pytest.fixture(scope="module")
def driver() -> Driver:
    return load_driver()


@pytest.fixture(autouse=True)
def default_threads() -> Iterator[None]:
    before = pools.get_num_threads()
    yield
    pools.set_num_threads(before)


def table(*arrays: Array) -> Array:
    return np.array([a.ctypes.data for a in arrays], np.int64)


def test_calls_run_in_order_every_step(driver: Driver, kernels: NativeModule) -> None:
    x, y, z = np.arange(4.0), np.zeros(4), np.zeros(4)
    first, second = table(x, y), table(y, z)
    builder = ScheduleBuilder()
    builder.call(kernels.address("test_add"), first.ctypes.data, 0, 4)
    builder.call(kernels.address("test_add"), second.ctypes.data, 0, 4)
    assert driver.run(builder.finish(), steps=3) == 3
    assert (y == 3 * x).all() and (z == (1 + 2 + 3) * x).all()


def test_copy_and_zero(driver: Driver) -> None:
    x, y, z = np.arange(5.0), np.zeros(5), np.ones(5)
    builder = ScheduleBuilder()
    builder.copy(y.ctypes.data, x.ctypes.data, 32)
    builder.zero(z.ctypes.data, 16)
    assert driver.run(builder.finish()) == 1
    assert (y == [0, 1, 2, 3, 0]).all() and (z == [0, 0, 1, 1, 1]).all()


def test_loops_move_pointers_and_start_again(driver: Driver, kernels: NativeModule) -> None:
    x, y = np.arange(6.0), np.zeros(6)
    ptrs = table(x, y)
    builder = ScheduleBuilder()
    loop = builder.begin_loop(3)
    for word, array in enumerate((x, y)):
        loop.slot(ptrs.ctypes.data + 8 * word, array.ctypes.data, 8)
    builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 1)
    builder.end_loop()
    assert driver.run(builder.finish(), steps=2) == 2
    assert (y == [0, 2, 4, 0, 0, 0]).all()


def test_nested_loops(driver: Driver, kernels: NativeModule) -> None:
    """Rows 0 and 2, columns 0 to 2 of a 3 x 4 array."""
    x, y = np.arange(12.0).reshape(3, 4), np.zeros((3, 4))
    ptrs = table(x, y)
    builder = ScheduleBuilder()
    rows = builder.begin_loop(2)
    columns = builder.begin_loop(3)
    for word, array in enumerate((x, y)):
        inner = columns.slot(ptrs.ctypes.data + 8 * word, array.ctypes.data, 8)
        rows.slot(inner, array.ctypes.data, 64)
    builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 1)
    builder.end_loop()
    builder.end_loop()
    schedule = builder.finish()
    for runs in (1, 2):
        assert driver.run(schedule) == 1
        expected = np.zeros((3, 4))
        expected[::2, :3] = runs * x[::2, :3]
        assert (y == expected).all()


@pytest.mark.parametrize("turns", [0, -1])
def test_loop_without_turns(driver: Driver, kernels: NativeModule, turns: int) -> None:
    x, y = np.ones(2), np.zeros(2)
    ptrs = table(x, y)
    builder = ScheduleBuilder()
    builder.begin_loop(turns)
    builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 2)
    builder.end_loop()
    builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 1)
    driver.run(builder.finish())
    assert (y == [1, 0]).all()


def test_open_loop_is_refused() -> None:
    builder = ScheduleBuilder()
    builder.begin_loop(2)
    with pytest.raises(ValueError, match="not closed"):
        builder.finish()


@pytest.mark.parametrize("indexed", [True, False])
def test_rows_are_gathered_and_results_kept(driver: Driver, kernels: NativeModule, indexed: bool) -> None:
    data, labels = np.arange(40.0).reshape(10, 4), np.arange(10, dtype=np.int64)
    x, y, label = np.zeros((3, 4)), np.zeros((3, 4)), np.zeros(3, np.int64)
    ptrs = table(x, y)
    builder = ScheduleBuilder()
    builder.zero(y.ctypes.data, y.nbytes)
    builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 12)
    kept, kept_labels = np.full((4, 3, 4), -1.0), np.full((4, 3), -1)
    order = np.array([9, 0, 8, 1, 7, 2, 6, 3, 5, 4], np.int64)
    done = driver.run(
        builder.finish(),
        steps=3,
        batch=3,
        first=1,
        index=order if indexed else None,
        sources=[Source(data.ctypes.data, 10, 32, x.ctypes.data), Source(labels.ctypes.data, 10, 8, label.ctypes.data)],
        sinks=[
            Sink(y.ctypes.data, kept.ctypes.data, y.nbytes),
            Sink(label.ctypes.data, kept_labels.ctypes.data, label.nbytes),
        ],
    )
    assert done == 3
    rows = (order if indexed else labels)[1:10].reshape(3, 3)
    assert (kept[:3] == data[rows]).all() and (kept[3] == -1).all()
    assert (kept_labels[:3] == rows).all() and (kept_labels[3] == -1).all()


@pytest.mark.parametrize(("index", "row"), [([0, 1, 2, 10], 10), ([0, 1, -1, 2], -1), (None, 10)])
def test_rows_that_do_not_exist(driver: Driver, index: list[int] | None, row: int) -> None:
    data, x = np.zeros((10, 2)), np.zeros((2, 2))
    schedule = ScheduleBuilder().finish()
    done = driver.run(
        schedule,
        steps=2,
        batch=2,
        first=0 if index else 8,
        index=np.array(index, np.int64) if index else None,
        sources=[Source(data.ctypes.data, 10, 16, x.ctypes.data)],
    )
    assert done == 1
    assert schedule.fault.tolist() == [FAULT_ROW, 0, row, 1]


def test_index_is_checked(driver: Driver) -> None:
    schedule = ScheduleBuilder().finish()
    with pytest.raises(ValueError, match="longer index"):
        driver.run(schedule, steps=3, batch=2, index=np.zeros(5, np.int64))
    with pytest.raises(ValueError, match="contiguous"):
        driver.run(schedule, steps=1, batch=2, index=np.zeros(8, np.int64)[::2])


def counting(kernels: NativeModule, limit: int, flag: Array) -> tuple[ScheduleBuilder, Array, list[Array]]:
    counter, dims = np.zeros(1, np.int64), np.array([limit])
    ptrs = np.array([counter.ctypes.data, flag.ctypes.data])
    builder = ScheduleBuilder()
    builder.call(kernels.address("test_count"), ptrs.ctypes.data, dims.ctypes.data)
    return builder, counter, [ptrs, dims]


def test_fault_ends_the_run_at_once(driver: Driver, kernels: NativeModule) -> None:
    flag = np.zeros(1, np.int64)
    builder, counter, alive = counting(kernels, 5, flag)
    schedule = builder.finish()
    alive[0][1] = schedule.fault.ctypes.data
    assert driver.run(schedule, steps=100) == 4
    assert counter[0] == 5 and schedule.fault[0] == 7
    assert driver.run(schedule, steps=2) == 2  # a new run starts without the fault


def test_stop_ends_the_run_after_the_step(driver: Driver, kernels: NativeModule) -> None:
    flag = np.zeros(1, np.int64)
    builder, counter, alive = counting(kernels, 5, flag)
    schedule = builder.finish()
    alive[0][1] = schedule.stop.ctypes.data
    assert driver.run(schedule, steps=100) == 5
    assert counter[0] == 5


def test_another_thread_can_stop_a_run(driver: Driver, kernels: NativeModule) -> None:
    builder, counter, _alive = counting(kernels, -1, np.zeros(1, np.int64))
    schedule = builder.finish()
    timer = threading.Timer(0.1, schedule.stop.fill, [1])
    timer.start()
    began = time.perf_counter()
    done = driver.run(schedule, steps=1 << 40)
    assert time.perf_counter() - began < 5
    assert 0 < done == counter[0]


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_ctrl_c_ends_a_run(driver: Driver, kernels: NativeModule) -> None:
    builder, counter, _alive = counting(kernels, -1, np.zeros(1, np.int64))
    timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        driver.run(builder.finish(), steps=1 << 40)
    assert counter[0] > 0


def test_timings(driver: Driver, kernels: NativeModule) -> None:
    builder, _counter, _alive = counting(kernels, -1, np.zeros(1, np.int64))
    schedule = builder.finish()
    timings = schedule.time_entries()
    driver.run(schedule, steps=10)
    assert timings[0, 1] == 10 and 0 < timings[0, 0] < 1_000_000_000
    assert (timings[1:] == 0).all()


def test_denormals_are_flushed_only_inside(driver: Driver, kernels: NativeModule) -> None:
    x, y = np.full(64, 1e-310), np.zeros(64)
    ptrs = table(x, y)
    for threads in (1, 2):
        pools.set_num_threads(threads)
        builder = ScheduleBuilder()
        builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 64, parallel=True)
        y[:] = 1e-310
        driver.run(builder.finish(), steps=50)
        assert (y == 0).all()
        assert (x + x > 0).all()  # NumPy still sees them


def test_denormals_come_back_after_a_fault(driver: Driver, kernels: NativeModule) -> None:
    """Also where a run ends in the middle, because a row is not there."""
    small = np.full(8, 1e-310)
    builder, _counter, _alive = counting(kernels, -1, np.zeros(1, np.int64))
    schedule = builder.finish()
    rows, staging = np.zeros((3, 2)), np.zeros((1, 2))
    source = Source(rows.ctypes.data, 3, 16, staging.ctypes.data)
    for threads in (1, 2):
        pools.set_num_threads(threads)
        done = driver.run(schedule, steps=3, batch=1, index=np.array([0, 7, 1]), sources=[source])
        assert done == 1 and schedule.fault[0] == FAULT_ROW
        assert (small + small > 0).all()


# ----------------------------------------------------------------------------------------------------------------------
# Threads


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_task_runs_once(driver: Driver, kernels: NativeModule, threads: int) -> None:
    pools.set_num_threads(threads)
    for tasks in (1, 2, 3, 17, 1000):
        x, y = np.arange(float(tasks)), np.zeros(tasks)
        ptrs = table(x, y)
        builder = ScheduleBuilder()
        builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, tasks, parallel=True)
        builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, tasks, parallel=True)
        assert driver.run(builder.finish(), steps=200) == 200
        assert (y == 400 * x).all()


def test_no_tasks(driver: Driver) -> None:
    builder = ScheduleBuilder()
    builder.call(0, 0, 0, 0, parallel=True)
    assert driver.run(builder.finish()) == 1


def test_scratch_of_each_thread_is_its_own(driver: Driver, kernels: NativeModule) -> None:
    pools.set_num_threads(3)
    for size in (8, 1 << 20, 100):
        y = np.full(3000, -1)
        ptrs = table(y)
        builder = ScheduleBuilder()
        builder.call(kernels.address("test_scratch"), ptrs.ctypes.data, 0, 3000, parallel=True)
        driver.run(builder.finish(scratch=size), steps=20)
        assert (y == np.arange(3000)).all()
    assert pools.caller_scratch(1).address % 64 == 0


def test_once_follows_the_pool_the_thread_and_the_clock(driver: Driver, kernels: NativeModule) -> None:
    """What `once` prepared holds until threads, the calling thread or the clock change."""
    y = np.zeros(64, np.int64)
    ptrs = table(y)
    builder = ScheduleBuilder()
    builder.call(kernels.address("test_scratch"), ptrs.ctypes.data, 0, 64, parallel=True)
    schedule = builder.finish(scratch=4096)
    run = Run(driver, schedule)

    def check() -> None:
        y[:] = -1
        assert run.once() == 1
        assert (y == np.arange(64)).all()

    for threads in (1, 3, 2):
        pools.set_num_threads(threads)
        check()
        check()
        other = threading.Thread(target=check)
        other.start()
        other.join()
        assert (y == np.arange(64)).all()
    assert run.run(3) == 3
    check()
    for _ in range(2):  # a second clock has an array of its own
        schedule.timings = None
        timings = schedule.time_entries()
        check()
        assert timings[0, 1] == 1
    schedule.stop[0] = 1
    assert run.once() == 0


def test_programs_at_once(driver: Driver, kernels: NativeModule) -> None:
    """The pool serves one program; the others run their tasks themselves. Threads come and go meanwhile."""
    pools.set_num_threads(2)
    failures: list[object] = []

    def work() -> None:
        x, y = np.arange(100.0), np.zeros(100)
        ptrs = table(x, y)
        builder = ScheduleBuilder()
        builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 100, parallel=True)
        schedule = builder.finish()
        for _ in range(20):
            driver.run(schedule, steps=200)
        if not (y == 4000 * x).all():
            failures.append(y)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for count in (1, 3, 2):
        pools.set_num_threads(count)
        time.sleep(0.01)
    for thread in threads:
        thread.join(30)
    assert not failures and not any(thread.is_alive() for thread in threads)


def test_idle_workers_sleep(driver: Driver, kernels: NativeModule) -> None:
    pools.set_num_threads(3)
    y = np.zeros(64, np.int64)
    ptrs = table(y)
    builder = ScheduleBuilder()
    builder.call(kernels.address("test_scratch"), ptrs.ctypes.data, 0, 64, parallel=True)
    schedule = builder.finish(scratch=64)
    driver.run(schedule, steps=100)
    time.sleep(0.02)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1
    assert driver.run(schedule, steps=100) == 100  # and they wake up again


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, True])
def test_number_of_threads_is_checked(threads: Any) -> None:
    with pytest.raises(ValueError, match="1 to 256"):
        pools.set_num_threads(threads)


def test_number_of_threads_follows_the_affinity() -> None:
    code = "import os; from kgraph.codegen.cpu.pool import get_num_threads; print(get_num_threads())"
    one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity masks")
    assert run_python(one + code).strip() == "1"
    assert run_python(code, KGRAPH_NUM_THREADS="5").strip() == "5"


def test_quota(tmp_path: Any) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert pools._quota(tmp_path, 8) == 2
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert pools._quota(tmp_path, 8) == 8
    assert pools._quota(tmp_path / "none", 8) == 8


PROGRAM = """
import os, sys, threading
import numpy as np
from kgraph.codegen.cpu import pool as pools
from kgraph.codegen.cpu.driver import ScheduleBuilder, load_driver
from kgraph.codegen.cpu.objects import emit_object, load_object
driver, kernels = load_driver(), load_object(emit_object(sys.stdin.read()))
pools.set_num_threads(3)
x, y = np.arange(100.0), np.zeros(100)
ptrs = np.array([x.ctypes.data, y.ctypes.data])
builder = ScheduleBuilder()
builder.call(kernels.address("test_add"), ptrs.ctypes.data, 0, 100, parallel=True)
schedule = builder.finish()
def check(steps):
    y[:] = 0
    assert driver.run(schedule, steps=steps) == steps
    assert (y == steps * x).all()
check(100)
"""


def run_python(code: str, **environment: str) -> str:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code],
        input=KERNELS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": root, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_exit_while_workers_spin_or_sleep() -> None:
    began = time.perf_counter()
    run_python(PROGRAM + "check(1000)")
    run_python(PROGRAM + "import time; time.sleep(0.05)")
    assert time.perf_counter() - began < 30


def test_exit_while_a_thread_runs() -> None:
    """A daemon thread in the middle of a run must neither keep the process nor crash it."""
    run_python(
        PROGRAM
        + "threading.Thread(target=driver.run, args=(schedule,), kwargs={'steps': 1 << 40}, daemon=True).start()\n"
        + "import time; time.sleep(0.1)"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork() -> None:
    """The child starts its own workers, even when the parent was in the middle of a region."""
    code = """
    import warnings
    warnings.simplefilter("ignore")
    for busy in (False, True):
        if busy:
            other = threading.Thread(target=driver.run, args=(schedule,), kwargs={"steps": 1 << 40}, daemon=True)
            other.start()
        child = os.fork()
        if child == 0:
            check(1000)
            assert pools.shared_pool(driver.module.address("kg_worker"), driver.module.address("kg_shutdown"), 0)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        if busy:
            schedule.stop[0] = 1
            other.join()
            schedule.stop[0] = 0
        check(100)
    print("done")
    """
    assert run_python(PROGRAM + textwrap.dedent(code)).strip() == "done"


def test_text_is_the_same_every_time() -> None:
    assert driver_text() == driver_text()
