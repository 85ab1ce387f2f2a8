"""The cut of convolutions into tasks: that it covers everything, is even, and changes no result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kgraph.codegen
from kgraph.codegen import CompileOptions
from kgraph.codegen.cpu import conv_tasks
from kgraph.codegen.cpu.conv_tasks import TASK_TERMS, CutSizes, best_cut
from kgraph.codegen.cpu.pool import get_num_threads, set_num_threads
from tests.numeric.sheet import Sheet

sizes = st.builds(
    CutSizes,
    images=st.integers(0, 70),
    rows=st.integers(0, 230),
    width=st.integers(0, 230),
    columns=st.integers(0, 2100),
    terms=st.integers(0, 4700),
    product=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(sizes, st.sampled_from([0, 1, 56]))
def test_pieces_cover_everything_once(drawn: CutSizes, least: int) -> None:
    cut = best_cut(drawn, least)
    assert cut.bands * cut.rows >= drawn.rows > (cut.bands - 1) * cut.rows or not drawn.rows
    assert cut.blocks * cut.columns >= drawn.columns > (cut.blocks - 1) * cut.columns or not drawn.columns
    assert cut.images == 1 or cut.bands == 1, "whole images only go together"
    assert drawn.columns <= 1 or drawn.columns % cut.columns != 1, "a single column would be summed in another order"
    groups = max(1, -(-drawn.images // cut.images))
    assert cut.tasks == groups * cut.bands * cut.blocks
    volume = drawn.images * drawn.rows * drawn.width * drawn.columns * drawn.terms
    assert cut.tasks == 1 or volume >= cut.tasks * TASK_TERMS, "a task is worth handing out"
    assert cut.blocks == 1 or (not least and cut.columns % conv_tasks.COLUMNS == 0)


@pytest.mark.parametrize(
    "drawn",
    [
        CutSizes(1, 7, 7, 2048, 512, True),
        CutSizes(1, 14, 14, 256, 1024, True),
        CutSizes(1, 56, 56, 64, 64, True),
        CutSizes(8, 7, 7, 512, 2048, True),
        CutSizes(1, 112, 112, 64, 147, False),
        CutSizes(3, 14, 14, 256, 1024, True),
    ],
    ids=str,
)
def test_two_threads_get_equal_shares(drawn: CutSizes) -> None:
    assert best_cut(drawn).tasks % 2 == 0


def test_few_pixels_are_cut_by_channels() -> None:
    """Bands would each read all of the weights, which are large."""
    assert best_cut(CutSizes(1, 7, 7, 2048, 512, True)).bands == 1
    assert best_cut(CutSizes(8, 56, 56, 64, 64, True)).blocks == 1


# ----------------------------------------------------------------------------------------------------------------------
# Kernels


@pytest.fixture
def _small_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut small pictures as if they were large."""
    monkeypatch.setattr(conv_tasks, "TASK_TERMS", 1)
    monkeypatch.setattr(conv_tasks, "START", 0)
    best_cut.cache_clear()
    yield
    best_cut.cache_clear()


def layers(dtype: str = "f32") -> Sheet:
    """Convolutions of many kinds, each followed by work that reads a value for each channel and for each pixel."""
    s = Sheet("layers")
    b = s.b
    kinds: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
        ("one pixel", (1, 1, 9, 70), {}),
        ("one pixel, strides", (1, 1, 9, 33), {"strides": (2, 3)}),
        ("one pixel, groups", (1, 1, 3, 6), {"groups": 3}),
        ("rows", (3, 2, 9, 97), {"padding": ((1, 1), (0, 1))}),
        ("strides", (3, 3, 9, 40), {"strides": (2, 2), "padding": ((0, 1), (0, 1))}),
        ("dilation", (2, 2, 9, 65), {"dilation": (2, 1)}),
        ("few channels", (2, 2, 9, 1), {}),
    ]
    x = s.input(f"{dtype}[B, 6, 5, 9]")
    for label, shape, attrs in kinds:
        w = s.param(f"{dtype}[{', '.join(map(str, shape))}]")
        y = b.conv2d(x, w, **attrs)
        bias, other = s.param(f"{dtype}[{shape[3]}]"), s.input(f"{dtype}[{', '.join(map(str, y.shape))}]")
        s.out(label, b.add(b.relu(b.add(y, bias)), other), "sum")
        s.out(label + ", weight gradient", b.conv2d_kernel_grad(x, other, kernel_shape=w.shape, **attrs), "sum")
    return s


@pytest.mark.usefixtures("_small_tasks")
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_cut_kernels_against_the_interpreter(dtype: str) -> None:
    layers(dtype).check()


@pytest.fixture
def _threads_as_before() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.usefixtures("_small_tasks", "_threads_as_before")
def test_threads_do_not_change_a_bit() -> None:
    made = layers()
    program = kgraph.codegen.compile(made.graph, options=CompileOptions())
    arrays = made.arrays({"B": 5})
    found = []
    for threads in (1, 2, 3, 8):
        set_num_threads(threads)
        exe = program.bind({"B": 5}, {value.name: arrays[value.name] for value in made.graph.params})
        for value in made.graph.inputs:
            exe.input(value.name)[...] = arrays[value.name]
        exe.run()
        found.append([exe.output(k).tobytes() for k in range(len(made.graph.outputs))])
    assert all(each == found[0] for each in found)


def test_the_way_of_a_convolution_by_winograd_is_named() -> None:
    """One kernel for both ways; the report says which one it takes at the sizes in question."""
    s = Sheet("ways")
    s.out("y", s.b.conv2d(s.input("f32[B, 16, 16, 64]"), s.param("f32[3, 3, 64, 64]")), "sum")
    program = kgraph.codegen.compile(s.graph)
    weights = {param.name: np.zeros((3, 3, 64, 64), "f4") for param in s.graph.params}
    ways = [program.bind({"B": size}, weights).launches()[0].variant for size in (1, 64)]
    assert ways == ["winograd, few tiles", "winograd"]
