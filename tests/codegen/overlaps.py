"""What must hold for every memory plan, checked without the planner's own reasoning.

The checks walk the schedule and its plan as the driver would, with bytes of numbered buffers in place of numbers, so a value that
is overwritten before its last reader shows.
"""

from __future__ import annotations

from collections.abc import Mapping

from kgraph.codegen.memory import Arena, MemoryPlan, place_buffers, plan_memory
from kgraph.ir import Dim, Graph
from kgraph.ir.dims import DimLike


def size_of(dim: DimLike, dims: Mapping[str, int]) -> int:
    return dim.evaluate(dims) if isinstance(dim, Dim) else dim


def check_plan(schedule: Graph, dims: Mapping[str, int]) -> Arena:
    """Buffers that live at one time do not overlap; every value has a place inside its buffer."""
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
    check_places(plan)
    return arena


def check_places(plan: MemoryPlan) -> None:
    known = set(plan.buffers)
    for value, place in plan.places.items():
        assert place.buffer.kind != "arena" or place.buffer in known, f"{value!r} lies in a buffer that was dropped"
        assert len(place.layout) == value.type.rank
