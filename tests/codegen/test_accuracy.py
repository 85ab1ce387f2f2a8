"""Every variant of the kernels that add up many terms, over drawn shapes: errors within the bounds that theory gives.

The oracle is the interpreter in float64.  A sum of k terms in any order, with products rounded or not, is off by at
most gamma(k + c) * (the same sum over absolute values), gamma(n) = n u / (1 - n u), where u is half a unit in the last
place and c counts what else is rounded on the way (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.1).  The sum over absolute values is the same graph on absolute values.  For float64 the oracle's own error is
added.

Each program runs as it is, with params that lie on no boundary, and between red zones on three threads: bits are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import kgraph.codegen
from kgraph.codegen import CompileOptions, get_num_threads, set_num_threads
from kgraph.codegen.cpu.winograd import INPUT, OUTPUT, WEIGHTS
from kgraph.ir import Builder, Graph, TensorType, Value
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.autodiff import append_gradients
from tests.codegen.guarding import check_guarded
from tests.numeric.sheet import scan

Array = np.ndarray
Build = Callable[..., Value]

UNIT = {"f32": 2.0**-24, "f64": 2.0**-53}
DTYPES = {"f32": np.float32, "f64": np.float64}
LEAST = {"f32": 2.0**-126, "f64": 2.0**-1022}  # what is smaller is flushed to zero

DRAWN = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
DTYPE = st.sampled_from(["f32", "f32", "f64"])
SEED = st.integers(0, 1 << 20)
SIZE = st.sampled_from([0, 1, 1, 2, 3, 5, 8, 13, 16, 17, 31, 33, 64, 67, 100, 129])


@pytest.fixture(autouse=True, scope="module")
def _three_threads() -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(3)
    yield
    set_num_threads(before)


def graph_of(build: Build, dtype: str, arrays: Sequence[Array]) -> Graph:
    """The graph of a call; every second operand is a param, integers are indices."""
    graph = Graph("call")
    b = Builder(graph)
    operands = []
    for number, array in enumerate(arrays):
        type = TensorType("i32" if array.dtype.kind == "i" else dtype, array.shape)
        operands.append((b.param if number % 2 else b.input)(f"x{number}", type))
    graph.outputs = [build(b, *operands)]
    return graph


def exactly(build: Build, arrays: Sequence[Array]) -> Array:
    """The result in float64."""
    wide = [array if array.dtype.kind == "i" else array.astype(np.float64) for array in arrays]
    graph = graph_of(build, "f64", wide)
    named = {f"x{number}": array for number, array in enumerate(wide)}
    inputs, params = ({v.name: named[v.name] for v in values} for values in (graph.inputs, graph.params))
    with np.errstate(all="ignore"):
        return np.asarray(interpret(graph, inputs, params, {}).outputs[0])


def compiled(build: Build, dtype: str, arrays: Sequence[Array], **options: Any) -> Array:
    """The result of the CPU target, the same between red zones."""
    program = kgraph.codegen.compile(graph_of(build, dtype, arrays), options=CompileOptions(**options))
    return check_guarded(program, {}, {f"x{number}": array for number, array in enumerate(arrays)})[0]


def check(build: Build, dtype: str, arrays: Sequence[Array], terms: int) -> None:
    """Compare a sum of so many terms with the oracle; convolutions are plain sums."""
    got = compiled(build, dtype, arrays, convolution="direct")
    magnitude = exactly(build, [np.abs(array) if array.dtype.kind == "f" else array for array in arrays])
    assert_within(got, exactly(build, arrays), dtype, terms, magnitude)


def check_exact(build: Build, dtype: str, arrays: Sequence[Array]) -> None:
    """Whatever moves or chooses elements changes no bit."""
    np.testing.assert_array_equal(compiled(build, dtype, arrays), exactly(build, arrays))


def assert_within(got: Array, exact: Array, dtype: str, terms: int, magnitude: Array) -> None:
    """What is not finite is so in the same places; the rest is within the bound."""
    assert (got.dtype, got.shape) == (DTYPES[dtype], exact.shape)
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(got[~finite], exact[~finite].astype(got.dtype))
    count = (2 if dtype == "f64" else 1) * (terms + 2)
    gamma = count * UNIT[dtype] / (1 - count * UNIT[dtype])
    error = np.abs(got[finite].astype(np.float64) - exact[finite])
    bound = gamma * magnitude[finite] + count * LEAST[dtype]
    assert (error <= bound).all(), f"{(error / bound).max():.2f} of the bound for {terms} terms"


def drawn(seed: int, dtype: str, *shapes: Sequence[int], special: bool = False) -> list[Array]:
    """Normal numbers over some powers of two; `special`: with NaN and infinities here and there."""
    rng = np.random.default_rng(seed)
    found = []
    for shape in shapes:
        array = (rng.normal(size=shape) * 2.0 ** rng.integers(-8, 8, shape)).astype(DTYPES[dtype])
        if special and array.size:
            for value in (np.nan, np.inf, -np.inf):
                array.flat[rng.integers(array.size)] = value
        found.append(array)
    return found


# ----------------------------------------------------------------------------------------------------------------------
# Matrix products


def product(transpose_a: bool, transpose_b: bool) -> Build:
    return lambda b, x, y: b.matmul(x, y, transpose_a=transpose_a, transpose_b=transpose_b)


def check_product(
    m: int, n: int, k: int, batch: tuple[int, ...], ta: bool, tb: bool, dtype: str, seed: int, special: bool
) -> None:
    shapes = (*batch, *((k, m) if ta else (m, k))), (*batch, *((n, k) if tb else (k, n)))
    check(product(ta, tb), dtype, drawn(seed, dtype, *shapes, special=special), k)


BATCH: st.SearchStrategy[tuple[int, ...]] = st.sampled_from([(), (), (), (1,), (3,), (0,), (2, 2)])


@given(SIZE, SIZE, SIZE, BATCH, st.booleans(), st.booleans(), DTYPE, SEED, st.booleans())
@settings(DRAWN, max_examples=120)
def test_products(
    m: int, n: int, k: int, batch: tuple[int, ...], ta: bool, tb: bool, dtype: str, seed: int, special: bool
) -> None:
    check_product(m, n, k, batch, ta, tb, dtype, seed, special)


@pytest.mark.parametrize("transposes", [(False, False), (True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize(
    ("m", "n", "k"), [(129, 1, 1), (300, 210, 1100), (1, 1030, 700), (260, 1, 901), (70, 1100, 1), (65, 33, 2050)]
)
def test_large_products(m: int, n: int, k: int, transposes: tuple[bool, bool]) -> None:
    """More than one block in each direction, packed and not; one column, of which a copy once went past the scratch."""
    check_product(m, n, k, (), *transposes, "f32", 1, False)


@given(SIZE, SIZE, SIZE, DTYPE, SEED)
@settings(DRAWN, max_examples=30)
def test_products_with_work_around_them(m: int, n: int, k: int, dtype: str, seed: int) -> None:
    """Bias, scale and residual in the epilogue: four roundings more, of terms that count like the others."""

    def build(b: Builder, x: Value, y: Value, bias: Value, other: Value) -> Value:
        return b.add(b.mul(b.add(b.matmul(x, y), bias), 0.25), other)

    check(build, dtype, drawn(seed, dtype, (m, k), (k, n), (n,), (m, n)), k + 4)


# ----------------------------------------------------------------------------------------------------------------------
# Convolutions


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    """Shapes of images, kernel and result, and the attributes."""
    kind = draw(st.sampled_from(["any", "any", "depthwise", "grouped", "1x1", "few channels"]))
    small = st.sampled_from([1, 2, 3, 5, 8, 16, 17, 33])
    groups = {"depthwise": draw(small), "grouped": draw(st.integers(2, 4))}.get(kind, 1)
    c_in = 1 if kind == "depthwise" else draw(st.integers(1, 4) if kind == "few channels" else small)
    c_out = draw(st.integers(1, 2)) if kind == "depthwise" else draw(small)
    kernel = (1, 1) if kind == "1x1" else (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    strides, dilation = draw(pair), draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 3)]))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    size = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    out = [
        (size[i] + sum(padding[i]) - ((kernel[i] - 1) * dilation[i] + 1)) // strides[i] + 1
        if size[i] + sum(padding[i]) > (kernel[i] - 1) * dilation[i]
        else 0
        for i in (0, 1)
    ]
    assume(min(out) > 0)
    images = draw(st.sampled_from([0, 1, 1, 3]))
    shapes = [(images, *size, groups * c_in), (*kernel, c_in, groups * c_out), (images, *out, groups * c_out)]
    return shapes, {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}


@given(convolutions(), DTYPE, SEED, st.booleans())
@settings(DRAWN, max_examples=100)
def test_convolutions(case: tuple[Any, Any], dtype: str, seed: int, special: bool) -> None:
    (image, kernel, _), attrs = case
    arrays = drawn(seed, dtype, image, kernel, special=special)
    check(lambda b, x, w: b.conv2d(x, w, **attrs), dtype, arrays, int(np.prod(kernel[:3])))


@given(convolutions(), DTYPE, SEED)
@settings(DRAWN, max_examples=60)
def test_weight_gradients(case: tuple[Any, Any], dtype: str, seed: int) -> None:
    (image, kernel, out), attrs = case
    arrays = drawn(seed, dtype, image, out)
    terms = int(np.prod(out[:3]))
    check(lambda b, x, dy: b.conv2d_kernel_grad(x, dy, kernel_shape=kernel, **attrs), dtype, arrays, terms)


@given(convolutions(), DTYPE, SEED)
@settings(DRAWN, max_examples=50)
def test_data_gradients(case: tuple[Any, Any], dtype: str, seed: int) -> None:
    (image, kernel, out), attrs = case

    def build(b: Builder, x: Value, w: Value, dy: Value) -> Value:
        total = b.sum(b.mul(b.conv2d(x, w, **attrs), dy), axes=(0, 1, 2, 3))
        (found,) = append_gradients(b.graph, total, [x])
        assert found is not None
        return found

    terms = int(np.prod(kernel[:2])) * kernel[3] // attrs["groups"]
    check(build, dtype, drawn(seed, dtype, image, kernel, out), terms)


# -- Winograd ---------------------------------------------------------------------------------------------------------
BT, G, AT = (np.array(matrix, np.float64) for matrix in (INPUT, WEIGHTS, OUTPUT))
TRANSFORMS = 12  # roundings on the way: two of the input, four of the weights, four of the result, products and a store


def tiles(x: Array, size: int, rows: int, columns: int) -> Array:
    """Windows of `size` x `size` that begin at every second pixel, with zeros outside."""
    wide = np.zeros((x.shape[0], 2 * rows + size, 2 * columns + size, x.shape[3]))
    wide[:, : x.shape[1], : x.shape[2]] = x
    found = [
        [wide[:, 2 * i : 2 * i + size, 2 * j : 2 * j + size].transpose(0, 3, 1, 2) for j in range(columns)]
        for i in range(rows)
    ]
    return np.array(found)  # [rows, columns, images, channels, size, size]


def winograd_magnitude(x: Array, w: Array) -> Array:
    """What `conv2d` on absolute values is for a plain sum: the algorithm with the absolute values of its matrices."""
    images, height, width, _ = x.shape
    h, v = height - 2, width - 2
    rows, columns = -(-h // 2), -(-v // 2)
    d = np.abs(BT) @ tiles(np.abs(x), 4, rows, columns) @ np.abs(BT).T
    u = np.abs(G) @ np.abs(w).transpose(2, 3, 0, 1) @ np.abs(G).T
    y = np.abs(AT) @ np.einsum("rsncij,coij->rsnoij", d, u) @ np.abs(AT).T
    whole = y.transpose(2, 0, 4, 1, 5, 3).reshape(images, 2 * rows, 2 * columns, w.shape[3])
    return np.asarray(whole[:, :h, :v])


def winograd_gradient_magnitude(x: Array, dy: Array) -> Array:
    """The same of the weight gradient."""
    rows, columns = -(-dy.shape[1] // 2), -(-dy.shape[2] // 2)
    d = np.abs(BT) @ tiles(np.abs(x), 4, rows, columns) @ np.abs(BT).T
    e = np.abs(AT).T @ tiles(np.abs(dy), 2, rows, columns) @ np.abs(AT)
    u = np.abs(G).T @ np.einsum("rsncij,rsnoij->coij", d, e) @ np.abs(G)
    return np.asarray(u.transpose(2, 3, 0, 1))


CHANNELS = st.sampled_from([1, 2, 3, 8, 16, 17, 33, 40])


@given(st.sampled_from([0, 1, 3]), st.integers(1, 13), st.integers(1, 13), CHANNELS, CHANNELS, st.booleans(), SEED)
@settings(DRAWN, max_examples=40)
def test_winograd(images: int, h: int, v: int, c_in: int, c_out: int, padded: bool, seed: int) -> None:
    image = (images, h, v, c_in) if padded else (images, h + 2, v + 2, c_in)
    x, w, dy = drawn(seed, "f32", image, (3, 3, c_in, c_out), (images, h, v, c_out))
    around = (1, 1) if padded else (0, 0)
    whole = np.pad(x, ((0, 0), around, around, (0, 0)))

    def forward(b: Builder, x: Value, w: Value) -> Value:
        return b.conv2d(x, w, padding=(around, around))

    def gradient(b: Builder, x: Value, dy: Value) -> Value:
        return b.conv2d_kernel_grad(x, dy, kernel_shape=w.shape, padding=(around, around))

    got = compiled(forward, "f32", [x, w], convolution="winograd")
    assert_within(got, exactly(forward, [x, w]), "f32", c_in + TRANSFORMS, winograd_magnitude(whole, w))
    got = compiled(gradient, "f32", [x, dy], convolution="winograd")
    terms = images * -(-h // 2) * -(-v // 2) + TRANSFORMS
    assert_within(got, exactly(gradient, [x, dy]), "f32", terms, winograd_gradient_magnitude(whole, dy))


# ----------------------------------------------------------------------------------------------------------------------
# Sums, moves and loops

SHAPE = st.lists(st.sampled_from([0, 1, 2, 3, 7, 16, 33, 130]), min_size=1, max_size=3).map(tuple)


@given(SHAPE, st.data(), DTYPE, SEED, st.booleans())
@settings(DRAWN, max_examples=60)
def test_sums(shape: tuple[int, ...], data: st.DataObject, dtype: str, seed: int, special: bool) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    arrays = drawn(seed, dtype, shape, special=special)
    terms = int(np.prod([shape[axis] for axis in axes]))
    check(lambda b, x: b.sum(x, axes=axes), dtype, arrays, terms)


@given(SHAPE, st.data(), DTYPE, SEED, st.booleans(), st.sampled_from(["max", "min", "argmax", "argmin"]))
@settings(DRAWN, max_examples=40)
def test_extremes(shape: tuple[int, ...], data: st.DataObject, dtype: str, seed: int, special: bool, op: str) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    assume(shape[axis] > 0)
    attrs = {"axis": axis} if op.startswith("arg") else {"axes": (axis,)}
    check_exact(lambda b, x: b.op(op, x, **attrs), dtype, drawn(seed, dtype, shape, special=special))


@given(SHAPE, st.data(), DTYPE, SEED, st.booleans(), st.booleans())
@settings(DRAWN, max_examples=30)
def test_running_sums(
    shape: tuple[int, ...], data: st.DataObject, dtype: str, seed: int, reverse: bool, exclusive: bool
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    arrays = drawn(seed, dtype, shape)
    check(lambda b, x: b.cumsum(x, axis=axis, reverse=reverse, exclusive=exclusive), dtype, arrays, shape[axis])


@given(st.integers(0, 40), st.sampled_from([1, 2, 9, 300]), st.sampled_from([1, 5, 16, 35]), DTYPE, SEED, st.booleans())
@settings(DRAWN, max_examples=40)
def test_rows_by_id(count: int, rows: int, width: int, dtype: str, seed: int, special: bool) -> None:
    ids = np.random.default_rng(seed).integers(0, rows, count).astype(np.int32)
    table, updates = drawn(seed, dtype, (rows, width), (count, width), special=special)
    most = int(np.bincount(ids, minlength=1).max())
    check(lambda b, ids, updates: b.scatter_add(ids, updates, rows=rows), dtype, [ids, updates], most)
    check_exact(lambda b, ids, table: b.gather(table, ids), dtype, [ids, table])


@given(SHAPE, st.sampled_from(["f32", "f64"]), SEED, st.booleans(), st.booleans())
@settings(DRAWN, max_examples=30)
def test_orders(shape: tuple[int, ...], dtype: str, seed: int, descending: bool, special: bool) -> None:
    (x,) = drawn(seed, dtype, shape, special=special)
    check_exact(lambda b, x: b.op("argsort", x, descending=descending), dtype, [np.round(x)])


@given(st.integers(1, 3), st.sampled_from([1, 2, 9, 40]), st.sampled_from([1, 3, 16, 33]), DTYPE, SEED, st.booleans())
@settings(DRAWN, max_examples=30)
def test_loops(batch: int, length: int, units: int, dtype: str, seed: int, reverse: bool) -> None:
    """h <- rate * (h W) + x: each turn adds `units` products and two roundings to the error of what it starts from."""

    def body(b: Builder, h: Value, x: Value, rate: Value, w: Value) -> tuple[list[Value], list[Value]]:
        h = b.add(b.mul(b.matmul(h, w), rate), x)
        return [h], [h]

    def build(b: Builder, h: Value, x: Value, rate: Value, w: Value) -> Value:
        return scan(b, [h, x, rate, w], body, 1, 1, axis=1, reverse=reverse)[1]

    shapes = (batch, units), (batch, length, units), (batch, units), (units, units)
    h, x, rate, w = drawn(seed, dtype, *shapes)
    largest = max(1.0, float(np.abs(w).sum(axis=0).max() * np.abs(rate).max()))
    arrays = [h, x, rate, (w / largest).astype(w.dtype)]
    check(build, dtype, arrays, length * (units + 2))
