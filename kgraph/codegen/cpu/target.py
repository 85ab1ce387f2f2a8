"""The CPU target: schedule, emit, compile (or take from the cache), bind to memory, run.

`compile_program` is the whole road from an IR graph to native code.  Nothing here imports numba unless a kernel has
to be compiled.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from kgraph.codegen.cpu.binding import CpuExecutable
from kgraph.codegen.cpu.building import NativeBuild, build_native, paused_collection
from kgraph.codegen.cpu.emit import emit_kernels
from kgraph.codegen.launches import Ceilings
from kgraph.codegen.memory import describe, plan_memory
from kgraph.codegen.options import CompileOptions
from kgraph.codegen.program import Array, Executable, Program
from kgraph.codegen.schedule import Boundary, explain_boundaries, schedule_graph
from kgraph.ir.analysis import critical_path
from kgraph.ir.graph import Graph
from kgraph.ir.passes.base import PassContext, run_passes
from kgraph.ir.passes.pipeline import OPTIMIZE
from kgraph.ir.verifier import verify_graph

__all__ = ["FLOATS", "CpuProgram", "compile_program"]

FLOATS = ("arcp", "contract", "flush_denormals", "nsz", "reassoc")
"""How floats are computed, as the header of a schedule says it: LLVM's flags by name; and numbers below the least
normal one are 0, on our threads and, while a program runs, on the calling one.
"""


def compile_program(graph: Graph, options: CompileOptions) -> Program:
    """Compile a graph for this CPU.

    Raises:
        UnsupportedError: an op or element type has no kernel; the message names it.
        CompileError: a kernel could not be compiled.
    """
    with paused_collection(), NativeBuild() as build:
        build.anticipate(_has_products(graph))
        return _compile(graph, options, build)


def _compile(graph: Graph, options: CompileOptions, build: NativeBuild) -> Program:
    clock = _Clock()
    optimized = graph.copy()
    if options.optimize and not _is_schedule(graph):
        dump = options.dump.stage if options.dump else None
        run_passes(optimized, OPTIMIZE, PassContext(verify=bool(options.verify), dump=dump))
    clock.lap("passes")
    if options.dump:
        options.dump.stage("optimized", str(optimized))
    if _is_schedule(graph):
        scheduled, boundaries = graph.copy(), []
    else:
        result = schedule_graph(optimized)
        scheduled, boundaries = result.graph, result.boundaries
    scheduled.attrs["floats"] = FLOATS
    clock.lap("schedule")
    if options.verify:
        verify_graph(scheduled, "schedule")
    if options.dump:
        options.dump.stage("schedule", str(scheduled))
    return CpuProgram(graph, optimized, scheduled, boundaries, options, clock, build)


def _has_products(graph: Graph) -> bool:
    return any(node.op.name in ("matmul", "conv2d") and node.results[0].dtype == "f32" for node in graph.nodes)


class _Clock:
    """Seconds of each stage, for `KGRAPH_TIMINGS`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now


def _is_schedule(graph: Graph) -> bool:
    return graph.attrs.get("stage") == "schedule"


class CpuProgram(Program):
    """A compiled graph: kernels as native code, one driver table per set of sizes."""

    target = "cpu"

    def __init__(
        self,
        graph: Graph,
        optimized: Graph,
        scheduled: Graph,
        boundaries: list[Boundary],
        options: CompileOptions,
        clock: _Clock,
        build: NativeBuild,
    ) -> None:
        super().__init__(graph)
        self.stages = {"optimized": optimized, "schedule": scheduled}
        self.scheduled, self.boundaries, self.options = scheduled, boundaries, options
        self.plan = plan_memory(scheduled)
        self.kernels = emit_kernels(scheduled, self.plan, options.convolution or "auto")
        clock.lap("memory plan and emission")
        if options.dump:
            for kernel in self.kernels.values():
                options.dump.kernel(kernel.name, kernel.header + kernel.source)
        native = build_native(self.kernels, build)
        self.driver, self.functions, self.compiled_kernels = native.driver, native.functions, native.compiled
        clock.lap(f"native code ({native.compiled} compiled, the rest from the cache)")
        self.stage_seconds = clock.seconds

    def sources(self) -> dict[str, str]:
        """Source of each kernel with a header that names layers and shapes."""
        return {kernel.name: kernel.header + kernel.source for kernel in self.kernels.values()}

    def explain(self) -> str:
        """For each pair of kernels what the first stores for the second, and why it was not fused."""
        distinct = len({kernel.source for kernel in self.kernels.values()})
        head = f"{len(self.kernels)} kernels, {distinct} of them distinct; a -> b: what a stores for b, and why"
        chain = [node.attrs["name"] for node in critical_path(self.scheduled) if node.op.name == "kernel"]
        path = f"longest chain of kernels that wait for one another: {len(chain)} ({' -> '.join(chain)})"
        return "\n".join([head, path, explain_boundaries(self.boundaries)])

    def memory(self) -> str:
        """The memory plan: buffers with symbolic sizes and their lives, and offsets for each size bound so far."""
        names = {node: kernel.name for node, kernel in self.kernels.items()}
        names.update((node, node.attrs["name"]) for node in self.plan.kernel_position if node not in names)
        parts = [describe(self.plan, names)]
        for executable in self._bound.values():
            if isinstance(executable, CpuExecutable):
                sizes = ", ".join(f"{name} = {size}" for name, size in executable.dims.items())
                parts.append(f"bound for {sizes or 'fixed sizes'}:\n" + describe(self.plan, names, executable.arena))
        return "\n".join(parts)

    def ceilings(self, *, again: bool = False) -> Ceilings:
        """Those of this CPU; kept with the compiled kernels."""
        from kgraph.codegen.cpu.ceilings import machine_ceilings

        return machine_ceilings(again=again)

    def make_executable(self, dims: Mapping[str, int], params: Mapping[str, Array]) -> Executable:
        """Place buffers and write the driver's table."""
        if not self.options.guard:
            return CpuExecutable(self, dims, params)
        from kgraph.codegen.cpu.guarded import GuardedExecutable

        return GuardedExecutable(self, dims, params, self.options.guard)
