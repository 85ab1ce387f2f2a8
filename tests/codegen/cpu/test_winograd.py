"""Winograd convolutions: the library against float64 sums, its kernels against the interpreter, and which get it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kgraph.codegen
from kgraph.codegen import CompileOptions
from kgraph.codegen.cpu import tilelib, winograd
from kgraph.codegen.cpu.objects import NativeModule, add_symbol, emit_object, load_object
from kgraph.codegen.cpu.pool import get_num_threads, set_num_threads
from kgraph.codegen.cpu.tiles import Vectors, host_vectors
from kgraph.codegen.cpu.winograd_kernels import winograd_pays
from tests.numeric.sheet import Sheet

Array = np.ndarray[Any, Any]
GUARD = 77.0
BOUND = 2e-6
"""Largest error relative to the largest element; that of the direct sum of 9 * 130 terms is about 1.5e-6."""


# ----------------------------------------------------------------------------------------------------------------------
# The library


class Library:
    """The functions of one register file, called through ctypes, with poisoned scratch that has a guard zone."""

    def __init__(self, module: NativeModule, rename: Callable[[str], str] = str) -> None:
        self.functions = {}
        for symbol, names in winograd.WINOGRAD_SYMBOLS.items():
            function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(names))
            self.functions[symbol] = function(module.address(rename(f"{symbol}_f32")))

    def call(self, symbol: str, **arguments: int) -> None:
        names = winograd.WINOGRAD_SYMBOLS[symbol]
        self.functions[symbol](*(int(arguments[name]) for name in names))

    def convolve(self, x: Array, w: Array, cuts: tuple[int, ...] = ()) -> Array:
        """The convolution, with bands of output rows that begin at the cuts."""
        images, h, v = x.shape[0], x.shape[1] - 2, x.shape[2] - 2
        c_in, c_out = w.shape[2:]
        blocks = winograd.forward_blocks(c_in, c_out)
        u = np.full(winograd.weight_volume(c_in, c_out), np.nan, np.float32)
        y = np.full((images + 1, h, v, c_out), GUARD, np.float32)
        sizes = shapes(x, y, c_in, c_out) | places(blocks)
        for row in range(0, c_in, 7):
            rows = {"row_begin": row, "row_end": min(row + 7, c_in)}
            self.call("kg_winograd_weights", w=w.ctypes.data, u=u.ctypes.data, **rows, **sizes)
        for top, bottom in zip((0, *cuts), (*cuts, h), strict=True):
            area = poisoned(blocks.bytes)
            pointers = {"x": x[:, top:].ctypes.data, "u": u.ctypes.data, "y": y[:, top:].ctypes.data}
            band = {"n_begin": 0, "n_end": images, "h_out": bottom - top, "scratch": area.ctypes.data}
            self.call("kg_winograd", **pointers, **{**sizes, **band})
            assert (area[-64:] == 0xFF).all(), "scratch was overrun"
        assert (y[images:] == GUARD).all()
        return y[:images]

    def convolve_few(self, x: Array, w: Array, columns: int) -> Array:
        """The convolution with all tiles transformed first, blocks of output channels by themselves."""
        images, h, v = x.shape[0], x.shape[1] - 2, x.shape[2] - 2
        c_in, c_out = w.shape[2:]
        tiles = images * -(-h // 2) * -(-v // 2)
        blocks = winograd.few_blocks(tiles, c_in, c_out)
        transformed = np.full(16 * blocks.plane, np.nan, np.float32)
        y = np.full((images + 1, h, v, c_out), GUARD, np.float32)
        sizes = shapes(x, y, c_in, c_out) | places(blocks) | {"chunk": winograd.few_chunk(tiles, c_in, c_out)}
        for first in range(0, tiles, 5):
            part = {"first": first, "last": min(first + 5, tiles)}
            self.call("kg_winograd_pixels", x=x.ctypes.data, v=transformed.ctypes.data, **part, **sizes)
        for low in range(0, c_out, columns):
            area = poisoned(blocks.bytes)
            pointers = {"v": transformed.ctypes.data, "w": w[..., low:].ctypes.data, "y": y[..., low:].ctypes.data}
            block = {"images": images, "c_out": min(columns, c_out - low), "scratch": area.ctypes.data}
            self.call("kg_winograd_few", **pointers, **{**sizes, **block})
            assert (area[-64:] == 0xFF).all(), "scratch was overrun"
        assert (y[images:] == GUARD).all()
        return y[:images]

    def gradient(self, x: Array, dy: Array, chunks: int = 1) -> Array:
        images, h, v, c_out = dy.shape
        c_in = x.shape[3]
        blocks = winograd.gradient_blocks(c_in, c_out)
        sizes = shapes(x, dy, c_in, c_out) | places(blocks) | {"chunks": chunks}
        u = np.full((chunks + 1, 16, c_in, c_out), np.nan, np.float32)
        u[chunks] = GUARD
        dw = np.full((3 * 3 * c_in * c_out + 8), GUARD, np.float32)
        tiles = images * -(-h // 2) * -(-v // 2)
        for task in reversed(range(4 * chunks)):
            area = poisoned(blocks.bytes)
            chunk, group = divmod(task, 4)
            part = {"first": chunk * tiles // chunks, "last": (chunk + 1) * tiles // chunks, "group": group}
            pointers = {"x": x.ctypes.data, "y": dy.ctypes.data, "u": u[chunk, 4 * group :].ctypes.data}
            self.call("kg_winograd_wgrad", **pointers, **part, **sizes, scratch=area.ctypes.data)
            assert (area[-64:] == 0xFF).all(), "scratch was overrun"
        for row in range(0, c_in, 5):
            rows = {"row_begin": row, "row_end": min(row + 5, c_in)}
            self.call("kg_winograd_sum", u=u.ctypes.data, w=dw.ctypes.data, **rows, **sizes)
        assert (u[chunks] == GUARD).all() and (dw[-8:] == GUARD).all()
        return dw[:-8].reshape(3, 3, c_in, c_out)


def poisoned(size: int) -> Array:
    """Aligned bytes that read as NaN, with a guard zone behind them."""
    raw = np.full(size + 128, 0xFF, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size + 64]


def shapes(x: Array, y: Array, c_in: int, c_out: int) -> dict[str, int]:
    found = {"h_out": y.shape[1], "w_out": y.shape[2], "c_in": c_in, "c_out": c_out}
    for name, array in (("x", x), ("y", y)):
        strides = (stride // 4 for stride in array.strides[:3])
        found |= dict(zip((f"{name}_image", f"{name}_row", f"{name}_pixel"), strides, strict=True))
    return found | {"w_in": c_out, "w_col": c_in * c_out, "w_row": 3 * c_in * c_out}


def places(blocks: winograd.Blocks) -> dict[str, int]:
    words = ("block", "v_row", "v_plane", "panel", "p_plane")
    return dict(zip(words, (blocks.tiles, blocks.row, blocks.plane, blocks.panel, blocks.panel_plane), strict=True))


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(winograd.load_winograd())


def drawn(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def error(got: Array, expected: Array) -> float:
    assert got.shape == expected.shape and np.isfinite(got).all()
    return float(np.abs(got - expected).max(initial=0) / np.abs(expected).max(initial=1e-30))


def direct(x: Array, w: Array) -> Array:
    h, v = x.shape[1] - 2, x.shape[2] - 2
    x, w = x.astype(np.float64), w.astype(np.float64)
    return np.asarray(sum(x[:, i : i + h, j : j + v] @ w[i, j] for i in range(3) for j in range(3)))


def direct_gradient(x: Array, dy: Array) -> Array:
    _, h, v, _ = dy.shape
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    axes = ((0, 1, 2), (0, 1, 2))
    return np.array(
        [[np.tensordot(x[:, i : i + h, j : j + v], dy, axes) for j in range(3)] for i in range(3)], np.float64
    )


def compare(library: Library, images: int, h: int, v: int, c_in: int, c_out: int, chunks: int = 1) -> None:
    x, w = drawn((images, h + 2, v + 2, c_in)), drawn((3, 3, c_in, c_out), 1)
    dy = drawn((images, h, v, c_out), 2)
    assert error(library.convolve(x, w), direct(x, w)) < BOUND
    assert error(library.convolve_few(x, w, 2 * winograd.weight_columns(c_out)), direct(x, w)) < BOUND
    assert error(library.gradient(x, dy, chunks), direct_gradient(x, dy)) < BOUND


channels = st.one_of(st.integers(1, 20), st.sampled_from([31, 32, 33, 48, 64, 70, 130]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 13), st.integers(1, 13), channels, channels, st.sampled_from([1, 2, 4]))
def test_drawn_shapes(images: int, h: int, v: int, c_in: int, c_out: int, chunks: int) -> None:
    compare(Library(winograd.load_winograd()), images, h, v, c_in, c_out, chunks)


@pytest.mark.parametrize(
    ("images", "h", "v", "c_in", "c_out"),
    [(1, 56, 56, 64, 64), (3, 33, 31, 24, 40), (2, 7, 7, 512, 96), (40, 4, 4, 16, 16), (1, 1, 300, 20, 1)],
)
def test_several_blocks(library: Library, images: int, h: int, v: int, c_in: int, c_out: int) -> None:
    compare(library, images, h, v, c_in, c_out, 8)


def test_error_is_that_of_the_direct_sum(library: Library) -> None:
    """Values of one sign are the worst case: the transforms subtract numbers that are larger than their difference."""
    x, w = np.abs(drawn((2, 18, 18, 64))), np.abs(drawn((3, 3, 64, 64), 1))
    dy = np.abs(drawn((2, 16, 16, 64), 2))
    assert error(library.convolve(x, w), direct(x, w)) < BOUND
    assert error(library.gradient(x, dy, 2), direct_gradient(x, dy)) < BOUND


def test_rows_may_be_cut_after_any_tile(library: Library) -> None:
    x, w = drawn((3, 15, 17, 21)), drawn((3, 3, 21, 37), 1)
    whole = library.convolve(x, w)
    for cuts in ((2,), (4, 6), (2, 4, 6, 8, 10, 12)):
        assert (library.convolve(x, w, cuts) == whole).all()


def test_pixels_outside_the_picture_are_not_read(library: Library) -> None:
    """Odd sizes: the last tile has a row and a column that do not exist."""
    home = np.full((2, 8, 10, 18), np.nan, np.float32)
    x, w = drawn((2, 7, 9, 18)), drawn((3, 3, 18, 5), 1)
    home[:, :7, :9] = x
    assert error(library.convolve(home[:, :7, :9], w), direct(x, w)) < BOUND
    gaps = np.full((2, 5, 7, 9), np.nan, np.float32)
    dy = drawn((2, 5, 7, 5), 2)
    gaps[..., :5] = dy
    assert error(library.gradient(home[:, :7, :9], gaps[..., :5]), direct_gradient(x, dy)) < BOUND


def test_gradient_of_no_images_is_zero(library: Library) -> None:
    assert (library.gradient(np.zeros((0, 6, 6, 3), np.float32), np.zeros((0, 4, 4, 9), np.float32)) == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_reaches_what_it_reaches_in_the_direct_sum(library: Library, bad: float) -> None:
    """For each place of a pixel in its tile, and at the edges; but from there it reaches all of the weight gradient."""
    w, dy = drawn((3, 3, 16, 16), 1), drawn((2, 7, 8, 16), 2)
    for row, column in [(0, 0), (4, 4), (4, 5), (5, 4), (5, 5), (8, 9), (7, 2)]:
        x = drawn((2, 9, 10, 16))
        x[0, row, column, 3] = bad
        expected = np.zeros((2, 9, 10))
        expected[0, row, column] = 1
        met = sum(expected[:, i : i + 7, j : j + 8] for i in range(3) for j in range(3)) > 0
        assert (np.isfinite(library.convolve(x, w)) == ~met[..., None]).all()
        taps = [[0 <= row - i < 7 and 0 <= column - j < 8 for j in range(3)] for i in range(3)]
        finite = np.isfinite(library.gradient(x, dy))
        assert not finite[:, :, 3][np.array(taps)].any() and np.delete(finite, 3, axis=2).all()


@pytest.mark.parametrize("vectors", [Vectors(256, 6, False), Vectors(128, 4, False)], ids=["avx2", "portable"])
def test_other_register_files(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrower libraries, run on this processor."""
    if vectors.bits > host_vectors().bits:
        pytest.skip("this processor has no such vectors")
    for module in (tilelib, winograd):
        monkeypatch.setattr(module, "host_vectors", lambda: vectors)

    def renamed(text: str) -> str:
        for symbol in (*tilelib.SYMBOLS, *winograd.WINOGRAD_SYMBOLS):
            text = text.replace(f"{symbol}_f32", f"{symbol}_{vectors.bits}_f32")
        return text

    tiles = load_object(emit_object(renamed(tilelib.tile_library_text("f32", vectors)), optimize=1))
    for symbol in ("kg_tile_f32", "kg_tile_next_f32"):
        add_symbol(renamed(symbol), tiles.address(renamed(symbol)))
    module = load_object(emit_object(renamed(winograd.winograd_text(vectors)), optimize=1))
    library = Library(module, renamed)
    for images, h, v, c_in, c_out in [(2, 5, 7, 3, 5), (1, 8, 8, 16, 17), (3, 1, 9, 20, 8), (1, 12, 11, 33, 9)]:
        compare(library, images, h, v, c_in, c_out, 2)


def test_text_is_the_same_every_time() -> None:
    assert winograd.winograd_text() == winograd.winograd_text()


# ----------------------------------------------------------------------------------------------------------------------
# Kernels


def layer(h: int = 9, v: int = 7, c_in: int = 18, c_out: int = 21, dtype: str = "f32", **attrs: Any) -> Sheet:
    """A convolution with what may follow it, and its gradients."""
    s = Sheet("layer")
    b = s.b
    x, w = s.input(f"{dtype}[B, {h}, {v}, {c_in}]"), s.param(f"{dtype}[3, 3, {c_in}, {c_out}]")
    attrs = {"padding": ((1, 1), (1, 1)), **attrs}
    y = b.conv2d(x, w, **attrs)
    bias, other = s.param(f"{dtype}[{c_out}]"), s.input(f"{dtype}[{', '.join(map(str, y.shape))}]")
    s.out("bias, relu and sum", b.add(b.relu(b.add(y, bias)), other), "sum")
    s.out("without padding", b.conv2d(x, w), "sum")
    s.out("weight gradient", b.conv2d_kernel_grad(x, other, kernel_shape=w.shape, **attrs), "sum")
    return s


def sources(s: Sheet, **options: Any) -> str:
    return "\n".join(compiled(s, **options).sources().values())


def compiled(s: Sheet, **options: Any) -> Any:
    return kgraph.codegen.compile(s.graph, options=CompileOptions(**options))


@pytest.mark.parametrize(
    ("h", "v", "c_in", "c_out"), [(9, 7, 18, 21), (16, 16, 32, 16), (1, 2, 3, 4), (40, 3, 16, 33), (5, 6, 130, 70)]
)
def test_kernels_against_the_interpreter(
    h: int, v: int, c_in: int, c_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fused work, padding and weight gradient, with 1 to 33 images."""
    monkeypatch.setenv("KGRAPH_CONV", "winograd")
    made = layer(max(h, 3), max(v, 3), c_in, c_out)
    assert sources(made).count('"kg_winograd_f32"') == 2 and "kg_conv2d" not in sources(made)
    made.check()


@pytest.fixture
def _threads_as_before() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.usefixtures("_threads_as_before")
@pytest.mark.parametrize("images", [3, 37])
def test_threads_do_not_change_a_bit(images: int) -> None:
    """Few tiles and many."""
    made = layer(15, 14, 20, 36)
    program = compiled(made, convolution="winograd")
    dims = {"B": images}
    arrays = made.arrays(dims)
    found = []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        exe = program.bind(dims, {value.name: arrays[value.name] for value in made.graph.params})
        for value in made.graph.inputs:
            exe.input(value.name)[...] = arrays[value.name]
        exe.run()
        exe.run()
        found.append([exe.output(k).tobytes() for k in range(len(made.graph.outputs))])
    assert found[0] == found[1] == found[2]


def test_choice() -> None:
    large, small = layer(16, 16, 32, 32), layer(16, 16, 8, 32)
    assert "kg_winograd" in sources(large) and "kg_conv2d" not in sources(large)
    assert "kg_winograd" not in sources(small)
    assert "kg_winograd" in sources(small, convolution="winograd")
    assert "kg_winograd" not in sources(large, convolution="direct")


@pytest.mark.parametrize("attrs", [{"strides": (2, 1)}, {"dilation": (1, 2)}, {"dtype": "f64"}], ids=str)
def test_what_winograd_cannot_do_is_direct(attrs: dict[str, Any]) -> None:
    made = layer(9, 9, 32, 32, **attrs)
    assert "kg_conv2d" in sources(made, convolution="winograd")
    made.check()


def test_one_text_serves_many_sizes() -> None:
    """Kernels read their sizes, so layers of other widths need no compilation."""
    texts = [
        {kernel.source for kernel in compiled(made).kernels.values()}
        for made in (layer(16, 16, 32, 32), layer(14, 14, 64, 64))
    ]
    assert texts[0] == texts[1]


def test_wasted_rows_count() -> None:
    assert winograd_pays(32, 32, 14, 14) and winograd_pays(32, 32, 7, 7)
    assert not winograd_pays(32, 32, 1, 9) and not winograd_pays(8, 8, 32, 32)
