"""Elementwise functions, sorting and reductions of `keras.ops`: on arrays, compiled, recorded; and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kgraph as kg
from kgraph.errors import UnsupportedError
from tests.parity.comparing import keras
from tests.parity.native import Call, check

RNG = np.random.default_rng(4)
NAN, INF = np.nan, np.inf


def floats(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).uniform(low, high, shape).astype("float32")


def whole(*shape: int, low: int = -9, high: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype("int32")


def holed(*shape: int) -> np.ndarray:
    """Numbers with NaN among them, and one row of NaN alone."""
    x = floats(*shape)
    x[np.random.default_rng(1).random(shape) < 0.3] = NAN
    x[-1] = NAN
    return x


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 3.0, -2.5, INF, -INF, NAN, 1e10, -1e-10], "float32")
PAIRS = [np.repeat(SPECIAL, 12), np.tile(SPECIAL, 12)]
X, Y = floats(3, 4), floats(3, 4, low=0.5, high=3.0, seed=1)
N, J = whole(3, 4), whole(3, 4, low=1, high=7, seed=1)
BOOL = np.array([[True, False, True], [False, False, True]])


def elementwise() -> list[Call]:
    unit, above = floats(3, 4, low=-0.95, high=0.95), floats(3, 4, low=1.2, high=4.0)
    calls = [Call(name, [X], smooth=True) for name in "arctan arcsinh cbrt exp2 erfc sinc i0 fabs deg2rad".split()]
    calls += [Call(name, [unit], smooth=True) for name in "arcsin arccos arctanh erfinv".split()]
    calls += [Call("arccosh", [above], smooth=True), Call("rad2deg", [X], smooth=True)]
    calls += [Call("arctan", [np.array([-1e8, -3.0, 0.0, 1e-8, 1e30, INF, -INF, NAN], "float32")])]
    calls += [Call("arcsinh", [np.array([-1e20, -30.0, 0.0, 1e-8, 1e12, INF, -INF, NAN], "float32")], rtol=1e-6)]
    calls += [Call("arccosh", [np.array([1.0, 1e20, 0.5, INF, NAN, 1.0001], "float32")], rtol=1e-6)]
    calls += [Call("arcsin", [np.array([-1.0, 1.0, 1e-6, 1.5, NAN], "float32")], rtol=1e-6)]
    calls += [Call("arccos", [np.array([-1.0, 1.0, 0.9999999, 1.5, NAN], "float32")], rtol=1e-6)]
    calls += [Call("arctanh", [np.array([-1.0, 1.0, 1e-6, 1.5, NAN], "float32")], rtol=1e-6)]
    calls += [Call("cbrt", [np.array([-8.0, 0.0, 1e30, 1e-30, INF, -INF, NAN], "float32")], rtol=1e-6, atol=0)]
    calls += [Call("erfc", [floats(50, low=-3, high=9)], rtol=1e-5, atol=0)]
    calls += [Call("erfinv", [np.array([-1.0, 1.0, 0.99999, 1e-6, 2.0, NAN], "float32")], atol=0)]
    calls += [
        Call("i0", [floats(20, low=-20, high=20)], rtol=1e-6),
        Call("sinc", [np.array([0.0, 1.0, 0.5], "float32")]),
    ]
    calls += [Call(name, [N]) for name in "arctan fabs deg2rad exp2 i0 sinc angle".split()]
    calls += [Call(name, [X, Y], smooth=True) for name in "arctan2 hypot logaddexp2 fmax fmin fmod".split()]
    calls += [Call(name, PAIRS, rtol=1e-6) for name in "arctan2 fmax fmin heaviside isclose nextafter".split()]
    calls += [Call("hypot", [np.array([3e38, 0.0, INF, 1e-30], "float32"), np.array([1e38, 0.0, NAN, 0], "float32")])]
    calls += [Call("logaddexp2", [PAIRS[0], PAIRS[1]], rtol=1e-6)]
    calls += [Call(name, [N, J]) for name in "fmod fmax fmin gcd lcm".split()]
    calls += [Call("gcd", [np.array([832040, 0, 0, -12], "int32"), np.array([514229, 0, 5, 18], "int32")])]
    calls += [Call("ldexp", [X, N], smooth=True), Call("ldexp", [floats(2) * 1e-30, np.array([130, 125], "int32")])]
    calls += [Call(name, [SPECIAL]) for name in "isneginf isposinf isreal real imag conj conjugate copy".split()]
    calls += [Call("signbit", [SPECIAL]), Call("signbit", [N]), Call("angle", [SPECIAL]), Call("nan_to_num", [SPECIAL])]
    calls += [Call("nan_to_num", [SPECIAL], {"nan": 1.0, "posinf": 2.0, "neginf": -3.0}), Call("nan_to_num", [N])]
    calls += [Call("isclose", PAIRS, {"equal_nan": True, "rtol": 0.6}), Call("allclose", [X, X + 1e-9], known=True)]
    calls += [
        Call("inner", [X, Y[0]], known=True, smooth=True),
        Call("inner", [floats(5), floats(5, seed=2)], known=True),
    ]
    return calls


def bits() -> list[Call]:
    calls = [Call(f"bitwise_{name}", [N, J]) for name in "and or xor left_shift right_shift".split()]
    calls += [Call("left_shift", [N, np.full((3, 4), 33, "int32")]), Call("right_shift", [N, J])]
    calls += [Call("right_shift", [N, np.full((3, 4), 40, "int32")]), Call("bitwise_not", [N])]
    calls += [Call(f"bitwise_{name}", [BOOL, ~BOOL[:, :1]]) for name in "and or xor".split()]
    calls += [Call("bitwise_invert", [BOOL]), Call("bitwise_and", [N.astype("uint8"), J.astype("uint8")])]
    calls += [Call("bitwise_right_shift", [N.astype("uint8"), J.astype("uint8")])]
    calls += [Call("view", [X], {"dtype": "int32"}), Call("view", [N], {"dtype": "float32"})]
    big = np.array([-1e20, -200.0, -0.5, 77.9, 300.0, 3e9, INF], "float32")
    calls += [Call("saturate_cast", [big], {"dtype": dtype}) for dtype in ("int32", "uint8", "int8")]
    calls += [Call("saturate_cast", [N * 100], {"dtype": dtype}) for dtype in ("uint8", "int8", "bool")]
    return calls


def reductions() -> list[Call]:
    cube, nans = floats(3, 4, 5), holed(3, 4, 5)
    calls = []
    for name in "nansum nanmean nanmax nanmin nanprod nanvar nanstd nanmedian".split():
        calls += [Call(name, [nans], {"axis": axis}) for axis in (None, 1, (0, 2))]
        calls += [Call(name, [nans], {"axis": -1, "keepdims": True})]
    calls += [Call(name, [floats(2, 5)], {"axis": 1}, smooth=True) for name in "nanmean nanmax nanstd".split()]
    calls += [Call(name, [N], {"axis": 1}) for name in "nansum nanmax nanargmax nanmean".split()]
    for name in ("nanargmax", "nanargmin"):
        calls += [
            Call(name, [nans], {"axis": 1}),
            Call(name, [nans[:2]], {}),
            Call(name, [nans], {"axis": 2, "keepdims": True}),
        ]
    for name in ("nancumsum", "nancumprod"):
        calls += [Call(name, [nans], {"axis": 1}), Call(name, [nans], {})]
    calls += [Call("cumprod", [cube], {"axis": axis}, smooth=axis != 2) for axis in (0, 1, 2)]
    calls += [Call("cumprod", [N], {}), Call("cumprod", [N], {"axis": 1, "dtype": "float32"})]
    calls += [Call("ptp", [cube], {"axis": (0, 2), "keepdims": True}, smooth=True), Call("ptp", [N], {"axis": 1})]
    calls += [
        Call("average", [cube], {"axis": 1}),
        Call("average", [N]),
        Call("average", [X], {"weights": Y}, known=True),
    ]
    calls += [Call("average", [X], {"axis": 1, "weights": Y[0]}, smooth=True)]
    calls += [Call("diff", [X]), Call("diff", [cube], {"n": 2, "axis": 1}, smooth=True), Call("diff", [BOOL])]
    calls += [Call("trapezoid", [X], smooth=True), Call("trapezoid", [cube], {"dx": 0.5, "axis": 1})]
    calls += [Call("trapezoid", [X, np.sort(Y)], smooth=True), Call("trapezoid", [X], {"x": np.arange(4.0) ** 2})]
    calls += [Call("corrcoef", [X], known=True, smooth=True), Call("corrcoef", [floats(6)], known=True)]
    return calls


def quantiles() -> list[Call]:
    cube, nans = floats(3, 4, 5), holed(3, 4, 5)
    calls = [Call("median", [cube], {"axis": axis}) for axis in (None, 0, 1, (0, 2))]
    calls += [
        Call("median", [cube], {"axis": 1, "keepdims": True}, smooth=True),
        Call("median", [N]),
        Call("median", [nans]),
    ]
    calls += [
        Call("quantile", [cube], {"q": 0.3, "axis": 2, "method": m}) for m in "lower higher midpoint nearest".split()
    ]
    calls += [Call("quantile", [cube], {"q": 0.3, "axis": 1}, smooth=True)]
    calls += [
        Call("quantile", [cube], {"q": np.array([0.0, 0.45, 1.0], "float32"), "axis": (1, 2), "keepdims": k})
        for k in (False, True)
    ]
    calls += [Call("quantile", [nans], {"q": 0.5, "axis": 2}), Call("percentile", [cube], {"q": 30, "axis": 0})]
    calls += [Call("percentile", [cube], {"q": np.array([10.0, 90.0], "float32")})]
    calls += [Call("nanquantile", [nans], {"q": q, "axis": 1}) for q in (0.25, np.array([0.2, 0.9], "float32"))]
    calls += [Call("nanpercentile", [nans], {"q": 40.0, "axis": 2, "keepdims": True})]
    return calls


def sorting() -> list[Call]:
    nans, ties = holed(3, 4, 5), whole(3, 40, low=0, high=6)
    calls = [Call("sort", [nans], {"axis": axis}) for axis in (0, 1, -1, None)]
    calls += [
        Call("sort", [floats(2, 9)], smooth=True),
        Call("sort", [BOOL]),
        Call("argsort", [ties]),
        Call("sort", [ties]),
    ]
    calls += [Call("argsort", [nans], {"axis": axis}) for axis in (0, 2, None)]
    calls += [Call("top_k", [floats(3, 20)], {"k": 4}, smooth=True), Call("top_k", [ties], {"k": 7})]
    scores = floats(6, 5)
    scores[2, 1], scores[3, 1] = scores[2, 3], NAN
    targets = np.array([0, 1, 1, 1, 4, 2], "int32")
    calls += [Call("in_top_k", [targets, scores], {"k": k}) for k in (1, 3)]
    edges, values = np.sort(floats(7)), np.concatenate([floats(9), [NAN, INF, -INF]]).astype("float32")
    edges[3] = edges[2]
    values[:3] = edges[:3]
    for side in ("left", "right"):
        calls += [Call("searchsorted", [edges, values], {"side": side}, known=True)]
        calls += [Call("searchsorted", [np.array([1, 3, 3, 8], "int32"), N], {"side": side}, known=True)]
    calls += [
        Call("digitize", [values, edges], known=True),
        Call("digitize", [N, np.array([-4, 0, 5], "int32")], known=True),
    ]
    calls += [
        Call("isin", [N, J[0]], known=True),
        Call("isin", [N, J[0]], {"invert": True}, known=True),
        Call("isin", [X, X[:, :2]], known=True),
    ]
    calls += [
        Call("histogram", [floats(50)], {"bins": 7}),
        Call("histogram", [floats(50)], {"bins": 4, "range": (-1, 1)}),
    ]
    calls += [Call("histogram", [np.ones(3, "float32")])]
    a, b = floats(7), floats(4, seed=3)
    calls += [
        Call("correlate", [x, y], {"mode": m}, known=True)
        for m in ("valid", "same", "full")
        for x, y in ((a, b), (b, a), (a, a))
    ]
    calls += [Call("correlate", [a, b], known=True, smooth=True)]
    rows, ids = floats(6, 3), np.array([2, 0, 2, 4, -1, 1], "int32")
    for name in ("sum", "max", "min", "prod"):
        calls += [Call(f"segment_{name}", [rows, ids], {"num_segments": 4}, smooth=name != "prod")]
        calls += [
            Call(f"segment_{name}", [rows[:, 0], ids], {"num_segments": 6}),
            Call(f"segment_{name}", [whole(6, 2), ids], {"num_segments": 4}),
        ]
    return calls


CALLS = [*elementwise(), *bits(), *reductions(), *quantiles(), *sorting()]


@pytest.mark.filterwarnings("ignore")  # NaN in NumPy's own arithmetic; keras on int64
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_as_keras(call: Call) -> None:
    check(call)


# -- what has no shape without values --------------------------------------------------------------------------------
VALUES = whole(12, low=0, high=5)
ARRAY_ONLY: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "nonzero": ([N], {}),
    "unique": ([VALUES], {"return_index": True, "return_inverse": True, "return_counts": True}),
    "bincount": ([VALUES], {"weights": floats(12), "minlength": 8}),
}


@pytest.mark.parametrize("name", ARRAY_ONLY)
def test_on_arrays_only(name: str) -> None:
    arrays, settings = ARRAY_ONLY[name]
    ours, theirs = (getattr(module.ops, name)(*arrays, **settings) for module in (kg, keras))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-6)
    with pytest.raises(UnsupportedError, match=name):
        getattr(kg.ops, name)(kg.Input((3,), dtype="int32"))
    with pytest.raises(UnsupportedError, match=name):
        kg.Sequential([kg.Input((3,)), kg.layers.Lambda(lambda x: getattr(kg.ops, name)(x))])


def test_bins_by_their_edges() -> None:
    for ours, theirs in zip(kg.ops.histogram(N, bins=[-5.0, 0, 2, 9]), np.histogram(N, [-5.0, 0, 2, 9]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_saturated_floats() -> None:
    """Keras 3.15 on JAX makes the least int32 of every integer here."""
    np.testing.assert_array_equal(kg.ops.saturate_cast(N, "float32"), N)
    np.testing.assert_array_equal(kg.ops.saturate_cast(floats(3) * 1e6, "float16"), np.sign(floats(3)) * 65504)


def test_unique_of_a_size() -> None:
    for size in (2, 9):
        for ours, theirs in zip(
            kg.ops.unique(VALUES, size=size, return_counts=True, fill_value=7),
            keras.ops.unique(VALUES, size=size, return_counts=True, fill_value=7),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, np.asarray(theirs))


def test_bincount_of_rows() -> None:
    rows = VALUES.reshape(3, 4)
    np.testing.assert_array_equal(kg.ops.bincount(rows), np.asarray(keras.ops.bincount(rows)))


@pytest.mark.parametrize("axis", [-1, 0, None])
def test_argpartition_parts(axis: int | None) -> None:
    x = floats(6, 7)
    order = kg.ops.argpartition(x, 3, axis)
    got = np.take_along_axis(x.ravel() if axis is None else x, order, axis or 0 if axis != -1 else -1)
    moved = np.moveaxis(got, -1 if axis is None else axis, -1)
    assert (moved[..., :3].max(-1) <= moved[..., 3]).all()
    assert (moved[..., 3] <= moved[..., 4:].min(-1)).all()


def test_segments_are_counted_on_arrays() -> None:
    np.testing.assert_array_equal(kg.ops.segment_sum(np.ones(3, "float32"), np.array([0, 2, 2])), [1, 0, 2])
    with pytest.raises(UnsupportedError, match="num_segments"):
        kg.ops.segment_sum(kg.Input((3,)), kg.Input((), dtype="int32"))


@pytest.mark.parametrize("name", ["polar", "view_as_complex", "view_as_real"])
def test_complex_numbers_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match="real numbers only"):
        getattr(kg.ops, name)(*([X] * (2 if name == "polar" else 1)))


def test_a_view_of_another_width() -> None:
    np.testing.assert_array_equal(kg.ops.view(X, "uint8"), X.view("uint8"))
    with pytest.raises(UnsupportedError, match="one width"):
        kg.ops.view(kg.Input((3,)), "uint8")
