"""What the tests of `KGRAPH_GUARD` share: a program run plainly and between red zones, on poison, has the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kgraph.codegen.cpu.guarded import GuardedExecutable
from kgraph.codegen.cpu.target import CpuProgram
from kgraph.codegen.program import Executable
from kgraph.config import Guard

Arrays = Mapping[str, np.ndarray]


def run(program: Any, dims: Mapping[str, int], arrays: Arrays, guard: Guard = "", steps: int = 1) -> list[np.ndarray]:
    """Outputs of the last of several runs, then the params, which lie where arrays of a user's may: on no boundary."""
    graph = program.graph
    params = {value.name: off_boundary(arrays[value.name]) for value in graph.params}
    exe: Executable
    if guard:
        assert isinstance(program, CpuProgram)
        exe = GuardedExecutable(program, dims, params, guard)
    else:
        exe = program.bind(dims, params)
    for value in graph.inputs:
        exe.input(value.name)[...] = arrays[value.name]
    for _ in range(steps):
        exe.run()
    return [exe.output(k).copy() for k in range(len(graph.outputs))] + list(params.values())


def off_boundary(array: np.ndarray) -> np.ndarray:
    """A copy that starts one element after a boundary of 64 bytes."""
    raw = np.zeros(array.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + array.itemsize
    found = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def check_guarded(program: Any, dims: Mapping[str, int], arrays: Arrays, guard: Guard = "zones") -> list[np.ndarray]:
    """Run plainly and guarded, and compare every bit; returns what `run` does."""
    plain = run(program, dims, arrays)
    for number, (ours, theirs) in enumerate(zip(plain, run(program, dims, arrays, guard), strict=True)):
        # Not the bits: which NaN comes out may depend on the one that lay there.
        np.testing.assert_array_equal(ours, theirs, err_msg=f"result {number} depends on what lies around buffers")
    return plain
