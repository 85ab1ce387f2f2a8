"""The static memory plan: where every value of a schedule lies.

`plan_memory` decides what does not depend on sizes: which values share a buffer (free reshapes, results that take
over an operand, pieces of a concatenation, slices of a loop, params updated in place) and for how long each buffer
lives.  `place_buffers` then gives every buffer an offset in one arena, for given sizes.  Invariant: two buffers that
are alive at one time do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kgraph.codegen.loop_rows import independent_rows
from kgraph.codegen.loops import Layout, contiguous
from kgraph.ir.dims import DimLike
from kgraph.ir.graph import Graph, Node, Value
from kgraph.ir.opdef import ELEMENTWISE
from kgraph.ir.types import itemsize

__all__ = [
    "ALIGNMENT",
    "Arena",
    "Buffer",
    "MemoryPlan",
    "Place",
    "describe",
    "elementwise_reads",
    "place_buffers",
    "plan_memory",
]

ALIGNMENT = 64
_PIECES = frozenset({"map", "rows", "cols", "gemm", "conv"})  # families that can write into a strided place
_STRIDED_READERS = frozenset({"map", "rows", "cols", "gemm", "concat"})


@dataclass(eq=False)
class Buffer:
    """A stretch of memory: one of the arena's, an input's or a param's.

    Attributes:
        kind: arena, input, param, constant.
        name: of the input or param.
        bytes: size.
        first, last: positions of the first write and the last read.
    """

    kind: str
    name: str
    bytes: DimLike
    first: int = 0
    last: int = 0
    index: int = -1


@dataclass(frozen=True)
class Place:
    """Where a value lies: in which buffer, from which element, with which strides (in elements)."""

    buffer: Buffer
    offset: DimLike
    layout: Layout
    walks: tuple[Walk, ...] = ()


@dataclass(frozen=True)
class Walk:
    """A loop moves this place: by `step` elements per turn, from `start` on."""

    loop: Node
    start: DimLike
    step: DimLike


@dataclass
class Copy:
    """Bytes copied between kernels: (target, source, when)."""

    target: Place
    source: Place
    bytes: DimLike


@dataclass
class MemoryPlan:
    """The plan of a schedule and of the loop bodies in it."""

    places: dict[Value, Place] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    takes_over: dict[Node, dict[int, int]] = field(default_factory=dict)  # kernel -> result number -> operand number
    copies_after: dict[Node | None, list[Copy]] = field(default_factory=dict)  # None: at the end of the program
    copies_before: dict[Node, list[Copy]] = field(default_factory=dict)
    copies_in_loop: dict[Node, list[Copy]] = field(default_factory=dict)  # at the end of each turn
    written_in_place: dict[Node, set[Value]] = field(default_factory=dict)  # concatenation -> pieces in place
    kernel_position: dict[Node, int] = field(default_factory=dict)
    tenants: dict[Buffer, dict[Value, None]] = field(default_factory=dict)  # the values that lie in each buffer
    row_loops: dict[Node, DimLike] = field(default_factory=dict)  # loops whose rows may run apart -> number of rows
    row_spans: dict[Node, tuple[int, int]] = field(default_factory=dict)  # kernel of one -> life of its temporaries

    def put(self, value: Value, place: Place) -> None:
        """Give a value its place (or another one)."""
        old = self.places.get(value)
        if old is not None:
            self.tenants[old.buffer].pop(value, None)
        self.places[value] = place
        self.tenants.setdefault(place.buffer, {})[value] = None

    def layouts(self) -> dict[Value, Layout]:
        """Strides of the values that are not row-major."""
        return {v: p.layout for v, p in self.places.items() if p.layout != contiguous(v.shape)}


def elementwise_reads(kernel: Node, position: int) -> bool:
    """Whether a kernel reads operand `position` only at the very element that it is writing.

    The elementwise work after a product's tile is such a reader; the product itself reads whole rows and columns.
    """
    if kernel.attrs["family"] not in ("map", "gemm"):
        return False
    region = kernel.regions[0]
    argument = region.inputs[position]
    domain = region.outputs[0].shape
    if argument.shape != domain or argument in region.outputs:
        return False
    full = {argument}
    for node in region.nodes:
        if not any(value in full for value in node.operands):
            continue
        if ELEMENTWISE not in node.op.traits or node.results[0].shape != domain:
            return False
        full.update(node.results)
    return True


def plan_memory(graph: Graph) -> MemoryPlan:
    """Plan a schedule; see the module text."""
    plan = MemoryPlan()
    planner = _Planner(plan)
    for kind, values in (("input", graph.inputs), ("param", graph.params)):
        for value in values:
            buffer = Buffer(kind, value.name, value.type.volume * itemsize(value.dtype))
            plan.put(value, Place(buffer, 0, contiguous(value.shape)))
    planner.expect(value for _, value in graph.updates)
    planner.walk(graph)
    planner.updates(graph)
    planner.close()
    return plan


class _Planner:
    def __init__(self, plan: MemoryPlan) -> None:
        self.plan = plan
        self.position = 0
        self.readers: dict[Buffer, list[tuple[int, Node | None, Value]]] = {}
        self._homebound: set[Value] = set()  # new values of params and states, which go where the old ones lie
        self._pinned: set[Buffer] = set()  # of concatenations: their pieces are not operands to take over

    # -- bookkeeping --------------------------------------------------------------------------------------------------
    def _new(self, value: Value) -> Place:
        buffer = Buffer("arena", "", value.type.volume * itemsize(value.dtype), self.position, self.position)
        buffer.index = len(self.plan.buffers)
        self.plan.buffers.append(buffer)
        return Place(buffer, 0, contiguous(value.shape))

    def _touch(self, place: Place, node: Node | None, value: Value) -> None:
        place.buffer.last = max(place.buffer.last, self.position)
        self.readers.setdefault(place.buffer, []).append((self.position, node, value))

    def expect(self, values: Iterable[Value]) -> None:
        """These values replace a param or a state; they take over no other memory."""
        self._homebound.update(values)

    # -- walking ------------------------------------------------------------------------------------------------------
    def walk(self, graph: Graph) -> None:
        """Place every value of a (nested) schedule in program order."""
        uses = _last_readers(graph)
        self._pieces_of(graph)
        for number, node in enumerate(graph.nodes):
            if node.op.name == "reshape":
                self._alias(node)
            elif node.op.name == "constant":
                buffer = Buffer("constant", "", node.results[0].type.volume * itemsize(node.results[0].dtype))
                self.plan.put(node.results[0], Place(buffer, 0, contiguous(node.results[0].shape)))
            elif node.op.name == "scan":
                self._loop(node)
            else:
                self._kernel(node, number, uses)
        for value in graph.outputs:
            place = self.plan.places.get(value)
            if place is not None:
                place.buffer.last = max(place.buffer.last, self.position + 1)

    def _alias(self, node: Node) -> None:
        place = self.plan.places[node.operands[0]]
        result = node.results[0]
        self.plan.put(result, Place(place.buffer, place.offset, contiguous(result.shape), place.walks))

    def _kernel(self, node: Node, number: int, uses: dict[Value, int]) -> None:
        self.position += 1
        self.plan.kernel_position[node] = self.position
        for value in node.operands:
            self._touch(self.plan.places[value], node, value)
        for position, value in enumerate(node.results):
            place = self.plan.places.get(value)
            if place is None:
                taken = None if value in self._homebound else self._take_over(node, position, number, uses)
                place = taken or self._new(value)
                self.plan.put(value, place)
            elif place.buffer.kind == "arena" and place.buffer.index < 0:
                self._open(place.buffer)
            place.buffer.last = max(place.buffer.last, self.position)

    def _open(self, buffer: Buffer) -> None:
        buffer.index = len(self.plan.buffers)
        buffer.first = buffer.last = self.position
        self.plan.buffers.append(buffer)

    def _take_over(self, node: Node, result: int, number: int, uses: dict[Value, int]) -> Place | None:
        """The place of an operand that dies here and is read only at the element being written.

        Products take over none: they write their raw sums straight into the memory of a result.
        """
        if node.attrs["family"] != "map":
            return None
        value = node.results[result]
        taken = self.plan.takes_over.setdefault(node, {})
        for position, operand in enumerate(node.operands):
            place = self.plan.places[operand]
            free = (
                place.buffer.kind == "arena"
                and not place.walks
                and operand.type == value.type
                and place.layout == contiguous(value.shape)
                and place.buffer.bytes == value.type.volume * itemsize(value.dtype)
                and position not in taken.values()
                and place.buffer not in self._pinned
            )
            if free and self._dies(place.buffer, number, uses) and self._reads_elementwise(node, place.buffer):
                taken[result] = position
                return place
        return None

    def _reads_elementwise(self, node: Node, buffer: Buffer) -> bool:
        """Whether a kernel reads a buffer, under whatever shapes, only at the element that it is writing."""
        spots = [k for k, operand in enumerate(node.operands) if self.plan.places[operand].buffer is buffer]
        return all(elementwise_reads(node, k) for k in spots)

    def _dies(self, buffer: Buffer, number: int, uses: dict[Value, int]) -> bool:
        """Whether nothing of this graph level reads the buffer after node `number`."""
        return all(uses.get(value, -1) <= number for value in self.plan.tenants[buffer])

    # -- concatenations -----------------------------------------------------------------------------------------------
    def _pieces_of(self, graph: Graph) -> None:
        """Let the operands of a concatenation be computed where they end up."""
        required = set(graph.required())
        aliased = {node.operands[0] for node in graph.nodes if node.op.name == "reshape"}
        for node in graph.nodes:
            if node.op.name != "kernel" or node.attrs["family"] != "concat":
                continue
            result = node.results[0]
            inner = node.regions[0].outputs[0].producer
            assert inner is not None
            whole = self.plan.places.get(result)  # a step output of a loop has its place already
            if whole is None:
                buffer = Buffer("arena", "", result.type.volume * itemsize(result.dtype))
                whole = Place(buffer, 0, contiguous(result.shape))
                self.plan.put(result, whole)
            self._pinned.add(whole.buffer)
            axis = inner.attrs["axis"] % result.type.rank
            offset: DimLike = 0
            for argument in inner.operands:
                operand = node.operands[node.regions[0].inputs.index(argument)]
                if self._can_be_piece(operand, required, aliased):
                    start = whole.offset + offset * whole.layout[axis]
                    self.plan.put(operand, Place(whole.buffer, start, whole.layout, whole.walks))
                    self.plan.written_in_place.setdefault(node, set()).add(operand)
                offset = offset + operand.shape[axis]

    def _can_be_piece(self, operand: Value, required: set[Value], aliased: set[Value]) -> bool:
        producer = operand.producer
        if producer is None or producer.op.name != "kernel" or producer.attrs["family"] not in _PIECES:
            return False
        if operand in required or operand in aliased or operand in self.plan.places:
            return False
        return all(user.op.name == "kernel" and user.attrs["family"] in _STRIDED_READERS for user in operand.uses)

    # -- loops --------------------------------------------------------------------------------------------------------
    def _loop(self, node: Node) -> None:
        plan, body = self.plan, node.regions[0]
        inits, sequences, axis = node.attrs["inits"], node.attrs["sequences"], node.attrs["axis"]
        self.position += 1
        for value in node.operands:
            self._touch(plan.places[value], node, value)
        for value in node.results:
            plan.put(value, self._new(value))
        begin = self.position
        for number, argument in enumerate(body.inputs):
            outer = node.operands[number]
            if number < inits:
                state = plan.places[node.results[number]]
                plan.put(argument, state)
                volume = outer.type.volume * itemsize(outer.dtype)
                plan.copies_before.setdefault(node, []).append(Copy(state, plan.places[outer], volume))
            elif number < inits + sequences:
                plan.put(argument, _slice_place(plan.places[outer], node, axis))
            else:
                plan.put(argument, plan.places[outer])
        for value, result in zip(body.outputs[inits:], node.results[inits:], strict=True):
            plan.put(value, _slice_place(plan.places[result], node, axis))
        # What every turn starts from is not free memory for the values of a turn.
        held = {plan.places[value].buffer for value in (*body.inputs, *body.outputs) if value in plan.places}
        pinned, self._pinned = self._pinned, self._pinned | held
        self.expect(body.outputs[:inits])
        opened = len(plan.buffers)
        self.walk(body)
        self._pinned = pinned
        self._states(node, begin)
        self.position += 1
        for value in (*node.operands, *node.results):
            plan.places[value].buffer.last = max(plan.places[value].buffer.last, self.position)
        self._rows_apart(node, begin, opened)

    def _rows_apart(self, loop: Node, begin: int, opened: int) -> None:
        """Where one row may be at the end of a turn while another is at its start, no two values of a turn share
        memory, except as rows of equal size.

        Args:
            loop: the loop that was just planned.
            begin: its position.
            opened: number of buffers before its body.
        """
        rows = independent_rows(loop)
        if rows is None:
            return
        self.plan.row_loops[loop] = rows
        for buffer in self.plan.buffers[opened:]:
            buffer.first, buffer.last = begin, max(buffer.last, self.position)
        self.plan.row_spans.update((node, (begin, self.position)) for node in loop.regions[0].nodes)

    def _states(self, node: Node, begin: int) -> None:
        """Write new states over the old: at once where nothing reads the old one later, else at the turn's end."""
        plan, body = self.plan, node.regions[0]
        for value, argument in zip(body.outputs[: node.attrs["inits"]], body.inputs, strict=False):
            producer = value.producer
            assert producer is not None
            state, fresh = plan.places[argument], plan.places[value]
            if (
                self._may_overwrite(producer, state, begin)
                and fresh.buffer.kind == "arena"
                and not _shared(plan, value)
            ):
                _drop_buffer(plan, fresh.buffer)
                plan.put(value, state)
                self._note_shared(producer, value, state)
            else:
                fresh.buffer.last = max(fresh.buffer.last, self.position + 1)
                volume = value.type.volume * itemsize(value.dtype)
                plan.copies_in_loop.setdefault(node, []).append(Copy(state, fresh, volume))

    def _may_overwrite(self, producer: Node, old: Place, begin: int) -> bool:
        """Whether `producer` may write over `old`: no later reader, and itself no reader of other elements."""
        written = self.plan.kernel_position.get(producer)
        if written is None or producer.attrs["family"] not in ("map", *_PIECES):
            return False
        for position, reader, value in self.readers.get(old.buffer, []):
            if position < begin:
                continue
            if position > written:
                return False
            if reader is producer:
                spots = [k for k, operand in enumerate(producer.operands) if operand is value]
                if not all(elementwise_reads(producer, k) for k in spots):
                    return False
        return True

    def _note_shared(self, producer: Node, value: Value, place: Place) -> None:
        """Record that a result lies where an operand lies, so that emission gives both one alias scope."""
        for k, operand in enumerate(producer.operands):
            if self.plan.places[operand].buffer is place.buffer:
                self.plan.takes_over.setdefault(producer, {})[value.index] = k

    # -- params -------------------------------------------------------------------------------------------------------
    def updates(self, graph: Graph) -> None:
        """Write new values of params in place where every read of the old value is done, else copy them at the end."""
        plan = self.plan
        for param, value in graph.updates:
            producer = value.producer
            assert producer is not None
            old, fresh = plan.places[param], plan.places[value]
            simple = (
                fresh.buffer.kind == "arena" and fresh.layout == contiguous(value.shape) and not _shared(plan, value)
            )
            if simple and not value.uses and self._may_overwrite(producer, old, 0):
                _drop_buffer(plan, fresh.buffer)
                plan.takes_over.get(producer, {}).pop(value.index, None)
                plan.put(value, old)
                self._note_shared(producer, value, old)
            else:
                fresh.buffer.last = self.position + 1
                volume = value.type.volume * itemsize(value.dtype)
                plan.copies_after.setdefault(None, []).append(Copy(old, fresh, volume))

    def close(self) -> None:
        """Number the buffers that are left."""
        for index, buffer in enumerate(self.plan.buffers):
            buffer.index = index


def _shared(plan: MemoryPlan, value: Value) -> bool:
    """Whether another value lies in the buffer of `value`."""
    return len(plan.tenants[plan.places[value].buffer]) > 1


def _drop_buffer(plan: MemoryPlan, buffer: Buffer) -> None:
    plan.buffers = [kept for kept in plan.buffers if kept is not buffer]


def _slice_place(whole: Place, loop: Node, axis: int) -> Place:
    stride, length = whole.layout[axis], loop.attrs["length"]
    layout = whole.layout[:axis] + whole.layout[axis + 1 :]
    backward = loop.attrs["reverse"]
    start: DimLike = (length + -1) * stride if backward else 0
    return Place(
        whole.buffer, whole.offset, layout, (*whole.walks, Walk(loop, start, stride * (-1 if backward else 1)))
    )


def _last_readers(graph: Graph) -> dict[Value, int]:
    """Value -> number of the last node of this level that reads it (a result of the graph is read at the end)."""
    last: dict[Value, int] = {}
    for number, node in enumerate(graph.nodes):
        for value in node.operands:
            last[value] = number
    for value in graph.required():
        last[value] = len(graph.nodes)
    return last


# -- offsets --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Arena:
    """Offsets in bytes for given sizes, the arena's size, and the largest sum of live bytes (a lower bound)."""

    offsets: list[int]
    bytes: int
    bound: int


def place_buffers(spans: Sequence[tuple[int, int, int]]) -> Arena:
    """Give each buffer (bytes, first, last) an offset: largest first, at the lowest place that is free for all its
    life.

    Greedy by size, after Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference (2020).
    """
    count = len(spans)
    sizes = [-(-size // ALIGNMENT) * ALIGNMENT for size, _, _ in spans]
    order = sorted(range(count), key=lambda k: (-sizes[k], spans[k][1], k))
    offsets = [0] * count
    first = np.array([span[1] for span in spans], np.int64)
    last = np.array([span[2] for span in spans], np.int64)
    placed = np.zeros(count, bool)
    total = 0
    for k in order:
        rivals = np.nonzero(placed & (first <= last[k]) & (last >= first[k]))[0]
        offset = 0
        for low, high in sorted((offsets[r], offsets[r] + sizes[r]) for r in rivals.tolist()):
            if low - offset >= sizes[k]:
                break
            offset = max(offset, high)
        offsets[k] = offset
        placed[k] = True
        total = max(total, offset + sizes[k])
    return Arena(offsets, total, _live_bound(sizes, spans))


def describe(plan: MemoryPlan, names: Mapping[Node, str], arena: Arena | None = None) -> str:
    """The plan as text: each buffer of the arena with its size, its life in kernel positions, and what lies in it.

    Args:
        plan: of a schedule.
        names: names of the kernels.
        arena: offsets for given sizes; without it only what holds for all sizes is written.
    """
    position = {at: names[node] for node, at in plan.kernel_position.items()}
    head = [f"{at:>4}  {name}" for at, name in sorted(position.items())]
    lines = ["kernels by position:", *head, "buffers:"]
    for index, buffer in enumerate(plan.buffers):
        tenants = ", ".join(str(value.type) for value in plan.tenants.get(buffer, {}))
        at = f" at {arena.offsets[index]}" if arena else ""
        lines.append(f"  b{index}{at}: {buffer.bytes} bytes, live {buffer.first}..{buffer.last}: {tenants}")
    if arena:
        lines.append(f"arena {arena.bytes} bytes; most bytes live at one time {arena.bound}")
    return "\n".join(lines)


def _live_bound(sizes: Iterable[int], spans: Sequence[tuple[int, int, int]]) -> int:
    steps: dict[int, int] = {}
    for size, (_, first, last) in zip(sizes, spans, strict=True):
        steps[first] = steps.get(first, 0) + size
        steps[last + 1] = steps.get(last + 1, 0) - size
    live = most = 0
    for position in sorted(steps):
        live += steps[position]
        most = max(most, live)
    return most
