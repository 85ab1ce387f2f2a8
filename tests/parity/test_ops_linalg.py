"""Linear algebra against Keras on JAX: on arrays, inside recorded graphs, and the derivatives of those graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from kgraph import backend as K
from kgraph.errors import DataError, ShapeError, UnsupportedError
from tests.parity.comparing import assert_close, flat, keras, kgraph
from tests.parity.test_ops_image import through_a_model

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(3)
A = RNG.normal(size=(2, 4, 4)).astype("float32")
SPD = (A @ A.transpose(0, 2, 1) + np.eye(4)).astype("float32")
B = RNG.normal(size=(2, 4, 3)).astype("float32")
V = RNG.normal(size=(2, 4)).astype("float32")
WIDE = RNG.normal(size=(2, 5, 4)).astype("float32")
SWAPS = np.array([[0, 2, 1], [1, 0, 0], [0, 0, 3]], "float32")  # every pivot is in another row

Case = tuple[Callable[..., Any], list[Any]]
NATIVE: dict[str, Case] = {
    "cholesky": (lambda o, x: o.linalg.cholesky(x), [SPD]),
    "cholesky_one": (lambda o, x: o.cholesky(x), [SPD[0]]),
    "cholesky_upper": (lambda o, x: o.linalg.cholesky(x, upper=True), [SPD]),
    "cholesky_inverse": (lambda o, x: o.linalg.cholesky_inverse(x), [SPD[0]]),
    "cholesky_inverse_upper": (lambda o, x: o.linalg.cholesky_inverse(x, upper=True), [SPD[1]]),
    "det": (lambda o, x: o.linalg.det(x), [A]),
    "det_swaps": (lambda o, x: o.det(x), [SWAPS]),
    "inv": (lambda o, x: o.linalg.inv(x), [A]),
    "inv_swaps": (lambda o, x: o.inv(x), [SWAPS]),
    "solve": (lambda o, x, y: o.linalg.solve(x, y), [A, B]),
    "solve_vector": (lambda o, x, y: o.solve(x, y), [A[0], V[0]]),
    "solve_triangular": (lambda o, x, y: o.linalg.solve_triangular(x, y), [SPD, B]),
    "solve_triangular_lower": (lambda o, x, y: o.solve_triangular(x, y, lower=True), [SPD, B]),
    "slogdet": (lambda o, x: o.slogdet(x), [A]),
    "logdet": (lambda o, x: o.logdet(x), [A]),
    "cdist": (lambda o, x, y: o.cdist(x, y), [WIDE, A]),
    "norm": (lambda o, x: o.linalg.norm(x), [A]),
    "norm_axis": (lambda o, x: o.norm(x, axis=-1, keepdims=True), [A]),
    "norm_1": (lambda o, x: o.norm(x, 1, axis=1), [A]),
    "norm_3": (lambda o, x: o.norm(x, 3, axis=1), [A]),
    "norm_0": (lambda o, x: o.norm(x, 0, axis=1), [A]),
    "norm_inf": (lambda o, x: o.norm(x, np.inf, axis=2), [A]),
    "norm_minus_inf": (lambda o, x: o.norm(x, -np.inf, axis=2), [A]),
    "norm_vector": (lambda o, x: o.norm(x, 2), [V[0]]),
    "norm_fro": (lambda o, x: o.norm(x, "fro"), [A[0]]),
    "norm_fro_axes": (lambda o, x: o.norm(x, "fro", axis=(0, 2)), [A]),
    "norm_matrix_1": (lambda o, x: o.norm(x, 1), [A[0]]),
    "norm_matrix_inf": (lambda o, x: o.norm(x, np.inf, axis=(1, 2), keepdims=True), [A]),
    "norm_matrix_minus_1": (lambda o, x: o.norm(x, -1, axis=(2, 1)), [A]),
    "jvp": (
        lambda o, x, t: o.linalg.jvp(lambda z: o.sum(o.tanh(z) * z * z, axis=-1), (x,), (t,)),
        [V, V[::-1].copy()],
    ),
}
ON_ARRAYS: dict[str, Case] = {
    "norm_nuc": (lambda o, x: o.norm(x, "nuc"), [A[0]]),
    "norm_2": (lambda o, x: o.norm(x, 2, axis=(1, 2)), [A]),
    "pinv": (lambda o, x: o.linalg.pinv(x), [WIDE]),
    "matrix_rank": (lambda o, x: o.linalg.matrix_rank(x), [np.stack([np.eye(3), np.ones((3, 3))]).astype("f4")]),
    "lstsq": (lambda o, x, y: o.linalg.lstsq(x, y), [WIDE[0], RNG.normal(size=(5, 2)).astype("f4")]),
    "lstsq_vector": (lambda o, x, y: o.linalg.lstsq(x, y), [WIDE[0], RNG.normal(size=5).astype("f4")]),
    "lu_factor": (lambda o, x: o.linalg.lu_factor(x), [A]),
    "lu_factor_swaps": (lambda o, x: o.linalg.lu_factor(x), [SWAPS]),
    "svd_values": (lambda o, x: o.linalg.svd(x, compute_uv=False), [WIDE]),
    "svd_product": (lambda o, x: _product(o, *o.linalg.svd(x, full_matrices=False)), [WIDE]),
    "qr_product": (lambda o, x: o.matmul(*o.linalg.qr(x)), [WIDE]),
    "qr_sizes": (lambda o, x: [o.abs(f) for f in o.linalg.qr(x, mode="complete")][1], [WIDE]),
    "eigh_values": (lambda o, x: o.linalg.eigh(x)[0], [SPD]),
    "eigh_vectors": (lambda o, x: o.abs(o.linalg.eigh(x)[1]), [SPD]),
}


def _product(o: Any, u: Any, s: Any, vh: Any) -> Any:
    return o.matmul(u * o.expand_dims(s, -2), vh)


@pytest.mark.parametrize("case", [*NATIVE, *ON_ARRAYS])
def test_against_keras(case: str) -> None:
    make, arrays = (NATIVE | ON_ARRAYS)[case]
    theirs = flat(make(keras.ops, *[keras.ops.convert_to_tensor(x) for x in arrays]))
    ours = flat(make(kgraph.ops, *arrays))
    for a, b in zip(ours, theirs, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert_close(a, b, rtol=2e-4, atol=2e-5)
    if case in NATIVE:
        recorded = through_a_model(lambda *xs: make(kgraph.ops, *xs), arrays)
        for a, b in zip(recorded, ours, strict=True):
            assert_close(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("case", [name for name in NATIVE if not name.startswith(("norm_0", "jvp"))])
def test_derivative(case: str) -> None:
    make, arrays = NATIVE[case]
    size = sum(int(np.size(y)) for y in flat(make(kgraph.ops, *arrays)))
    weights = RNG.normal(size=size).astype("float32")

    def loss(o: Any, *xs: Any) -> Any:
        return o.sum(o.concatenate([o.reshape(y, (-1,)) for y in flat(make(o, *xs))]) * weights)

    theirs = jax.grad(lambda xs: loss(keras.ops, *xs))([keras.ops.convert_to_tensor(x) for x in arrays])
    inputs = [kgraph.Input(batch_shape=x.shape) for x in arrays]
    found = kgraph.Model(inputs, K.gradients(loss(kgraph.ops, *inputs), inputs))(arrays)
    for a, b in zip(flat(found), theirs, strict=True):
        assert_close(a, b, rtol=1e-3, atol=2e-4 * max(1.0, float(np.abs(b).max())))


def test_eig_of_a_real_matrix() -> None:
    values, vectors = kgraph.ops.linalg.eig(A)
    assert values.dtype == vectors.dtype == np.complex64
    np.testing.assert_allclose(A @ vectors, vectors * values[..., None, :], atol=1e-5)


@pytest.mark.parametrize("name", ["svd", "qr", "eig", "eigh", "pinv", "lstsq", "lu_factor", "matrix_rank"])
def test_factorisations_are_refused_in_models(name: str) -> None:
    x = kgraph.Input((4, 4))
    with pytest.raises(UnsupportedError, match=f"ops.{name} works on arrays only"):
        getattr(kgraph.ops, name)(*[x] * (2 if name == "lstsq" else 1))


@pytest.mark.parametrize("name", ["cholesky", "inv", "det", "slogdet", "eigh"])
def test_square_matrices_are_needed(name: str) -> None:
    with pytest.raises(ShapeError, match=f"{name} needs square matrices"):
        getattr(kgraph.ops, name)(WIDE)


def test_impossible_systems() -> None:
    with pytest.raises(DataError, match="not positive definite"):
        kgraph.ops.cholesky(-SPD)
    with pytest.raises(DataError, match="singular"):
        kgraph.ops.solve(np.ones((2, 2)), np.ones(2))
    with pytest.raises(ShapeError, match="does not fit"):
        kgraph.ops.solve(A, np.ones((2, 3, 1)))
    x = kgraph.Input(batch_shape=(4, 4))
    assert np.isnan(kgraph.Model(x, kgraph.ops.cholesky(x))(-SPD[0])).any()
    assert kgraph.Model(x, kgraph.ops.det(x))(np.ones((4, 4), "f4")) == 0.0
