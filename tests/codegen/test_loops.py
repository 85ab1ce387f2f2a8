"""Expressions per element: index arithmetic, shared expressions, loop merging."""

from __future__ import annotations

import pytest

from kgraph.codegen.cpu.kernel import Domain, chunked
from kgraph.codegen.loops import Affine, BufferRef, Tracer, broadcast_index, contiguous, loop_index
from kgraph.ir import Builder, Dim, Graph, Value
from kgraph.ir.dims import DimLike
from tests.ir.evaluating import B, tensor


def traced(write: object, *types: str) -> tuple[Tracer, Value]:
    graph = Graph("body")
    b = Builder(graph)
    values = [graph.add_input(f"x{k}", tensor(type)) for k, type in enumerate(types)]
    value = write(b, *values)  # type: ignore[operator]
    buffers = {v: BufferRef(k, v.dtype, contiguous(v.shape)) for k, v in enumerate(values)}
    return Tracer(graph, buffers, {}), value


def address(tracer: Tracer, value: Value) -> Affine:
    found = tracer.element(value, Domain(value.shape).index)
    assert found.kind == "load"
    position = found.attrs[1]
    assert isinstance(position, Affine)
    return position


def test_contiguous() -> None:
    assert contiguous((2, 3, 4)) == (12, 4, 1)
    assert contiguous((B, 3)) == (3, 1)
    assert contiguous((2, B, 3)) == (3 * B, 3, 1)
    assert contiguous(()) == ()


def test_affine_arithmetic() -> None:
    i, j = loop_index(0), loop_index(1)
    assert i * 3 + j + 2 == j + 2 + i * 3
    assert (i + i * -1) == Affine()
    assert (i * B + 1) * 2 == i * (2 * B) + 2
    assert (i * 3 + j).factor(0) == 3
    assert hash(i + j) == hash(j + i)
    assert i != j


@pytest.mark.parametrize(
    ("write", "types", "expected"),
    [
        (lambda b, x: b.transpose(x, perm=(1, 0)), ["f32[B, 3]"], loop_index(0) + loop_index(1) * 3),
        (lambda b, x: b.reverse(x, axes=(1,)), ["f32[B, 3]"], loop_index(0) * 3 + loop_index(1) * -1 + 2),
        (lambda b, x: b.reverse(x, axes=(0,)), ["f32[B, 3]"], loop_index(0) * -3 + loop_index(1) + (3 * B - 3)),
        (lambda b, x: b.slice(x, starts=(0, 1), limits=(B, 3), strides=(1, 2)), ["f32[B, 3]"], loop_index(0) * 3 + 1),
        (lambda b, x: b.broadcast_to(x, shape=(B, 3)), ["f32[3]"], loop_index(1)),
        (lambda b, x: b.broadcast_to(x, shape=(B, 3)), ["f32[B, 1]"], loop_index(0)),
        (lambda b, x: b.reshape(x, shape=(B, 1, 3)), ["f32[B, 3]"], loop_index(0) * 3 + loop_index(1)),
        (lambda b, x: b.op("split", x, axis=1, sizes=(2, 1))[0], ["f32[B, 3]"], loop_index(0) * 3 + loop_index(1)),
    ],
)  # fmt: skip
def test_views_are_index_arithmetic(write: object, types: list[str], expected: Affine) -> None:
    tracer, value = traced(write, *types)
    assert address(tracer, value) == expected


def test_equal_expressions_are_one() -> None:
    tracer, value = traced(lambda b, x: b.add(b.exp(x), b.exp(x)), "f32[B, 3]")
    found = tracer.element(value, Domain(value.shape).index)
    assert found.args[0] is found.args[1]


def test_literals_of_different_kinds_are_kept_apart() -> None:
    tracer, _ = traced(lambda b, x: x, "f32[B]")
    assert tracer.literal(1, "f32") is not tracer.literal(True, "f32")
    assert tracer.literal(0.0, "f32") is not tracer.literal(-0.0, "f32")
    assert tracer.literal(1.0, "f32") is not tracer.literal(1.0, "f64")


def test_broadcast_index() -> None:
    index = (loop_index(0), loop_index(1))
    assert broadcast_index(index, (B, 3), (1, 3)) == (Affine(), loop_index(1))
    assert broadcast_index(index, (B, 3), (3,)) == (loop_index(1),)
    assert broadcast_index(index, (B, 3), ()) == ()


# -- loops ------------------------------------------------------------------------------------------------------------
def test_axes_of_size_1_have_no_loop() -> None:
    domain = Domain((B, 1, 3))
    assert domain.axis_loop == {0: 0, 2: 1}
    assert domain.index[1] == Affine()


def test_neighbours_merge_where_all_addresses_step_evenly() -> None:
    domain = Domain((B, 4, 3))
    i, j, k = domain.index
    whole = i * 12 + j * 3 + k
    (group,) = domain.groups(range(3), [whole, Affine()], "i")
    assert group.loops == [0, 1, 2]
    assert group.extent == 12 * B


def test_a_broadcast_row_keeps_its_loop() -> None:
    domain = Domain((B, 4, 3))
    i, j, k = domain.index
    groups = domain.groups(range(3), [i * 12 + j * 3 + k, k], "i")
    assert [group.loops for group in groups] == [[0, 1], [2]]
    assert [group.extent for group in groups] == [4 * B, 3]


def test_chunks_depend_on_sizes_only() -> None:
    """Equal tasks of at most ten rows."""
    rows, tasks = chunked(B, 100, 1000)
    for size in (1, 9, 10, 11, 25, 1000):

        def evaluate(dim: int | Dim, size: int = size) -> int:
            return dim.evaluate({"B": size}) if isinstance(dim, Dim) else dim

        share, count = rows.compute(evaluate), tasks.compute(evaluate)
        assert 1 <= share <= 10
        assert (count - 1) * share < size <= count * share


@pytest.mark.parametrize(("size", "expected"), [(16384, 1), (16385, 2), (40_000, 4), (50_176, 4), (200_000, 13)])
def test_chunks_are_about_equal(size: int, expected: int) -> None:
    """Flat loops begin at whole cache lines; few tasks are an even number."""
    rows, tasks = (part.compute(lambda dim: int(dim)) for part in chunked(size, 1))  # type: ignore[call-overload]
    assert tasks == expected and rows % 64 == 0
    assert tasks == 1 or rows - 64 < size / tasks <= rows


def test_short_rows_have_smaller_tasks() -> None:
    def evaluate(dim: DimLike) -> int:
        return dim.evaluate({"B": 128}) if isinstance(dim, Dim) else dim

    assert chunked(B, 10, 16384)[1].compute(evaluate) == 1
    assert chunked(B, 10, 16384, folds=True)[1].compute(evaluate) == 2  # scalar code: 16 times the work


def test_rows_larger_than_a_task_are_one_each() -> None:
    rows, tasks = chunked(5, 10**6, 1000)
    assert rows.compute(lambda dim: int(dim)) == 1  # type: ignore[call-overload]
    assert tasks.compute(lambda dim: int(dim)) == 5  # type: ignore[call-overload]
