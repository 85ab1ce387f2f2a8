"""The memory plan: nothing that lives overlaps, nothing is much larger than it must be, and what is shared may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgraph.codegen import compile
from kgraph.codegen.memory import ALIGNMENT, elementwise_reads, place_buffers, plan_memory
from kgraph.ir import Graph, Node, parse
from tests.codegen.overlaps import check_plan, check_shared, check_values_survive
from tests.numeric.models import MODELS

DIMS = {"B": 33, "T": 5}
TRAINING = [name for name in MODELS if name.endswith("_train")]


def schedule_of(name: str) -> Graph:
    graph: Graph = compile(MODELS[name]().graph).stages["schedule"]
    return graph


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 33])
def test_nothing_that_lives_overlaps(name: str, batch: int) -> None:
    check_plan(schedule_of(name), {**DIMS, "B": batch})


@pytest.mark.parametrize("name", MODELS)
def test_values_survive_until_their_last_reader(name: str) -> None:
    check_values_survive(schedule_of(name), DIMS)


@pytest.mark.parametrize("name", MODELS)
def test_results_take_over_only_what_dies(name: str) -> None:
    check_shared(schedule_of(name))


@pytest.mark.parametrize("name", TRAINING)
def test_arena_is_close_to_what_is_alive(name: str) -> None:
    arena = check_plan(schedule_of(name), {**DIMS, "B": 256})
    assert arena.bytes <= 1.1 * arena.bound


# -- placing ----------------------------------------------------------------------------------------------------------
SPANS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 20), st.integers(0, 8)), max_size=30)


@given(SPANS)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_placing_any_spans(drawn: list[tuple[int, int, int]]) -> None:
    spans = [(size, first, first + length) for size, first, length in drawn]
    arena = place_buffers(spans)
    assert arena.bound <= arena.bytes
    for k, (size, first, last) in enumerate(spans):
        assert arena.offsets[k] % ALIGNMENT == 0
        assert arena.offsets[k] + size <= arena.bytes
        for j, (other, begin, end) in enumerate(spans[:k]):
            apart = arena.offsets[k] + size <= arena.offsets[j] or arena.offsets[j] + other <= arena.offsets[k]
            assert apart or last < begin or end < first or not size or not other


def test_no_buffers() -> None:
    assert place_buffers([]).bytes == 0


def test_disjoint_lives_share_memory() -> None:
    arena = place_buffers([(640, 0, 1), (640, 2, 3), (640, 4, 5)])
    assert arena.offsets == [0, 0, 0]
    assert arena.bytes == 640


# -- sharing ----------------------------------------------------------------------------------------------------------
def kernel(text: str) -> Node:
    return parse(text).nodes[0]


def test_elementwise_reads() -> None:
    node = kernel(
        """kgraph 1
graph @g [B >= 1] stage(schedule) {
  inputs  %x: f32[B, 3], %y: f32[B, 3], %z: f32[3], %v: f32[B, 3]
  %0: f32[B, 3] = kernel(%x, %y, %z, %v) {family = map, name = k} body(
      %1: f32[B, 3], %2: f32[B, 3], %3: f32[3], %4: f32[B, 3]) {
    %5: f32[B, 3] = reverse(%2) {axes = [0]}
    %6: f32[B, 3] = add(%1, %5)
    %7: f32[B, 3] = mul(%6, %3)
    %8: f32[B, 3] = add(%7, %4)
    %9: f32[B, 3] = add(%8, %1)
    return %9
  }
  return %0
}
"""
    )
    assert [elementwise_reads(node, position) for position in range(4)] == [True, False, False, True]


@pytest.mark.parametrize("name", ["mlp_train", "momentum_train", "conv_train", "embedding_train"])
def test_params_are_updated_in_place(name: str) -> None:
    """Nothing is left to copy at the end of a step."""
    plan = plan_memory(schedule_of(name))
    assert not plan.copies_after.get(None)


def test_reordered_params_are_copied() -> None:
    """`w <- reverse(w)` cannot go over w."""
    plan = plan_memory(schedule_of("updates_in_place"))
    copied = [copy.target.buffer.name for copy in plan.copies_after[None]]
    reordered = next(
        p.name for p, v in schedule_of("updates_in_place").updates if "reverse" in v.producer.attrs["name"]
    )
    assert reordered in copied


def test_pieces_lie_in_their_concatenation() -> None:
    """A concatenation of computed pieces that nobody else needs costs nothing."""
    graph = parse(
        """kgraph 1
graph @g [B >= 1] {
  inputs  %x: f32[B, 3], %y: f32[B, 2]
  %0: f32[B, 3] = tanh(%x)
  %1: f32[B, 2] = exp(%y)
  %2: f32[B, 5] = concat(%0, %1) {axis = 1}
  %3: f32[5] = sum(%2) {axes = [0]}
  return %3
}
"""
    )
    program = compile(graph)
    assert sorted(node.attrs["family"] for node in program.kernels) == ["cols", "map", "map"]  # type: ignore[attr-defined]


def test_arena_of_an_executable_is_the_plan() -> None:
    program = compile(MODELS["mlp_train"]().graph)
    arrays = MODELS["mlp_train"]().arrays({"B": 8})
    exe = program.bind({"B": 8}, {v.name: arrays[v.name] for v in program.graph.params})
    assert exe._memory.nbytes == exe.arena.bytes  # type: ignore[attr-defined]
    assert exe._memory.ctypes.data % ALIGNMENT == 0  # type: ignore[attr-defined]
    assert all(exe.input(v.name).ctypes.data % ALIGNMENT == 0 for v in program.graph.inputs)
    assert np.all(exe.output(0) == 0)
