"""What this CPU does at best: a product of matrices through the tile library, and copies of arrays of growing size.

Both probes are graphs, compiled and run like any other.  They take about half a second, once for a machine: the result
lies beside the compiled kernels, under a key of the CPU, the number of threads and the tile library.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import numpy as np

from kgraph.codegen import compile as compile_graph
from kgraph.codegen.cpu.cache import ObjectCache
from kgraph.codegen.cpu.objects import host_cpu_key
from kgraph.codegen.cpu.pool import get_num_threads
from kgraph.codegen.cpu.tilelib import tiles_recipe
from kgraph.codegen.dump import Dump
from kgraph.codegen.launches import Ceilings, cpu_name
from kgraph.codegen.options import CompileOptions
from kgraph.codegen.program import Executable
from kgraph.config import settings
from kgraph.ir.builder import Builder
from kgraph.ir.dims import Dim
from kgraph.ir.graph import Graph
from kgraph.ir.types import TensorType

__all__ = ["machine_ceilings"]

_PROBE_VERSION = 1
_EDGE = 512  # of the matrices: large enough for full tiles, small enough for L2 and L3
_SETS = tuple(1 << power for power in (14, 16, 18, 20, 22, 24, 26))  # bytes read and written: from L1 to main memory
_PROBE_SECONDS = 0.03  # of runs, at least five; the best counts, since others may use the machine
_LEAST_NS = 200_000  # of a run of the copy: small ones are repeated


def machine_ceilings(*, again: bool = False) -> Ceilings:
    """The ceilings for one thread and for all that programs use; measured when this machine has none.

    again: measure in any case, for example after others kept the machine busy.
    """
    threads = get_num_threads()
    key = _key(threads)
    store = ObjectCache(settings().cache)
    found = None if again else _known.get(key) or _read(store.get(key))
    if found is None:
        found = _measured(threads)
        store.put(key, _written(found))
    _known[key] = found
    return found


_known: dict[str, Ceilings] = {}


def _measured(threads: int) -> Ceilings:
    """Where others kept the machine busy, more threads are no faster: one of them does what one does alone."""
    flops, bandwidth = {1: _peak(1)}, {1: _bandwidths(1)}
    if threads > 1:
        flops[threads] = max(flops[1], _peak(threads))
        pairs = zip(bandwidth[1], _bandwidths(threads), strict=True)
        bandwidth[threads] = tuple((size, max(alone, shared)) for (size, alone), (_, shared) in pairs)
    return Ceilings(cpu_name(), flops, bandwidth)


def _key(threads: int) -> str:
    parts = (f"ceilings {_PROBE_VERSION}", cpu_name(), str(threads), tiles_recipe("f32").key)
    return ObjectCache.key("\n".join(parts), host_cpu_key())


def _written(ceilings: Ceilings) -> bytes:
    return json.dumps([ceilings.cpu, [*ceilings.flops.items()], [*ceilings.bandwidth.items()]]).encode()


def _read(data: bytes | None) -> Ceilings | None:
    if data is None:
        return None
    cpu, flops, bandwidth = json.loads(data)
    return Ceilings(cpu, dict(flops), {n: tuple((size, speed) for size, speed in table) for n, table in bandwidth})


def _program(graph: Graph, threads: int, sizes: Mapping[str, int]) -> Executable:
    options = CompileOptions(verify=False, num_threads=threads, dump=Dump(None, graph.name))
    return compile_graph(graph, "cpu", options).bind(sizes, {})


def _peak(threads: int) -> float:
    """Operations a second of a product of two square matrices."""
    graph = Graph("peak")
    b = Builder(graph)
    square = TensorType("f32", (_EDGE, _EDGE))
    graph.outputs = [b.op("matmul", b.input("a", square), b.input("b", square))]
    executable = _program(graph, threads, {})
    for name in ("a", "b"):
        executable.input(name)[...] = np.float32(1)
    return 2 * _EDGE**3 / _best_seconds(executable, 1)


def _bandwidths(threads: int) -> tuple[tuple[int, float], ...]:
    """(working set, bytes a second) by size; no larger set is faster than a smaller one."""
    found: list[tuple[int, float]] = []
    for size in reversed(_SETS):
        graph = Graph("copy")
        b = Builder(graph)
        graph.outputs = [b.op("add", b.input("x", TensorType("f32", (Dim.symbol("B"),))), 1.0)]
        graph.symbols = {"B": 1}
        executable = _program(graph, threads, {"B": size // 8})
        speed = size / _best_seconds(executable, max(1, _LEAST_NS * 10 // size))
        found.append((size, max(speed, found[-1][1] if found else 0.0)))
    return tuple(reversed(found))


def _best_seconds(executable: Executable, repeats: int) -> float:
    """Seconds of one call of the only kernel, of the best of some runs of `repeats` calls each."""
    executable.run()
    best, done, end = float("inf"), 0, time.monotonic() + _PROBE_SECONDS
    while done < 5 or time.monotonic() < end:
        clock = executable.time_kernels()
        assert clock is not None
        executable.run_steps({}, None, 0, repeats)
        clock.stop()
        best = min(best, sum(spent.ns / max(1, spent.calls) for spent in clock.kernels().values()))
        done += 1
    return best * 1e-9
