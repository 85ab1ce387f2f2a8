"""What must hold for every memory plan, checked without the planner's own reasoning."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kgraph.codegen.loops import Layout
from kgraph.codegen.memory import Arena, MemoryPlan, Place, elementwise_reads, place_buffers, plan_memory
from kgraph.ir import Dim, Graph, Node, Value
from kgraph.ir.dims import DimLike, evaluate_shape
from kgraph.ir.types import itemsize


def size_of(dim: DimLike, dims: Mapping[str, int]) -> int:
    return dim.evaluate(dims) if isinstance(dim, Dim) else dim


def check_plan(schedule: Graph, dims: Mapping[str, int]) -> Arena:
    """Buffers that live at one time do not overlap; every value lies inside its buffer."""
    plan = plan_memory(schedule)
    spans = [(size_of(buffer.bytes, dims), buffer.first, buffer.last) for buffer in plan.buffers]
    arena = place_buffers(spans)
    for k, (size, first, last) in enumerate(spans):
        assert first <= last
        assert 0 <= arena.offsets[k] and arena.offsets[k] + size <= arena.bytes
        for j in range(k):
            other, begin, end = spans[j]
            together = first <= end and begin <= last
            apart = arena.offsets[k] + size <= arena.offsets[j] or arena.offsets[j] + other <= arena.offsets[k]
            assert apart or not together or not size or not other, f"buffers {j} and {k} overlap"
    check_places(plan, dims)
    return arena


def check_places(plan: MemoryPlan, dims: Mapping[str, int]) -> None:
    known = set(plan.buffers)
    for value, place in plan.places.items():
        assert place.buffer.kind != "arena" or place.buffer in known, f"{value!r} lies in a buffer that was dropped"
        assert len(place.layout) == value.type.rank
        cells = element_offsets(value, place, dims)
        if cells.size:
            assert cells.min() >= 0
            assert (cells.max() + 1) * itemsize(value.dtype) <= size_of(place.buffer.bytes, dims)


def element_offsets(
    value: Value, place: Place, dims: Mapping[str, int], turns: Mapping[Node, int] | None = None
) -> np.ndarray:
    """Offset of each element in its buffer, in elements; where loops move the place, in the given turn of each."""
    offset = size_of(place.offset, dims)
    for walk in place.walks:
        turn = (turns or {}).get(walk.loop, 0)
        offset += size_of(walk.start, dims) + turn * size_of(walk.step, dims)
    shape = evaluate_shape(value.shape, dims)
    cells = np.full(shape, offset)
    for axis, stride in enumerate(_numbers(place.layout, dims)):
        steps = np.arange(shape[axis]) * stride
        cells += steps.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    return cells


def _numbers(layout: Layout, dims: Mapping[str, int]) -> list[int]:
    return [size_of(stride, dims) for stride in layout]


# -- running the plan on tags -----------------------------------------------------------------------------------------
class _Tags:
    """For every cell of every buffer, which value was written there last, and in which turn of the loops.

    Buffers are kept apart (their offsets are `check_plan`'s matter), so this finds what goes wrong inside them: results
    that take over an operand too early, states of loops, pieces, params.
    """

    def __init__(self, schedule: Graph, dims: Mapping[str, int]) -> None:
        self.plan, self.dims = plan_memory(schedule), dims
        self.cells: dict[int, np.ndarray] = {}
        self.turns: dict[Node, int] = {}
        self.content: dict[Value, int] = {}  # the tag of each value now
        self.names: list[str] = []

    def cells_of(self, place: Place, value: Value) -> tuple[np.ndarray, np.ndarray]:
        buffer = place.buffer
        count = max(1, size_of(buffer.bytes, self.dims) // itemsize(value.dtype))
        tags = self.cells.setdefault(id(buffer), np.full(count, -1))
        return tags, element_offsets(value, place, self.dims, self.turns)

    def write(self, value: Value, text: str = "") -> None:
        self.names.append(text or repr(value))
        self.content[value] = len(self.names) - 1
        tags, where = self.cells_of(self.plan.places[value], value)
        tags[where] = self.content[value]

    def read(self, value: Value, reader: str) -> None:
        if value not in self.content:
            return  # a slice of a sequence: written whole, before the loop
        tags, where = self.cells_of(self.plan.places[value], value)
        found = set(np.unique(tags[where]).tolist()) - {self.content[value]}
        assert not found, (
            f"{reader} reads {self.names[self.content[value]]}, but finds {[self.names[t] for t in found]}"
        )

    def alias(self, result: Value, source: Value) -> None:
        if source in self.content:
            self.content[result] = self.content[source]

    def run(self, graph: Graph) -> None:
        for node in graph.nodes:
            if node.op.name == "reshape":
                self.alias(node.results[0], node.operands[0])
            elif node.op.name == "constant":
                self.write(node.results[0])
            elif node.op.name == "scan":
                self.loop(node)
            else:
                self.kernel(node)

    def kernel(self, node: Node) -> None:
        for value in node.operands:
            self.read(value, node.attrs["name"])
        if node.attrs["family"] == "concat":
            # Pieces that lie in the result are the result: read them as parts of it.
            self.write(node.results[0], f"result of {node.attrs['name']}")
            for value in node.operands:
                if value in self.plan.written_in_place.get(node, ()):
                    tags, where = self.cells_of(self.plan.places[value], value)
                    self.content[value] = int(tags[where].flat[0]) if where.size else -1
            return
        for value in node.results:
            self.write(value, f"result {value.index} of {node.attrs['name']}")

    def loop(self, node: Node) -> None:
        body, inits = node.regions[0], node.attrs["inits"]
        for value in node.operands:
            self.read(value, "a loop")
        for number in range(inits):
            self.write(node.results[number], f"state {number}")
            self.content[body.inputs[number]] = self.content[node.results[number]]
        for argument, outer in zip(
            body.inputs[inits + node.attrs["sequences"] :], node.operands[inits + node.attrs["sequences"] :]
        ):
            self.alias(argument, outer)
        for turn in range(min(3, size_of(node.attrs["length"], self.dims))):
            self.turns[node] = turn
            self.run(body)
            for value in body.outputs:
                self.read(value, "the end of a turn")
            self.new_states(node)
        for value in node.results[inits:]:
            self.write(value, "what a loop stacked")

    def new_states(self, node: Node) -> None:
        body, inits = node.regions[0], node.attrs["inits"]
        for copy in self.plan.copies_in_loop.get(node, []):
            source = next(v for v in body.outputs[:inits] if self.plan.places[v] == copy.source)
            self.read(source, "a copy of states")
            number = next(k for k in range(inits) if self.plan.places[body.inputs[k]] == copy.target)
            if copy.source.buffer is not copy.target.buffer:
                self.write(node.results[number], f"state {number}")
        for number in range(inits):
            tags, where = self.cells_of(self.plan.places[node.results[number]], node.results[number])
            if where.size:
                self.content[node.results[number]] = self.content[body.inputs[number]] = int(tags[where].flat[0])


def check_values_survive(schedule: Graph, dims: Mapping[str, int]) -> None:
    """Every kernel finds what was written for it, also in later turns of loops; so do outputs and updates."""
    tags = _Tags(schedule, dims)
    for value in (*schedule.inputs, *schedule.params):
        tags.write(value, f"%{value.name}")
    tags.run(schedule)
    for value in schedule.outputs:
        tags.read(value, "the caller")
    for _, value in schedule.updates:
        tags.read(value, "an update")


def check_shared(schedule: Graph) -> None:
    """A result takes over an operand's memory only where each element is read before it is written."""
    plan = plan_memory(schedule)
    for node, taken in plan.takes_over.items():
        for result, operand in taken.items():
            ours, theirs = plan.places[node.results[result]], plan.places[node.operands[operand]]
            assert ours.buffer is theirs.buffer
            if node.attrs["family"] == "map":
                assert elementwise_reads(node, operand), node.attrs["name"]
