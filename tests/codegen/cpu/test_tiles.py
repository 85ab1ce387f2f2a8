"""The tile library against NumPy: odd sizes, strides, masks, both element types, and what must not be written."""

from __future__ import annotations

import ctypes
import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph.codegen.cpu import depthwise, tilelib
from kgraph.codegen.cpu.cache import Recipe
from kgraph.codegen.cpu.objects import NativeModule, emit_assembly, emit_object, host_cpu_key, load_object
from kgraph.codegen.cpu.tiles import SCALARS, Code, Module, Vectors, host_vectors, write_tile

Array = np.ndarray[Any, Any]
GUARD = 77.0
DTYPES = {"f32": np.float32, "f64": np.float64}
TOLERANCE = {"f32": 2e-5, "f64": 1e-12}  # relative to the largest element; sums of up to 1100 terms


def load_function(module: NativeModule, symbol: str, dtype: str) -> Callable[..., None]:
    types = [ctypes.c_int64] * len(tilelib.SYMBOLS[symbol])
    function = ctypes.CFUNCTYPE(None, *types)(module.address(f"{symbol}_{dtype}"))
    return lambda **arguments: function(*(int(arguments.pop(n)) for n in tilelib.SYMBOLS[symbol]))


@pytest.fixture(scope="module", params=["f32", "f64"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def library(dtype: str) -> NativeModule:
    return Parts(None, None)


class Parts(NativeModule):
    """All parts of the library."""

    def address(self, symbol: str) -> int:
        dtype, part = tilelib.parts_called({symbol})[-1]
        return tilelib.load_tiles(dtype=dtype, part=part).address(symbol)


def test_a_program_gets_the_parts_that_it_calls() -> None:
    assert tilelib.parts_called({"kg_other_f32"}) == []
    assert tilelib.parts_called({"kg_transpose_f64"}) == [("f64", "products")]
    parts = tilelib.parts_called({"kg_depthwise_f32", "kg_gemm_f64"})
    assert parts == [("f32", "products"), ("f32", "depthwise"), ("f64", "products")]
    assert {part for part in tilelib.PARTS} == {
        part for _, part in tilelib.parts_called({f"{symbol}_f32" for symbol in tilelib.SYMBOLS})
    }


def scratch(size: int) -> Array:
    """Aligned bytes with a guard zone behind them."""
    raw = np.full(size + 64 + 64, 0xAB, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size + 64]


def check_scratch(area: Array) -> None:
    assert (area[-64:] == 0xAB).all(), "scratch was overrun"


def random(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(DTYPES[dtype])


def assert_close(got: Array, expected: Array, dtype: str) -> None:
    scale = np.abs(expected).max(initial=1.0)
    assert np.abs(got - expected).max(initial=0.0) <= TOLERANCE[dtype] * scale


def strided(matrix: Array, transposed: bool, gap: int) -> tuple[Array, int, int]:
    """A copy of the matrix inside NaNs, and its row and column stride."""
    rows, columns = matrix.shape
    if transposed:
        home = np.full((columns, rows + gap), np.nan, matrix.dtype)
        home[:, :rows] = matrix.T
        return home, 1, rows + gap
    home = np.full((rows, columns + gap), np.nan, matrix.dtype)
    home[:, :columns] = matrix
    return home, columns + gap, 1


def gemm(
    library: NativeModule, dtype: str, m: int, n: int, k: int, *, ta: bool = False, tb: bool = False, gap: int = 0
) -> None:
    function = load_function(library, "kg_gemm", dtype)
    a, b = random((m, k), dtype), random((k, n), dtype, 1)
    home_a, a_row, a_col = strided(a, ta, gap)
    home_b, b_row, b_col = strided(b, tb, gap)
    area = scratch(tilelib.gemm_scratch(m, n, k, dtype))
    result = np.full((m + 2, n + gap + 1), GUARD, DTYPES[dtype])
    expected = a.astype(np.float64) @ b.astype(np.float64)
    for beta in (0, 1):
        function(
            a=home_a.ctypes.data, a_row=a_row, a_col=a_col, b=home_b.ctypes.data, b_row=b_row, b_col=b_col,
            c=result.ctypes.data, c_row=n + gap + 1, m=m, n=n, k=k, beta=beta, scratch=area.ctypes.data,
        )  # fmt: skip
        assert_close(result[:m, :n], expected * (1 + beta), dtype)
    assert (result[m:] == GUARD).all() and (result[:, n:] == GUARD).all()
    check_scratch(area)


SIZES = [1, 2, 3, 5, 7, 13, 16, 17, 31, 33, 65]


@pytest.mark.parametrize(("ta", "tb"), list(itertools.product((False, True), repeat=2)))
def test_gemm_odd_sizes(library: NativeModule, dtype: str, ta: bool, tb: bool) -> None:
    for m, n in itertools.product(SIZES, SIZES):
        gemm(library, dtype, m, n, 1 + (m * 7 + n) % 40, ta=ta, tb=tb, gap=(m + n) % 4)


@pytest.mark.parametrize(
    ("m", "n", "k"),
    [(70, 1100, 40), (300, 140, 1024), (29, 130, 512), (300, 40, 1100), (60, 300, 700), (1, 500, 900), (4, 200, 800)],
)
def test_gemm_blocks(library: NativeModule, dtype: str, m: int, n: int, k: int) -> None:
    for ta, tb in itertools.product((False, True), repeat=2):
        for gap in (0, 3):
            gemm(library, dtype, m, n, k, ta=ta, tb=tb, gap=gap)


def test_gemm_with_free_strides(library: NativeModule, dtype: str) -> None:
    """Neither rows nor columns contiguous, for both operands; and a vector with a stride."""
    a, b = random((33, 2 * 20), dtype), random((20, 3 * 37), dtype, 1)
    for n in (37, 1):
        result = np.zeros((33, n), DTYPES[dtype])
        area = scratch(tilelib.gemm_scratch(33, n, 20, dtype))
        load_function(library, "kg_gemm", dtype)(
            a=a.ctypes.data, a_row=40, a_col=2, b=b.ctypes.data, b_row=111, b_col=3, c=result.ctypes.data, c_row=n,
            m=33, n=n, k=20, beta=0, scratch=area.ctypes.data,
        )  # fmt: skip
        assert_close(result, a[:, ::2] @ b[:, ::3][:, :n], dtype)
        check_scratch(area)


def test_gemm_without_terms_or_elements(library: NativeModule, dtype: str) -> None:
    function = load_function(library, "kg_gemm", dtype)
    some = np.ones((8, 8), DTYPES[dtype])
    common = dict.fromkeys(("a", "b", "scratch"), some.ctypes.data) | dict.fromkeys(("a_row", "b_row", "c_row"), 8)
    common |= {"a_col": 1, "b_col": 1}
    for m, n, k, beta, changed in [(3, 5, 0, 0, True), (3, 5, 0, 1, False), (0, 5, 4, 0, False), (3, 0, 4, 0, False)]:
        result = np.full((8, 8), GUARD, DTYPES[dtype])
        function(**common, c=result.ctypes.data, m=m, n=n, k=k, beta=beta)
        expected = np.full((8, 8), GUARD)
        if changed:
            expected[:m, :n] = 0
        assert (result == expected).all()


def test_rows_may_be_cut_anywhere(library: NativeModule, dtype: str) -> None:
    """The same bits whatever the cut: tasks of a parallel product depend on it."""
    function = load_function(library, "kg_gemm", dtype)
    a, b = random((61, 900), dtype), random((900, 45), dtype, 1)
    results = []
    for cuts in ([0, 61], [0, 1, 2, 61], [0, 30, 60, 61], [0, 14, 28, 42, 56, 61]):
        c = np.zeros((61, 45), DTYPES[dtype])
        area = scratch(tilelib.gemm_scratch(61, 45, 900, dtype))
        for start, stop in itertools.pairwise(cuts):
            function(
                a=a[start:].ctypes.data, a_row=900, a_col=1, b=b.ctypes.data, b_row=45, b_col=1,
                c=c[start:].ctypes.data, c_row=45, m=stop - start, n=45, k=900, beta=0, scratch=area.ctypes.data,
            )  # fmt: skip
        results.append(c)
    assert all((c == results[0]).all() for c in results)


def test_not_a_number_stays_in_its_row(library: NativeModule, dtype: str) -> None:
    a, b = random((20, 30), dtype), random((30, 9), dtype, 1)
    a[3, 4] = np.nan
    result = np.zeros((20, 9), DTYPES[dtype])
    area = scratch(tilelib.gemm_scratch(20, 9, 30, dtype))
    load_function(library, "kg_gemm", dtype)(
        a=a.ctypes.data, a_row=30, a_col=1, b=b.ctypes.data, b_row=9, b_col=1, c=result.ctypes.data, c_row=9, m=20,
        n=9, k=30, beta=0, scratch=area.ctypes.data,
    )  # fmt: skip
    assert np.isnan(result[3]).all() and np.isfinite(np.delete(result, 3, axis=0)).all()


def test_transpose(library: NativeModule, dtype: str) -> None:
    function = load_function(library, "kg_transpose", dtype)
    for rows, columns in itertools.product((1, 3, 8, 16, 17, 50), repeat=2):
        source = random((rows, columns + 2), dtype)
        target = np.full((columns + 1, rows + 3), GUARD, DTYPES[dtype])
        function(
            source=source.ctypes.data, target=target.ctypes.data, rows=rows, columns=columns, source_row=columns + 2,
            target_row=rows + 3,
        )  # fmt: skip
        assert (target[:columns, :rows] == source[:, :columns].T).all()
        assert (target[columns:] == GUARD).all() and (target[:, rows:] == GUARD).all()


def test_tile_with_two_level_sum(library: NativeModule, dtype: str) -> None:
    """Two outer steps of five terms, rows of A three apart: the shape of a strided convolution."""
    a, b = random((200,), dtype), random((2, 6, 24), dtype, 1)
    c = np.full((4, 24), GUARD, DTYPES[dtype])
    load_function(library, "kg_tile", dtype)(
        rows=3, a=a.ctypes.data, a_row=3, b=b.ctypes.data, c=c.ctypes.data, c_row=24, outer=2, a_outer=50, b_outer=144,
        inner=5, a_inner=1, b_inner=24, columns=21, beta=0,
    )  # fmt: skip
    expected = np.array(
        [sum(a[o * 50 + m * 3 + k] * b[o, k, :21] for o in range(2) for k in range(5)) for m in range(3)]
    )
    assert_close(c[:3, :21], expected, dtype)
    assert (c[3] == GUARD).all() and (c[:, 21:] == GUARD).all()


def test_what_is_fetched_ahead_need_not_exist(library: NativeModule, dtype: str) -> None:
    """Twenty rows are two tiles, each of which asks for lines of its own; the result is that of `kg_tile`."""
    a, b = random((20, 9), dtype), random((9, 24), dtype, 1)
    found = []
    for symbol, further in (("kg_tile", {}), ("kg_tile_next", {"next": 8, "next_step": 1 << 40})):
        c = np.full((21, 24), GUARD, DTYPES[dtype])
        load_function(library, symbol, dtype)(
            rows=20, a=a.ctypes.data, a_row=9, b=b.ctypes.data, c=c.ctypes.data, c_row=24, outer=1, a_outer=0,
            b_outer=0, inner=9, a_inner=1, b_inner=24, columns=21, beta=0, **further,
        )  # fmt: skip
        assert (c[20] == GUARD).all() and (c[:, 21:] == GUARD).all()
        found.append(c)
    assert_close(found[0][:20, :21], a @ b[:, :21], dtype)
    assert (found[0] == found[1]).all()


# ----------------------------------------------------------------------------------------------------------------------
# Convolution

CONVOLUTIONS = [
    # images, height, width, c_in, c_out, kernel, strides, dilation, groups
    (2, 9, 11, 3, 5, (3, 3), (1, 1), (1, 1), 1),
    (1, 12, 35, 1, 32, (5, 4), (1, 1), (1, 1), 1),
    (3, 10, 9, 4, 40, (3, 2), (2, 3), (1, 1), 1),
    (2, 13, 12, 5, 33, (3, 3), (1, 2), (2, 1), 1),
    (2, 13, 12, 5, 7, (2, 3), (2, 1), (3, 2), 1),
    (2, 8, 9, 6, 10, (3, 3), (1, 1), (1, 1), 2),
    (1, 6, 5, 4, 4, (3, 3), (1, 1), (1, 1), 4),
    (2, 7, 6, 8, 70, (1, 1), (1, 1), (1, 1), 1),
    (2, 7, 6, 8, 6, (1, 1), (1, 1), (1, 1), 2),
    (2, 7, 7, 8, 6, (1, 1), (2, 2), (1, 1), 1),
    (1, 6, 30, 70, 20, (3, 3), (1, 1), (1, 1), 1),
]


def naive_conv(x: Array, w: Array, strides: tuple[int, int], dilation: tuple[int, int]) -> Array:
    kh, kw = w.shape[:2]
    h = (x.shape[1] - (kh - 1) * dilation[0] - 1) // strides[0] + 1
    v = (x.shape[2] - (kw - 1) * dilation[1] - 1) // strides[1] + 1
    return np.asarray(sum(taps(x, i, j, h, v, strides, dilation) @ w[i, j] for i in range(kh) for j in range(kw)))


def taps(x: Array, i: int, j: int, h: int, v: int, strides: tuple[int, int], dilation: tuple[int, int]) -> Array:
    """The pixels that kernel element (i, j) meets."""
    rows = slice(i * dilation[0], i * dilation[0] + (h - 1) * strides[0] + 1, strides[0])
    columns = slice(j * dilation[1], j * dilation[1] + (v - 1) * strides[1] + 1, strides[1])
    return np.asarray(x[:, rows, columns])


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_conv_and_its_weight_gradient(library: NativeModule, dtype: str, case: tuple[Any, ...]) -> None:
    images, height, width, c_in, c_out, (kh, kw), strides, dilation, groups = case
    x = random((images, height, width, c_in), dtype)
    w = random((kh, kw, c_in // groups, c_out), dtype, 1)
    per_in, per_out = c_in // groups, c_out // groups
    expected = np.concatenate(
        [
            naive_conv(
                x[..., g * per_in : (g + 1) * per_in], w[..., g * per_out : (g + 1) * per_out], strides, dilation
            )
            for g in range(groups)
        ],
        axis=-1,
    )
    _, h, v, _ = expected.shape
    y = np.full((images + 1, h, v, c_out), GUARD, DTYPES[dtype])
    dy = random(expected.shape, dtype, 2)
    dw = np.full((kh * kw * per_in * c_out + 8), GUARD, DTYPES[dtype])
    area = scratch(tilelib.conv_scratch(kh, kw, per_in, per_out, images * h * v, dtype))
    sizes = dict(
        n_begin=0, n_end=images, h_out=h, w_out=v, c_in=per_in, c_out=per_out, kh=kh, kw=kw, sh=strides[0],
        sw=strides[1], dh=dilation[0], dw=dilation[1], x_pixel=c_in, x_row=width * c_in, x_image=height * width * c_in,
        w_in=c_out, w_col=per_in * c_out, w_row=kw * per_in * c_out, y_pixel=c_out, y_row=v * c_out,
        y_image=h * v * c_out, scratch=area.ctypes.data,
    )  # fmt: skip
    merged = dilation[1] == 1 and groups == 1
    tasks = tilelib.wgrad_tasks(kh, kw, per_in, per_out, merged=merged, dtype=dtype)
    conv, gradient = load_function(library, "kg_conv2d", dtype), load_function(library, "kg_conv2d_wgrad", dtype)
    for g in range(groups):
        x_g, y_g = x[..., g * per_in :].ctypes.data, y[..., g * per_out :].ctypes.data
        conv(x=x_g, w=w[..., g * per_out :].ctypes.data, y=y_g, **sizes)
        dy_g, dw_g = dy[..., g * per_out :].ctypes.data, dw[g * per_out :].ctypes.data
        for task in reversed(range(tasks)):  # any order, one by one
            gradient(x=x_g, w=dw_g, y=dy_g, **sizes, task_begin=task, task_end=task + 1)
    assert_close(y[:images], expected, dtype)
    assert (y[images:] == GUARD).all()
    check_scratch(area)
    first = dw.copy()
    expected_dw = np.zeros(w.shape)
    for i, j, g in itertools.product(range(kh), range(kw), range(groups)):
        met = taps(x, i, j, h, v, strides, dilation)[..., g * per_in : (g + 1) * per_in].reshape(-1, per_in)
        out = slice(g * per_out, (g + 1) * per_out)
        expected_dw[i, j, :, out] = met.T.astype(np.float64) @ dy[..., out].reshape(-1, per_out)
    assert_close(dw[:-8].reshape(w.shape), expected_dw, dtype)
    assert (dw[-8:] == GUARD).all()
    if groups == 1:
        gradient(x=x.ctypes.data, w=dw.ctypes.data, y=dy.ctypes.data, **sizes, task_begin=0, task_end=tasks)
        assert (dw == first).all(), "the gradient depends on how tasks are grouped"


DEPTHWISE = [
    # images, height, width, channels, kernel, strides, dilation
    (2, 9, 12, 21, (3, 3), (1, 1), (1, 1)),
    (1, 8, 7, 64, (3, 3), (2, 2), (1, 1)),
    (2, 13, 20, 5, (5, 4), (1, 2), (2, 1)),
    (1, 4, 4, 17, (3, 3), (1, 1), (1, 1)),
    (3, 6, 8, 33, (2, 3), (1, 1), (1, 2)),
]


@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_depthwise_conv_and_its_weight_gradient(library: NativeModule, dtype: str, case: tuple[Any, ...]) -> None:
    images, height, width, channels, (kh, kw), strides, dilation = case
    home = np.full((images, height, width, channels + 3), np.nan, DTYPES[dtype])
    home[..., :channels] = x = random((images, height, width, channels), dtype)
    w = random((kh, kw, channels), dtype, 1)
    h = (height - (kh - 1) * dilation[0] - 1) // strides[0] + 1
    v = (width - (kw - 1) * dilation[1] - 1) // strides[1] + 1
    met = [[taps(x.astype(np.float64), i, j, h, v, strides, dilation) for j in range(kw)] for i in range(kh)]
    y = np.full((images, h, v, channels + 1), GUARD, DTYPES[dtype])
    dy = random((images, h, v, channels + 1), dtype, 2)
    dw = np.full((kh * kw * channels + 8,), GUARD, DTYPES[dtype])
    sizes = dict(
        n_begin=0, n_end=images, h_out=h, w_out=v, c_in=1, c_out=channels, kh=kh, kw=kw, sh=strides[0], sw=strides[1],
        dh=dilation[0], dw=dilation[1], x_pixel=channels + 3, x_row=width * (channels + 3),
        x_image=height * width * (channels + 3), w_in=channels, w_col=channels, w_row=kw * channels,
        y_pixel=channels + 1, y_row=v * (channels + 1), y_image=h * v * (channels + 1), scratch=0,
    )  # fmt: skip
    load_function(library, "kg_depthwise", dtype)(x=home.ctypes.data, w=w.ctypes.data, y=y.ctypes.data, **sizes)
    assert_close(y[..., :channels], sum(met[i][j] * w[i, j] for i in range(kh) for j in range(kw)), dtype)
    assert (y[..., channels:] == GUARD).all()
    gradient = load_function(library, "kg_depthwise_wgrad", dtype)
    for task in reversed(range(depthwise.depthwise_tasks(channels, dtype))):
        pointers = {"x": home.ctypes.data, "w": dw.ctypes.data, "y": dy.ctypes.data}
        gradient(**pointers, **sizes, task_begin=task, task_end=task + 1)
    expected = [[(met[i][j] * dy[..., :channels]).sum((0, 1, 2)) for j in range(kw)] for i in range(kh)]
    assert_close(dw[:-8].reshape(w.shape), np.array(expected), dtype)
    assert (dw[-8:] == GUARD).all()


def test_gradient_of_no_images_is_zero(library: NativeModule, dtype: str) -> None:
    dw = np.full((3 * 3 * 2 * 4,), GUARD, DTYPES[dtype])
    sizes = dict(
        n_begin=0, n_end=0, h_out=4, w_out=4, c_in=2, c_out=4, kh=3, kw=3, sh=1, sw=1, dh=1, dw=1, x_pixel=2, x_row=12,
        x_image=72, w_in=4, w_col=8, w_row=24, y_pixel=4, y_row=16, y_image=64, scratch=0,
    )  # fmt: skip
    tasks = tilelib.wgrad_tasks(3, 3, 2, 4, merged=True, dtype=dtype)
    load_function(library, "kg_conv2d_wgrad", dtype)(x=0, w=dw.ctypes.data, y=0, **sizes, task_begin=0, task_end=tasks)
    assert (dw == 0).all()


def test_large_weights_are_summed_in_parts(library: NativeModule, dtype: str) -> None:
    """A panel beyond the L2 budget: kernel rows one by one, accumulated in y."""
    c_in, c_out = 600, 9
    x, w = random((1, 5, 5, c_in), dtype), random((3, 3, c_in, c_out), dtype, 1)
    y = np.zeros((1, 3, 3, c_out), DTYPES[dtype])
    area = scratch(tilelib.conv_scratch(3, 3, c_in, c_out, 9, dtype))
    load_function(library, "kg_conv2d", dtype)(
        x=x.ctypes.data, w=w.ctypes.data, y=y.ctypes.data, n_begin=0, n_end=1, h_out=3, w_out=3, c_in=c_in, c_out=c_out,
        kh=3, kw=3, sh=1, sw=1, dh=1, dw=1, x_pixel=c_in, x_row=5 * c_in, x_image=25 * c_in, w_in=c_out,
        w_col=c_in * c_out, w_row=3 * c_in * c_out, y_pixel=c_out, y_row=3 * c_out, y_image=9 * c_out,
        scratch=area.ctypes.data,
    )  # fmt: skip
    assert_close(y, naive_conv(x.astype(np.float64), w.astype(np.float64), (1, 1), (1, 1)), dtype)
    check_scratch(area)


# ----------------------------------------------------------------------------------------------------------------------
# The code itself


def test_text_is_the_same_every_time() -> None:
    assert tilelib.tile_library_text("f32") == tilelib.tile_library_text("f32")


def test_library_is_built_once_through_the_cache() -> None:
    asked: list[str] = []

    def cache(recipe: Recipe) -> bytes:
        asked.append(recipe.key)
        return recipe.build(emit_object)

    assert tilelib.load_tiles(cache) is tilelib.load_tiles(cache)
    assert len(asked) <= 1


@pytest.mark.skipif(host_vectors().bits != 512, reason="the registers counted are those of AVX-512")
def test_sums_stay_in_registers() -> None:
    """No vector goes through the stack inside the loops of the largest tile."""
    module = Module(host_vectors())
    name = write_tile(module, host_vectors(), SCALARS["f32"], 14, 2, full=False)
    keep = Code(module, "keep", [], result="ptr")
    keep.finish(f"ptr @{name}")
    text = emit_assembly(module.text())
    blocks = re.split(r"^\.L\w+:", text, flags=re.M)
    inner = [b for b in blocks if b.count("vfmadd") >= 28]
    assert len(inner) == 1
    loop = inner[0][: inner[0].rindex("vfmadd")]
    assert loop.count("vfmadd") == 27 and not re.search(r"zmm\d+, -?\d*\(%rsp\)|\(%rsp\), %zmm", loop)


@pytest.mark.parametrize("vectors", [Vectors(256, 6, False), Vectors(128, 4, False)], ids=["avx2", "portable"])
def test_other_register_files(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrower libraries, run on this processor."""
    if vectors.bits > host_vectors().bits:
        pytest.skip("this processor has no such vectors")
    for module_ in (tilelib, depthwise):
        monkeypatch.setattr(module_, "host_vectors", lambda: vectors)
    text = tilelib.tile_library_text("f32", vectors)
    for symbol in tilelib.SYMBOLS:
        text = text.replace(f"@{symbol}_f32(", f"@{symbol}_{vectors.bits}_f32(")
    module = load_object(emit_object(text, optimize=1))

    class Renamed(NativeModule):
        def address(self, symbol: str) -> int:
            return module.address(symbol.replace("_f32", f"_{vectors.bits}_f32"))

    library = Renamed(None, None)
    for m, n in itertools.product((1, 4, 7, 17, 33), (1, 5, 8, 16, 31, 70)):
        for ta, tb in itertools.product((False, True), repeat=2):
            gemm(library, "f32", m, n, 19, ta=ta, tb=tb, gap=1)
    test_transpose(library, "f32")
    for case in CONVOLUTIONS[:6]:
        test_conv_and_its_weight_gradient(library, "f32", case)
    for case in DEPTHWISE:
        test_depthwise_conv_and_its_weight_gradient(library, "f32", case)


def test_host_key_is_text() -> None:
    assert host_cpu_key()
