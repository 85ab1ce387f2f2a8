"""What emission gives for one kernel of a schedule: source, sizes, tasks and memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kgraph.codegen.cpu.writer import CeilDiv, Group, Quantity, Writer
from kgraph.codegen.loops import Affine, BufferRef, Layout, Tracer, contiguous, loop_index
from kgraph.config import Convolution
from kgraph.ir.dims import DimLike, Shape
from kgraph.ir.graph import Graph, Node, Value

__all__ = ["Domain", "EmittedKernel", "KernelContext", "Phase", "Temporary", "chunked"]

GRAIN = 16384
"""Elements of elementwise work in a task: 5 to 20 microseconds, well above the cost of handing it to a thread."""
EVEN_TASKS = 8
"""Tasks from which one more or less for a thread does not matter."""
LINE = 64
"""Elements that tasks of a flat loop begin at a multiple of: whole cache lines, and whole vectors."""
SCALAR = 16
"""Elements of the widest vector: a loop of fewer turns is not vector code."""


@dataclass(frozen=True)
class Temporary:
    """Memory that lives for one kernel: element type and number of elements."""

    dtype: str
    volume: Quantity


@dataclass(frozen=True)
class Phase:
    """One call of the kernel: with `dims[0] = number`, over `tasks` tasks."""

    number: int
    tasks: Quantity


@dataclass
class EmittedKernel:
    """Source and launch data of a kernel.

    Attributes:
        name: name in the schedule.
        source: canonical Python text of `def kernel(ptrs, dims, begin, end, scratch)`.
        sizes: what the `dims` table holds, after the phase number at place 0.
        phases: the calls that make up the kernel, in order.
        scratch: bytes of scratch per thread.
        temporaries: buffers after operands and results in `ptrs`.
        rows: where a task may be a block of so many rows of all results (axis 0): their number; see `CeilDiv.by_rows`.
        header: comment lines with layers and shapes, for people; not part of what is compiled.
    """

    name: str
    source: str
    sizes: list[Quantity]
    phases: list[Phase]
    scratch: Quantity = 0
    temporaries: list[Temporary] = field(default_factory=list)
    rows: DimLike | None = None
    header: str = ""


class Domain:
    """Loops over a shape; axes of size 1 have none."""

    def __init__(self, shape: Shape, first: int = 0) -> None:
        self.shape = shape
        self.axis_loop: dict[int, int] = {}
        index: list[Affine] = []
        for axis, dim in enumerate(shape):
            if dim == 1:
                index.append(Affine())
            else:
                loop = first + len(self.axis_loop)
                self.axis_loop[axis] = loop
                index.append(loop_index(loop))
        self.index: tuple[Affine, ...] = tuple(index)

    def groups(self, axes: Sequence[int], affines: Sequence[Affine], prefix: str) -> list[Group]:
        """Loops over `axes`, outermost first, neighbours merged where every index in use allows it."""
        groups: list[Group] = []
        for axis in axes:
            loop = self.axis_loop.get(axis)
            if loop is None:
                continue
            extent = self.shape[axis]
            if groups and all(_even(a, groups[-1].loops[-1], loop, extent) for a in affines):
                groups[-1].loops.append(loop)
                groups[-1].extent = groups[-1].extent * extent
            else:
                groups.append(Group([loop], extent, f"{prefix}{len(groups)}"))
        return groups


def _even(index: Affine, outer: int, inner: int, extent: DimLike) -> bool:
    return index.factor(outer) == index.factor(inner) * extent


class KernelContext:
    """The region of a kernel and where its operands and results lie.

    Args:
        node: the `kernel` node.
        layouts: strides of operands and results that are not row-major.
        shared: for results that take over an operand's memory, the operand's position.
    """

    def __init__(self, node: Node, layouts: Mapping[Value, Layout], shared: Mapping[int, int]) -> None:
        self.node = node
        self.region: Graph = node.regions[0]
        self.writer = Writer()
        self.temporaries: list[Temporary] = []
        self.convolution: Convolution = "auto"
        self.in_place: set[int] = set()  # operands of a concatenation that lie in its result already
        self.rows: DimLike | None = None  # see `EmittedKernel`
        self.count = len(node.operands) + len(node.results)
        self.operands: dict[Value, BufferRef] = {}
        for position, (inner, outer) in enumerate(zip(self.region.inputs, node.operands, strict=True)):
            layout = layouts.get(outer) or contiguous(outer.shape)
            self.operands[inner] = BufferRef(position, outer.dtype, layout)
            self.writer.scopes[position] = position
        self.results: list[BufferRef] = []
        for number, result in enumerate(node.results):
            # One pointer for memory that is read and written: LLVM then sees that iterations do not depend on each
            # other, where two equal pointers would fail its overlap check and run the scalar loop.
            position = shared.get(number, len(node.operands) + number)
            layout = layouts.get(result) or contiguous(result.shape)
            self.results.append(BufferRef(position, result.dtype, layout))
            self.writer.scopes[position] = position

    def temporary(self, dtype: str, volume: Quantity, layout: Layout) -> BufferRef:
        """A further buffer for the time of this kernel."""
        position = self.count + len(self.temporaries)
        self.temporaries.append(Temporary(dtype, volume))
        self.writer.scopes[position] = position
        return BufferRef(position, dtype, layout)

    def tracer(
        self, extra: Mapping[Value, BufferRef] | None = None, folds: Mapping[Value, int] | None = None
    ) -> Tracer:
        """A tracer over the region."""
        return Tracer(self.region, {**self.operands, **(extra or {})}, folds or {})

    def finish(self, phases: Sequence[Phase], scratch: Quantity = 0) -> EmittedKernel:
        """Assemble the source."""
        w = self.writer
        head = ["def kernel(ptrs, dims, begin, end, scratch):"]
        used = set(_TABLE_NAME.findall("\n".join(w.lines)))
        pointers = [f"p{k}" for k in range(self.count + len(self.temporaries))]
        head += [f"    {name} = address(ptrs, {k})" for k, name in enumerate(pointers) if name in used]
        if any(phase.number for phase in phases):
            head.append("    phase = dim(dims, 0)")
        head += [f"    s{k} = dim(dims, {k + 1})" for k in range(len(w.sizes)) if f"s{k}" in used]
        head += [f"    {line}" for line in w.draws.head]
        return EmittedKernel(
            name=self.node.attrs["name"],
            source="\n".join(head + w.lines) + "\n",
            sizes=list(w.sizes),
            phases=list(phases),
            scratch=scratch,
            temporaries=self.temporaries,
            rows=self.rows,
            header=header_text(self.node),
        )


_TABLE_NAME = re.compile(r"\b[ps]\d+\b")  # of a pointer or a size


def header_text(node: Node) -> str:
    """What a person needs to know of a kernel: its layer, its family and shapes."""
    operands = ", ".join(str(value.type) for value in node.operands)
    results = ", ".join(str(value.type) for value in node.results)
    lines = [f"# {node.attrs['name']}: {node.attrs['family']} kernel ({operands}) -> ({results})"]
    layers = dict.fromkeys(inner.loc.layer for inner in node.regions[0].nodes if inner.loc.layer)
    if layers:
        lines.append("# layers: " + ", ".join(layers))
    for inner in node.regions[0].nodes:
        place = f"  # {inner.loc}" if str(inner.loc) else ""
        lines.append(f"#   {inner.op.name} -> {', '.join(str(v.type) for v in inner.results)}{place}")
    return "\n".join(lines) + "\n"


def chunked(
    rows: DimLike, per_row: DimLike, grain: int = GRAIN, *, folds: bool = False, blocks_of: DimLike | None = None
) -> tuple[CeilDiv, CeilDiv]:
    """(rows per task, number of tasks): at most about `grain` elements a task, whatever the number of threads.

    Tasks are about equal, and a few of them an even number, so that two threads have the same to do.

    folds: each row is a loop of its own, which runs element by element where the row is shorter than a vector.
    blocks_of: where a task may also be a block of these rows, each of which is as many of `rows`.
    """

    def chunk(evaluate: Callable[[DimLike], int]) -> int:
        size, count = max(1, evaluate(per_row)), evaluate(rows)
        most = max(1, grain // (size * SCALAR if folds and 1 < size < SCALAR else size))
        tasks = -(-count // most)
        if tasks <= 1:
            return most
        if tasks < EVEN_TASKS:
            tasks += tasks % 2
        share = -(-count // tasks)
        return min(most, -(-share // LINE) * LINE) if size == 1 else share

    def tasks(evaluate: Callable[[DimLike], int]) -> int:
        count = evaluate(rows)
        return -(-count // chunk(evaluate))

    def block(evaluate: Callable[[DimLike], int], count: int) -> int:
        return count * (evaluate(rows) // max(1, evaluate(1 if blocks_of is None else blocks_of)))

    label = f"{rows}|{per_row}|{grain}|{folds}" + ("" if blocks_of is None else f"|{blocks_of}")
    by_rows = None if blocks_of is None else block
    return CeilDiv(chunk, "chunk " + label, by_rows), CeilDiv(tasks, "tasks " + label)
