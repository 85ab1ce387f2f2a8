"""kgraph.ops against NumPy and, for types and conventions, against Keras on JAX."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph import ops
from kgraph.core import Trace, Variable
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir import Dim, Graph

RNG = np.random.default_rng(3)


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


UNARY = {
    "abs": np.abs,
    "ceil": np.ceil,
    "cos": np.cos,
    "exp": np.exp,
    "expm1": np.expm1,
    "floor": np.floor,
    "negative": np.negative,
    "round": np.round,
    "sign": np.sign,
    "sin": np.sin,
    "square": np.square,
    "tanh": np.tanh,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "trunc": np.trunc,
}
POSITIVE = {
    "sqrt": np.sqrt,
    "log": np.log,
    "log1p": np.log1p,
    "reciprocal": np.reciprocal,
    "log2": np.log2,
    "log10": np.log10,
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    x = f32(3, 4) * 3
    np.testing.assert_allclose(getattr(ops, name)(x), UNARY[name](x), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", POSITIVE)
def test_unary_of_positive(name: str) -> None:
    x = np.abs(f32(3, 4)) + 0.1
    np.testing.assert_allclose(getattr(ops, name)(x), POSITIVE[name](x), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    "relu relu6 sigmoid softplus softsign silu leaky_relu elu selu celu gelu hard_sigmoid hard_silu hard_tanh "
    "log_sigmoid softmax log_softmax rsqrt erf normalize".split(),
)
def test_activation_equals_keras(name: str) -> None:
    import keras

    x = np.abs(f32(4, 5)) + 0.1 if name == "rsqrt" else f32(4, 5) * 4
    np.testing.assert_allclose(getattr(ops, name)(x), np.asarray(getattr(keras.ops, name)(x)), rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("add", (np.array([1, 2]), 1)),
        ("add", (np.array([1, 2]), 1.5)),
        ("add", (np.array([1.0, 2.0]), 1)),
        ("add", (np.array([True, False]), np.array([True, True]))),
        ("subtract", (np.array([1, 2]), np.array([1.0, 2.0], "float32"))),
        ("multiply", (np.array([True, False]), 2)),
        ("divide", (np.array([1, 2]), 2)),
        ("floor_divide", (np.array([-7, 7]), 2)),
        ("mod", (np.array([-7, 7]), 3)),
        ("power", (np.array([2, 3]), 2)),
        ("power", (np.array([2.0, 3.0]), 3)),
        ("maximum", (np.array([1, 5]), 3.0)),
        ("mean", (np.arange(4),)),
        ("sum", (np.ones(3, bool),)),
        ("max", (np.array([True, False]),)),
        ("argmax", (np.array([[1, 9], [9, 1]]), -1)),
        ("cumsum", (np.array([True, True]),)),
        ("exp", ([1, 2],)),
        ("sign", ([1, -2],)),
        ("arange", (3,)),
        ("arange", (3.0,)),
        ("one_hot", ([1, 2], 3)),
        ("equal", (np.array([1, 2]), 2.0)),
        ("where", (np.array([True, False]), 1, 2.5)),
        ("logical_and", (np.array([1, 0]), np.array([1, 1]))),
        ("clip", (np.array([1, 5, 9]), 2, 6)),
        ("convert_to_tensor", ([1, 2],)),
        ("std", (np.array([1, 5, 9]),)),
        ("all", (np.array([1, 0]),)),
    ],
)
def test_types_and_values_equal_keras(name: str, args: tuple) -> None:
    import keras

    ours, theirs = getattr(ops, name)(*args), np.asarray(getattr(keras.ops, name)(*args))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours.dtype == theirs.dtype


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (4,)),
        ((4,), (2, 4, 3)),
    ],
)
def test_matmul(a: tuple, b: tuple) -> None:
    x, y = f32(*a), f32(*b)
    np.testing.assert_allclose(ops.matmul(x, y), x @ y, rtol=1e-5, atol=1e-5)


def test_matmul_says_which_sizes_differ() -> None:
    with pytest.raises(ShapeError, match="inner sizes 3 and 4"):
        ops.matmul(f32(2, 3), f32(4, 5))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bqd,bkd->bqk", [(2, 3, 4), (2, 5, 4)]),
        ("...i,ij->...j", [(2, 3, 4), (4, 5)]),
        ("ij->ji", [(2, 3)]),
        ("ij,jk,kl", [(2, 3), (3, 4), (4, 5)]),
        ("abc,cb->a", [(2, 3, 4), (4, 3)]),
        ("i,j->ij", [(2,), (3,)]),
        ("ij,j->", [(2, 3), (3,)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
        ("ab,ab->ab", [(2, 3), (2, 3)]),
    ],
)
def test_einsum(equation: str, shapes: list) -> None:
    arrays = [f32(*shape) for shape in shapes]
    np.testing.assert_allclose(ops.einsum(equation, *arrays), np.einsum(equation, *arrays), rtol=1e-5, atol=1e-5)


def test_tensordot_and_dot() -> None:
    a, b = f32(2, 3, 4), f32(4, 3, 5)
    np.testing.assert_allclose(ops.tensordot(a, b, [[1, 2], [1, 0]]), np.tensordot(a, b, [[1, 2], [1, 0]]), rtol=1e-5)
    np.testing.assert_allclose(ops.tensordot(a, f32(4, 2), 1).shape, (2, 3, 2))
    c = f32(2, 4, 6)
    np.testing.assert_allclose(ops.dot(a, c), np.dot(a, c), rtol=1e-5, atol=1e-6)


X = np.arange(60, dtype="float32").reshape(3, 4, 5)


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        (slice(None), 1),
        (slice(None), slice(1, None), -1),
        (Ellipsis, None),
        (None, 1, Ellipsis, slice(0, 5, 2)),
        slice(None, None, -1),
        (slice(None), slice(3, 0, -2)),
        (slice(None), slice(None), slice(-3, None)),
        (slice(None), slice(2, 2)),
        (1, 2, 3),
        (slice(None), np.array([0, 2])),
        np.array([[0, 1], [2, 0]]),
    ],
)
def test_index(key: object) -> None:
    np.testing.assert_array_equal(ops.get_item(X, key), X[key])


def test_index_errors() -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        ops.get_item(X, 3)
    with pytest.raises(IndexError, match="too many"):
        ops.get_item(X, (0, 0, 0, 0))
    with pytest.raises(UnsupportedError, match="boolean mask"):
        ops.get_item(X, X > 3)


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("transpose", (X,), X.T),
        ("transpose", (X, (1, 0, 2)), X.transpose(1, 0, 2)),
        ("swapaxes", (X, 0, -1), X.swapaxes(0, -1)),
        ("moveaxis", (X, [0, 1], [-1, 0]), np.moveaxis(X, [0, 1], [-1, 0])),
        ("reshape", (X, (4, -1)), X.reshape(4, -1)),
        ("ravel", (X,), X.ravel()),
        ("expand_dims", (X, (0, -1)), np.expand_dims(X, (0, -1))),
        ("squeeze", (X[:1],), X[0]),
        ("flip", (X, 1), np.flip(X, 1)),
        ("tile", (X, (2, 1, 3)), np.tile(X, (2, 1, 3))),
        ("tile", (X, 2), np.tile(X, 2)),
        ("repeat", (X, 2, 1), np.repeat(X, 2, 1)),
        ("repeat", (X, 2), np.repeat(X, 2)),
        ("roll", (X, 2, 1), np.roll(X, 2, 1)),
        ("roll", (X, -7), np.roll(X, -7)),
        ("pad", (X, ((0, 0), (1, 2), (0, 1))), np.pad(X, ((0, 0), (1, 2), (0, 1)))),
        ("pad", (X, ((0, 0), (1, 2), (0, 1)), "reflect"), np.pad(X, ((0, 0), (1, 2), (0, 1)), "reflect")),
        ("pad", (X, 1, "edge"), np.pad(X, 1, "edge")),
        ("pad", (X, 1, "symmetric"), np.pad(X, 1, "symmetric")),
        ("take", (X, [0, -1], 1), X.take([0, -1], 1)),
        ("take", (X, [[1, 5]]), X.take([[1, 5]])),
        ("stack", ([X, X + 1], -1), np.stack([X, X + 1], -1)),
        ("concatenate", ([X, X + 1], 1), np.concatenate([X, X + 1], 1)),
        ("broadcast_to", (X[0], (2, 4, 5)), np.broadcast_to(X[0], (2, 4, 5))),
        ("tril", (X, 1), np.tril(X, 1)),
        ("triu", (X, -1), np.triu(X, -1)),
        ("eye", (3, 4, 1), np.eye(3, 4, 1)),
        ("full", ((2, 3), 7), np.full((2, 3), 7)),
        ("zeros_like", (X,), np.zeros_like(X)),
        ("linspace", (0.0, 1.0, 5), np.linspace(0, 1, 5)),
        ("prod", (X + 1, 0), np.prod(X + 1, 0)),
        ("var", (X, (0, 2)), np.var(X, (0, 2))),
        ("logsumexp", (X, 1), np.log(np.exp(X.astype("float64")).sum(1))),
        ("count_nonzero", (X, 0), np.count_nonzero(X, 0)),
        ("outer", (X[0, 0], X[0, 1]), np.outer(X[0, 0], X[0, 1])),
        ("divide_no_nan", (X[0, 0], np.array([0, 1, 0, 2, 4.0])), np.array([0, 1, 0, 1.5, 1])),
    ],
)
def test_shapes_and_reductions(name: str, args: tuple, expected: np.ndarray) -> None:
    result = getattr(ops, name)(*args)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_split() -> None:
    for given in (2, [1, 3]):
        for ours, theirs in zip(ops.split(X, given, axis=1), np.split(X, given, axis=1)):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ShapeError, match="cannot be cut into 3"):
        ops.split(X, 3, axis=1)


def test_take_along_axis() -> None:
    ids = np.argsort(X * -1, axis=1)[:, :2]
    np.testing.assert_array_equal(ops.take_along_axis(X, ids, axis=1), np.take_along_axis(X, ids, axis=1))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("rank", [1, 2])
def test_conv_and_pool_equal_keras(rank: int, strides: int, padding: str) -> None:
    import keras

    x = f32(2, *(9, 8)[:rank], 3)
    k = f32(*(3, 2)[:rank], 3, 4)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(
        ops.conv(x, k, strides, padding), np.asarray(keras.ops.conv(x, k, strides, padding)), **close
    )
    for name in ("max_pool", "average_pool"):
        ours, theirs = getattr(ops, name)(x, 2, strides, padding), getattr(keras.ops, name)(x, 2, strides, padding)
        np.testing.assert_allclose(ours, np.asarray(theirs), **close)


def test_conv_layouts_groups_and_dilation() -> None:
    import keras

    x, k = f32(2, 9, 8, 4), f32(3, 3, 2, 6)
    np.testing.assert_allclose(
        ops.conv(x, k, dilation_rate=2), np.asarray(keras.ops.conv(x, k, dilation_rate=2)), rtol=1e-4, atol=1e-5
    )
    first = ops.conv(x.transpose(0, 3, 1, 2), k, data_format="channels_first")
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), ops.conv(x, k), rtol=1e-5, atol=1e-6)
    d = f32(3, 3, 4, 2)
    np.testing.assert_allclose(
        ops.depthwise_conv(x, d), np.asarray(keras.ops.depthwise_conv(x, d)), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ShapeError, match="4 channels does not fit a kernel for 3"):
        ops.conv(x, f32(3, 3, 3, 6))


def test_scan_closes_over_tensors() -> None:
    w = f32(3, 3)
    xs = f32(5, 2, 3)
    final, ys = ops.scan(lambda h, x: (ops.tanh(h @ w + x), h), np.zeros((2, 3), "float32"), xs)
    h, expected = np.zeros((2, 3), "float32"), []
    for x in xs:
        expected.append(h)
        h = np.tanh(h @ w + x)
    np.testing.assert_allclose(final, h, rtol=1e-5)
    np.testing.assert_allclose(ys, np.stack(expected), rtol=1e-5)
    assert ops.fori_loop(0, 4, lambda i, v: v + i, np.int32(1)) == 7
    np.testing.assert_array_equal(ops.map(lambda x: x * 2, xs), xs * 2)


def test_scan_refuses_a_state_that_changes() -> None:
    with pytest.raises(ShapeError, match="state 0 changes its shape"):
        ops.scan(lambda h, x: (ops.concatenate([h, h]), None), np.zeros(2, "float32"), f32(3, 2))


def test_a_known_condition_calls_one_function() -> None:
    assert ops.cond(np.bool_(True), lambda: 1, lambda: 1 / 0) == 1
    assert ops.cond(Variable(0.0), lambda: 1 / 0, lambda: 2) == 2


def test_reshape_with_symbolic_sizes() -> None:
    with Trace(Graph("g")) as trace:
        batch = Dim.symbol("B")
        x = trace.input("x", (batch, 20, 4))
        assert ops.reshape(x, (-1, 4)).dims == (batch * 20, 4)
        assert ops.reshape(x, (ops.shape(x)[0], -1)).dims == (batch, 80)
        assert ops.shape(x) == (batch, 20, 4)
        assert ops.cast(ops.shape(x)[0], "float32").dtype == "float32"
        assert ops.zeros((batch, 3)).shape == (None, 3)
        assert x[:, -1].dims == (batch, 4)
        assert x[::-1, ::2].dims == (batch, 10, 4)
        with pytest.raises(ShapeError, match="cannot take the shape"):
            ops.reshape(x, (7, -1))


def test_wide_arrays_become_narrow_and_large_integers_stay() -> None:
    assert ops.add(np.zeros(2), 1).dtype == np.float32
    assert ops.add(np.zeros(2, np.int64), 1).dtype == np.int32
    assert ops.convert_to_tensor(np.array([2**40])).dtype == np.int64
    assert ops.convert_to_tensor([1, 2], "float64").dtype == np.float64


def test_none_is_no_tensor() -> None:
    with pytest.raises(InvalidArgumentError, match="None"):
        ops.add(np.ones(2), None)
