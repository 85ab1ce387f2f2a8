"""A program bound to memory: buffers for given sizes, the driver's table, and runs.

The table holds addresses only: of kernels, of their pointer arrays, of their sizes.  All arrays that it points into
are kept by the executable, so they live as long as it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kgraph.codegen.costs import KernelCost, kernel_costs
from kgraph.codegen.cpu.driver import FAULT_ROW, Loop, Run, Schedule, ScheduleBuilder, Sink, Slot, Source
from kgraph.codegen.cpu.kernel import EmittedKernel
from kgraph.codegen.cpu.pool import get_num_threads
from kgraph.codegen.cpu.row_loops import RowLoop, rows_per_block
from kgraph.codegen.cpu.writer import FAULT_WRONG_ROW, CeilDiv, FaultBuffer, FaultSite, Quantity, quantity
from kgraph.codegen.launches import KernelClock, KernelTime, Launch
from kgraph.codegen.memory import Arena, Buffer, Copy, Place, place_buffers
from kgraph.codegen.program import Array, Executable
from kgraph.errors import DataError, InternalError
from kgraph.ir.dims import Dim, DimLike, evaluate_shape
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.ops.control import scan_parts
from kgraph.ir.types import itemsize, numpy_dtype

if TYPE_CHECKING:
    from kgraph.codegen.cpu.target import CpuProgram

__all__ = ["CpuExecutable"]

_ALIGN = 64


def _aligned(size: int) -> Array:
    """`size` zeroed bytes on a 64-byte boundary."""
    raw = np.zeros(size + _ALIGN, np.uint8)
    offset = -raw.ctypes.data % _ALIGN
    return raw[offset : offset + size]


class CpuExecutable(Executable):
    """A `CpuProgram` with memory for one set of sizes."""

    cuts_loops = True
    """Whether loops whose rows do not depend on one another are cut by rows; see `row_loops`."""

    def __init__(self, program: CpuProgram, dims: Mapping[str, int], params: Mapping[str, Array]) -> None:
        super().__init__(program.graph, dims)
        self.program = program
        self.params = dict(params)
        graph = program.scheduled
        self._sizes: dict[DimLike, int] = {}
        self._inputs: dict[str, Array] = {}
        self._constants: list[Array] = []
        self._bases: dict[Buffer, int] = {}
        self.arena = self._place()
        self._table = _Table(self, program)
        self._table.write(graph)
        self._table.finish(program.plan.copies_after.get(None, []))
        self._outputs = [self._view(value) for value in graph.outputs]
        self._run = Run(program.driver, self._table.schedule, batch=self.batch)
        self._loops: dict[tuple[Any, ...], Run] = {}

    # -- memory -------------------------------------------------------------------------------------------------------
    def size(self, dim: DimLike) -> int:
        """The number that a size stands for in this executable."""
        if not isinstance(dim, Dim):
            return dim
        found = self._sizes.get(dim)
        if found is None:
            found = self._sizes[dim] = dim.evaluate(self.dims)
        return found

    def bytes(self, value: Value) -> int:
        """Size of a value."""
        return self.size(value.type.volume) * itemsize(value.dtype)

    def _place(self) -> Arena:
        """Allocate the arena: planned buffers, then the kernels' temporaries, which live for one kernel each."""
        plan = self.program.plan
        for value in self.graph.inputs:
            self._inputs[value.name] = _typed(_aligned(self.bytes(value)), value, self.dims)
        spans = [(self.size(buffer.bytes), buffer.first, buffer.last) for buffer in plan.buffers]
        self._temporary_at: dict[tuple[Node, int], int] = {}
        for node, kernel in self.program.kernels.items():
            at = plan.kernel_position[node]
            first, last = plan.row_spans.get(node, (at, at))
            for number, temporary in enumerate(kernel.temporaries):
                self._temporary_at[node, number] = len(spans)
                spans.append((quantity(temporary.volume, self.size) * itemsize(temporary.dtype), first, last))
        arena = place_buffers(spans)
        self._memory = _aligned(arena.bytes)
        base = self._memory.ctypes.data
        for buffer, offset in zip(plan.buffers, arena.offsets, strict=False):
            self._bases[buffer] = base + offset
        self._temporaries = {key: base + arena.offsets[k] for key, k in self._temporary_at.items()}
        for value, place in plan.places.items():
            self._locate(value, place.buffer)
        return arena

    def _locate(self, value: Value, buffer: Buffer) -> None:
        if buffer in self._bases or buffer.kind == "arena":
            return
        if buffer.kind == "input":
            self._bases[buffer] = self._inputs[buffer.name].ctypes.data
        elif buffer.kind == "param":
            self._bases[buffer] = self.params[buffer.name].ctypes.data
        else:
            producer = value.producer
            if producer is None or producer.op.name != "constant":
                raise InternalError(f"no memory for {value!r}")
            array = np.ascontiguousarray(producer.attrs["value"], numpy_dtype(value.dtype))
            self._constants.append(array)
            self._bases[buffer] = array.ctypes.data

    def address(self, place: Place, dtype: str) -> int:
        """Address of the first element of a place (before any loop moves it)."""
        return self._bases[place.buffer] + self.size(place.offset) * itemsize(dtype)

    def temporary(self, node: Node, number: int) -> int:
        """Address of a kernel's temporary."""
        return self._temporaries[node, number]

    def _view(self, value: Value) -> Array:
        """The array of a graph output; outputs are row-major buffers of their own."""
        place = self.program.plan.places[value]
        start = self.address(place, value.dtype) - self._memory.ctypes.data
        return _typed(self._memory[start : start + self.bytes(value)], value, self.dims)

    # -- running ------------------------------------------------------------------------------------------------------
    def input(self, name: str) -> Array:
        """The buffer of an input."""
        return self._inputs[name]

    def output(self, index: int) -> Array:
        """A view of an output; valid until the next run."""
        return self._outputs[index]

    def run(self) -> None:
        """Run once.

        Raises:
            DataError: a row number outside its table; names the layer.
        """
        if self._run.once() != 1:
            self._fail(0, 1)

    def run_steps(
        self,
        sources: Mapping[str, Array],
        index: Array | None,
        first: int,
        steps: int,
        sinks: Sequence[Array] | None = None,
    ) -> None:
        """The native loop: gather rows, run, keep results, `steps` times without Python in between."""
        arrays = [*sources.values(), *(sinks or ())]
        key = (tuple(sources), *((a.ctypes.data, a.shape, a.strides) for a in arrays), first if sinks else 0)
        run = self._loops.get(key)
        if run is None:
            if len(self._loops) > 16:
                self._loops.clear()
            run = self._loops[key] = self._prepare(sources, sinks or (), first, self._table.schedule)
        done = run.run(steps, first=first, index=index)
        if done != steps:
            self._fail(done, steps)

    def _fail(self, done: int, steps: int) -> None:
        """Raise what the driver reported; a run that was stopped from outside is not an error."""
        code, first, second, _ = self._table.schedule.fault.tolist()
        if code == FAULT_WRONG_ROW:
            site = self._table.sites[first]
            raise DataError(
                f"layer {site.layer!r} was given the id {second}",
                needed=f"ids from 0 to {self.size(site.rows) - 1}: its table has {self.size(site.rows)} rows",
                fix="check the ids, or give the layer a larger input_dim",
            )
        if code == FAULT_ROW:
            raise DataError(f"row {second} of input {first} does not exist", got=f"in step {done} of {steps}")
        if code:
            raise InternalError(f"the run ended after {done} of {steps} steps", got=f"fault {code}")

    def _prepare(self, sources: Mapping[str, Array], sinks: Sequence[Array], first: int, schedule: Schedule) -> Run:
        gathered = []
        for name, array in sources.items():
            staging = self._inputs[name]
            # Not strides[0]: of a single row NumPy takes any stride for contiguous, `x[:3][:1]` keeps that of `x`.
            row = array.nbytes // len(array) if array.ndim and len(array) else array.itemsize
            gathered.append(Source(array.ctypes.data, len(array), row, staging.ctypes.data))
        kept = []
        for result, array in zip(self._outputs, sinks, strict=False):
            start = array.ctypes.data + first * array.strides[0]
            kept.append(Sink(result.ctypes.data, start, result.nbytes))
        return Run(self.program.driver, schedule, batch=self.batch, sources=gathered, sinks=kept)

    # -- measuring ----------------------------------------------------------------------------------------------------
    def time_kernels(self) -> KernelClock:
        """Measure every kernel from now on, some 50 ns each, until `stop`; one clock at a time."""
        return _Clock(self._table)

    def launches(self) -> list[Launch]:
        """The kernels in program order; one that has nothing to do is left out."""
        costs = kernel_costs(self.program.scheduled, self.dims, self.program.plan.written_in_place)
        return [self._launch(found) for found in costs if found.node in self.program.kernels]

    def _launch(self, found: KernelCost) -> Launch:
        kernel = self.program.kernels[found.node]
        tasks = max((quantity(phase.tasks, self.size) for phase in kernel.phases), default=0)
        rows, tasks = self._table.row_blocks.get(found.node, (0, tasks))
        threads = min(max(tasks, 1), 1 if self.program.options.num_threads == 1 else get_num_threads())
        variant = _variant(kernel, self.size, rows)
        return Launch(found.node, found.turns, found.cost, variant, tasks, threads, found.loop)


_LIBRARY_CALL = re.compile(r'"kg_(\w+?)_f(?:32|64)"')


def _variant(kernel: EmittedKernel, size: Callable[[DimLike], int], rows: int = 0) -> str:
    """The routines of the tile library that a kernel calls, and the block of a task of a product: `gemm 28x64`.

    Of a convolution by Winograd, whose kernel has two ways: which one it takes at these sizes.

    rows: of a task, where the loop around decides.
    """
    ways = [q for q in kernel.sizes if isinstance(q, CeilDiv) and re.fullmatch("winograd .* few", q.label)]
    if ways:
        return "winograd, few tiles" if quantity(ways[0], size) else "winograd"
    routines = dict.fromkeys(_LIBRARY_CALL.findall(kernel.source))
    cuts = [q for q in kernel.sizes if isinstance(q, CeilDiv) and q.label.startswith(("gemm rows", "gemm columns"))]
    block = "x".join(str(quantity(cut, size, rows)) for cut in cuts)
    return " ".join([*routines, block]).strip()


def _typed(raw: Array, value: Value, dims: Mapping[str, int]) -> Array:
    return raw.view(numpy_dtype(value.dtype)).reshape(evaluate_shape(value.shape, dims))


class _Clock(KernelClock):
    """Reads what the driver adds up for each entry of the table."""

    def __init__(self, table: _Table) -> None:
        table.schedule.timings = None  # begin at zero, whoever measured before
        self._schedule, self._timings = table.schedule, table.schedule.time_entries()
        self._nodes, self._parts = table.nodes, table.parts

    def kernels(self) -> dict[Node, KernelTime]:
        """A kernel of several phases has several entries, which are called equally often.

        In a loop cut by rows several threads add to the times of its kernels: what the loop took in all is shared out
        in their proportion.
        """
        entries: dict[Node, list[int]] = {}
        for entry, node in self._nodes.items():
            entries.setdefault(node, []).append(entry)
        times = {node: self._sum(numbers) for node, numbers in entries.items()}
        for loop, parts in self._parts.items():
            whole, busy = int(self._timings[loop, 0]), int(self._timings[parts, 0].sum())
            for node in (self._nodes[part] for part in parts):
                times[node] = KernelTime(whole * times[node].ns // max(1, busy), times[node].calls)
        return times

    def copies(self) -> KernelTime:
        """Everything in the table that is no kernel."""
        kernels = self._nodes.keys() | self._parts.keys()
        return self._sum(entry for entry in range(len(self._timings)) if entry not in kernels)

    def _sum(self, entries: Iterable[int]) -> KernelTime:
        rows = self._timings[list(entries)]
        return KernelTime(int(rows[:, 0].sum()), int(rows[:, 1].max(initial=0)))

    def stop(self) -> None:
        """The next run no longer looks at the clock."""
        if self._schedule.timings is self._timings:
            self._schedule.timings = None


class _Table:
    """Writes the driver's table for one executable."""

    def __init__(self, executable: CpuExecutable, program: CpuProgram) -> None:
        self.exe, self.program, self.plan = executable, program, program.plan
        self.builder = ScheduleBuilder()
        self.keep: list[Array] = []
        self.loops: dict[Node, Loop] = {}
        self.scratch = 0
        self.nodes: dict[int, Node] = {}  # by entry
        self.parts: dict[int, list[int]] = {}  # entry of a loop cut by rows -> those of its kernels
        self.row_blocks: dict[Node, tuple[int, int]] = {}  # kernel of such a loop -> rows of a task, tasks
        self.sites: list[FaultSite] = []
        self.fault_cells: list[tuple[Array, int]] = []  # where the address of the fault words goes

    def _number(self, value: Quantity, rows: int) -> int:
        if isinstance(value, FaultBuffer):
            return 0  # filled in when the table is closed
        if isinstance(value, FaultSite):
            self.sites.append(value)
            return len(self.sites) - 1
        return quantity(value, self.exe.size, rows)

    def write(self, graph: Graph) -> None:
        """Entries for one level of the schedule."""
        for node in graph.nodes:
            if node.op.name == "scan":
                for copy in self.plan.copies_before.get(node, []):
                    self._copy(copy)
                rows = self._rows_of_block(node)
                if rows:
                    self._row_loop(node, rows)
                else:
                    self._loop(node)
            elif node in self.program.kernels:
                self._kernel(node, self.program.kernels[node])

    def finish(self, copies: Sequence[Copy]) -> None:
        """Copy what could not be written in place, and close the table."""
        for copy in copies:
            self._copy(copy)
        self.schedule = self.builder.finish(scratch=self.scratch)
        self.schedule.keep.extend(self.keep)
        for dims, place in self.fault_cells:
            dims[place] = self.schedule.fault.ctypes.data

    def _kernel(self, node: Node, kernel: EmittedKernel) -> None:
        pointers, places = self._pointers(node, kernel)
        for k, place in enumerate(places):
            size = itemsize((*node.operands, *node.results)[k].dtype)
            self._move(pointers.ctypes.data + 8 * k, int(pointers[k]), place, size)
        self.keep.append(pointers)
        self.scratch = max(self.scratch, quantity(kernel.scratch, self.exe.size))
        for phase, dims in zip(kernel.phases, self._sizes(kernel), strict=True):
            tasks = quantity(phase.tasks, self.exe.size)
            if tasks == 0:
                continue
            entry = self.builder.call(
                self.program.functions[node], pointers.ctypes.data, dims, tasks, parallel=self._shared(tasks)
            )
            self.nodes[entry] = node

    def _shared(self, tasks: int) -> bool:
        return tasks > 1 and self.program.options.num_threads != 1

    def _pointers(self, node: Node, kernel: EmittedKernel) -> tuple[Array, list[Place]]:
        """Addresses of operands, results and temporaries; and where the former lie."""
        exe = self.exe
        values = [*node.operands, *node.results]
        places = [self.plan.places[value] for value in values]
        addresses = [exe.address(place, value.dtype) for value, place in zip(values, places, strict=True)]
        addresses += [exe.temporary(node, number) for number in range(len(kernel.temporaries))]
        return np.array(addresses, np.int64), places

    def _sizes(self, kernel: EmittedKernel, rows: int = 0) -> list[int]:
        """For each phase the address of its sizes; rows: of a task, where the loop around decides."""
        sizes = [self._number(q, rows) for q in kernel.sizes]
        addresses: list[int] = []
        for phase in kernel.phases:
            dims = np.array([phase.number, *sizes], np.int64)
            self.keep.append(dims)
            self.fault_cells += [(dims, k + 1) for k, q in enumerate(kernel.sizes) if isinstance(q, FaultBuffer)]
            addresses.append(dims.ctypes.data)
        return addresses

    def _move(self, cell: int, start: int, place: Place, size: int) -> None:
        """Let the loops around move a pointer: the innermost directly, an outer one by its start."""
        target: int | Slot = cell
        for walk in reversed(place.walks):
            # A place walked by several loops starts where all of them start.
            begin = start + sum(self.exe.size(w.start) for w in place.walks) * size
            target = self.loops[walk.loop].slot(target, begin, self.exe.size(walk.step) * size)

    def _loop(self, node: Node) -> None:
        self.loops[node] = self.builder.begin_loop(self.exe.size(node.attrs["length"]))
        self.write(node.regions[0])
        for copy in self.plan.copies_in_loop.get(node, []):
            self._copy(copy)
        self.builder.end_loop()

    def _copy(self, copy: Copy) -> None:
        target, source = self._ends(copy)
        if target != source:
            self.builder.copy(target, source, self.exe.size(copy.bytes))

    def _ends(self, copy: Copy) -> tuple[int, int]:
        """Addresses of target and source."""
        if copy.target.walks or copy.source.walks:
            raise InternalError("a copy between kernels moves with a loop")
        return self.exe.address(copy.target, "u8"), self.exe.address(copy.source, "u8")

    # -- loops cut by rows --------------------------------------------------------------------------------------------
    def _rows_of_block(self, node: Node) -> int:
        """Rows of a task where a loop is cut by rows; 0: it is walked kernel by kernel."""
        rows = self.plan.row_loops.get(node)
        if rows is None or not self.exe.cuts_loops:
            return 0
        kernels = [self.program.kernels[inner] for inner in node.regions[0].nodes if inner in self.program.kernels]
        count = self.exe.size(rows)
        if not count or any(kernel.rows != rows or len(kernel.phases) != 1 for kernel in kernels):
            return 0
        _, _, invariants = scan_parts(node)
        block = rows_per_block(count, sum(self.exe.bytes(value) for value in invariants if value.shape[:1] != (rows,)))
        tasks = max((quantity(kernel.phases[0].tasks, self.exe.size) for kernel in kernels), default=0)
        return block if block < count or tasks == 1 else 0

    def _row_loop(self, node: Node, rows: int) -> None:
        """One entry for all of a loop, with blocks of `rows` rows as tasks."""
        exe, count = self.exe, self.exe.size(self.plan.row_loops[node])
        loop = RowLoop(exe.size(node.attrs["length"]), -(-count // rows))
        moving: list[tuple[int, Place, int]] = []
        parts: list[int] = []
        scratch = 0
        for inner in node.regions[0].nodes:
            kernel = self.program.kernels.get(inner)
            if kernel is None:
                continue
            pointers, places = self._pointers(inner, kernel)
            (dims,) = self._sizes(kernel, rows)
            parts.append(self.builder.part())
            first = loop.call(self.program.functions[inner], pointers, dims, parts[-1])
            values = [*inner.operands, *inner.results]
            moving += [(first + k, places[k], itemsize(value.dtype)) for k, value in enumerate(values)]
            self.nodes[parts[-1]] = inner
            self.row_blocks[inner] = rows, loop.blocks
            scratch = max(scratch, quantity(kernel.scratch, exe.size, rows))
        for copy in self.plan.copies_in_loop.get(node, []):
            size = exe.size(copy.bytes)
            loop.carry(*self._ends(copy), size // count * rows, size)
        self.scratch = max(self.scratch, loop.skip + scratch)
        loop.close()
        for place, where, size in moving:
            self._move_rows(loop, node, place, where, size)
        self.parts[self.builder.rows(loop, parallel=self._shared(loop.blocks))] = parts

    def _move_rows(self, loop: RowLoop, node: Node, place: int, where: Place, size: int) -> None:
        """Let a pointer of a kernel move with its own loop, and its start with the loops around that."""
        own = [walk for walk in where.walks if walk.loop is node]
        around = tuple(walk for walk in where.walks if walk.loop is not node)
        for walk in own:
            loop.start[place] += self.exe.size(walk.start) * size
            loop.move(place, self.exe.size(walk.step) * size)
        self._move(loop.start.ctypes.data + 8 * place, int(loop.start[place]), replace(where, walks=around), size)
