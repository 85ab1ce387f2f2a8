"""Whole training steps of the benchmarks' models: the same bits on any number of threads and between red zones, in an
arena that is hardly larger than what lives in it at one time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from kgraph.codegen import get_num_threads, set_num_threads
from kgraph.codegen.cpu.guarded import GuardedExecutable
from kgraph.codegen.cpu.target import CpuProgram
from kgraph.codegen.program import Executable
from kgraph.trainer.steps import Step
from tests.workloads import NAMES, training

STEPS = 2
# 680 kernels: half a minute.
CASES = [pytest.param(name, marks=[pytest.mark.nightly] if name == "resnet50" else []) for name in NAMES]


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


def run(step: Step, feeds: list[dict[str, np.ndarray]], guarded: bool = False) -> dict[str, bytes]:
    """Outputs and params after some steps from the initial params."""
    program = step.program
    assert isinstance(program, CpuProgram)
    dims = step.sizes(feeds[0])
    params = {name: array.copy() for name, array in step.params.items()}
    exe: Executable
    exe = GuardedExecutable(program, dims, params, "zones") if guarded else program.make_executable(dims, params)
    for arrays in feeds:
        for name, array in arrays.items():
            exe.input(name)[...] = array
        exe.run()
    outputs = {f"output {k}": exe.output(k).tobytes() for k in range(len(step.graph.outputs))}
    return outputs | {name: array.tobytes() for name, array in params.items()}


def different(left: dict[str, bytes], right: dict[str, bytes]) -> list[str]:
    return [name for name, data in left.items() if data != right[name]]


@pytest.mark.parametrize("name", CASES)
def test_threads_and_red_zones_do_not_change_a_bit(name: str) -> None:
    step, feeds = training(name, STEPS)
    set_num_threads(1)
    alone = run(step, feeds)
    assert any(data != step.params[key].tobytes() for key, data in alone.items() if key in step.params)
    for threads in (2, 3, 8):
        set_num_threads(threads)
        assert different(alone, run(step, feeds)) == [], f"{threads} threads"
    assert different(alone, run(step, feeds, guarded=True)) == [], "between red zones"


@pytest.mark.parametrize("name", CASES)
def test_arena_is_close_to_what_is_alive(name: str) -> None:
    """Temporaries and padding to 64 bytes included."""
    step, feeds = training(name, 1)
    for batch in (1, 8, 32, 128):
        program, dims = step.program, {**step.sizes(feeds[0]), "B": batch}
        assert isinstance(program, CpuProgram)
        arena = program.make_executable(dims, step.params).arena  # type: ignore[attr-defined]
        assert arena.bytes <= 1.1 * arena.bound, f"batch of {batch}"
