"""Making, joining, cutting, indexing and transforming tensors, against Keras: on arrays and in recorded graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from tests.parity.comparing import assert_close, flat, keras, kgraph
from tests.parity.test_ops_image import through_a_model

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(11)
X = RNG.normal(size=(4, 6)).astype("float32")
Y = RNG.normal(size=(4, 6)).astype("float32")
CUBE = RNG.normal(size=(2, 4, 6)).astype("float32")
V = RNG.normal(size=5).astype("float32")
WHOLE = np.arange(12, dtype="int32").reshape(3, 4)
IDS = np.array([[0, 1], [3, 5], [-1, 0], [0, 1]], "int32")
ROWS = np.array([[2], [0], [2]], "int32")
SIGNAL = RNG.normal(size=(2, 50)).astype("float32")
STARTS = np.array([1, 2], "int32")

Case = tuple[Callable[..., Any], list[Any]]
CASES: dict[str, Case] = {
    "append": (lambda o, x, y: o.append(x, y), [X, Y]),
    "append_axis": (lambda o, x, y: o.append(x, y, axis=1), [X, Y]),
    "array": (lambda o, x: o.array(x, dtype="int32"), [X]),
    "array_split": (lambda o, x: o.array_split(x, 4, axis=1), [X]),
    "diag": (lambda o, x: o.diag(x), [V]),
    "diag_above": (lambda o, x: o.diag(x, k=2), [V]),
    "diag_below": (lambda o, x: o.diag(x, k=-1), [V]),
    "diag_of_matrix": (lambda o, x: o.diag(x, k=1), [X]),
    "diagflat": (lambda o, x: o.diagflat(x, k=1), [WHOLE]),
    "diagonal": (lambda o, x: o.diagonal(x), [X]),
    "diagonal_axes": (lambda o, x: o.diagonal(x, offset=-2, axis1=2, axis2=1), [CUBE]),
    "trace": (lambda o, x: o.trace(x, offset=1, axis1=1, axis2=2), [CUBE]),
    "dsplit": (lambda o, x: o.dsplit(x, 2), [CUBE]),
    "hsplit": (lambda o, x: o.hsplit(x, [1, 2]), [X]),
    "vsplit": (lambda o, x: o.vsplit(x, 2), [X]),
    "dstack": (lambda o, x, y: o.dstack([x, y]), [X, Y]),
    "hstack": (lambda o, x, y: o.hstack([x, y]), [X, Y]),
    "hstack_vectors": (lambda o, x: o.hstack([x, x]), [V]),
    "vstack": (lambda o, x: o.vstack([x, x]), [V]),
    "empty_like": (lambda o, x: o.shape(o.empty_like(x)), [X]),
    "fliplr": (lambda o, x: o.fliplr(x), [X]),
    "flipud": (lambda o, x: o.flipud(x), [X]),
    **{f"rot90_{k}": (lambda o, x, k=k: o.rot90(x, k=k, axes=(1, 2)), [CUBE]) for k in (-1, 0, 1, 2)},
    "linspace": (lambda o, x, y: o.linspace(x, y, 5, axis=1), [X, Y]),
    "linspace_open": (lambda o, x, y: o.linspace(x, y, 4, endpoint=False), [V, V + 2]),
    "linspace_step": (lambda o, x, y: o.linspace(x, y, 4, retstep=True)[1], [V, V + 2]),
    "logspace_tensors": (lambda o, x, y: o.logspace(x, y, 4), [V, V + 2]),
    "geomspace_tensors": (lambda o, x, y: o.geomspace(x, y, 4, axis=-1), [np.abs(V) + 1, np.abs(V) + 3]),
    "kron": (lambda o, x, y: o.kron(x, y), [WHOLE, WHOLE[:2, :2]]),
    "kron_ranks": (lambda o, x, y: o.kron(x, y), [CUBE, V]),
    "cross": (lambda o, x, y: o.cross(x, y), [X[:, :3], Y[:, :3]]),
    "cross_flat": (lambda o, x, y: o.cross(x, y), [X[:, :2], Y[:, :2]]),
    "cross_mixed": (lambda o, x, y: o.cross(x, y, axisa=0, axisc=0), [X[:3, :4], Y[:, :2]]),
    "vdot": (lambda o, x, y: o.vdot(x, y), [X, Y]),
    "meshgrid": (lambda o, x, y: o.meshgrid(x, y), [V, X[0]]),
    "meshgrid_ij": (lambda o, x, y: o.meshgrid(x, y, x, indexing="ij"), [V, X[0]]),
    "vander": (lambda o, x: o.vander(x), [V]),
    "vander_increasing": (lambda o, x: o.vander(x, N=3, increasing=True), [V]),
    "unravel_index": (lambda o, x: o.unravel_index(x, (3, 2, 4)), [WHOLE]),
    "select": (lambda o, x, y: o.select([x > 1, y > 0], [x, y * 2], default=-1.0), [X, Y]),
    "rearrange": (lambda o, x: o.rearrange(x, "b (h g) w -> g (b w) h", h=2), [CUBE]),
    "rearrange_merge": (lambda o, x: o.rearrange(x, "a b c -> c (a b)"), [CUBE]),
    "slice": (lambda o, x: o.slice(x, [1, 2], [2, 3]), [X]),
    "slice_rest": (lambda o, x: o.slice(x, [1, 2], [-1, 3]), [X]),
    "slice_moved_inside": (lambda o, x: o.slice(x, [3, 5], [2, 3]), [X]),
    "slice_tensor": (lambda o, x, s: o.slice(x, s, [2, 3]), [X, STARTS]),
    "slice_update": (lambda o, x, y: o.slice_update(x, [1, 2], y), [X, Y[:2, :3]]),
    "slice_update_tensor": (lambda o, x, s, y: o.slice_update(x, s, y), [X, STARTS * 2, Y[:2, :3]]),
    "scatter": (lambda o, i, v: o.scatter(i, v, (4, 6)), [IDS, V[:4]]),
    "scatter_rows": (lambda o, i, v: o.scatter(i, v, (4, 6)), [ROWS, X[:3]]),
    "scatter_update_last": (lambda o, x, i, v: o.scatter_update(x, i, v), [X, IDS, V[:4]]),
    **{
        f"scatter_update_{how}": (lambda o, x, i, v, how=how: o.scatter_update(x, i, v, reduction=how), [X, IDS, V[:4]])
        for how in ("add", "max", "min", "mul")
    },
    "scatter_update_rows": (lambda o, x, i, v: o.scatter_update(x, i, v), [X, ROWS, Y[:3]]),
    "fft": (lambda o, x, y: o.fft((x, y)), [X, Y]),
    "fft_two_steps": (lambda o, x, y: o.fft((x, y)), [RNG.normal(size=(2, 300)).astype("f4"), np.ones((2, 300), "f4")]),
    "fft2": (lambda o, x, y: o.fft2((x, y)), [X, Y]),
    "ifft2": (lambda o, x, y: o.ifft2((x, y)), [X, Y]),
    "rfft": (lambda o, x: o.rfft(x), [SIGNAL]),
    "rfft_cut": (lambda o, x: o.rfft(x, fft_length=17), [SIGNAL]),
    "rfft_filled": (lambda o, x: o.rfft(x, fft_length=64), [SIGNAL]),
    "irfft": (lambda o, x, y: o.irfft((x, y)), [X, Y]),
    "irfft_odd": (lambda o, x, y: o.irfft((x, y), fft_length=9), [X, Y]),
    "irfft_filled": (lambda o, x, y: o.irfft((x, y), fft_length=14), [X, Y]),
    "extract_sequences": (lambda o, x: o.extract_sequences(x, 12, 5), [SIGNAL]),
    "extract_sequences_apart": (lambda o, x: o.extract_sequences(x, 4, 9), [SIGNAL]),
    "stft": (lambda o, x: o.stft(x, 10, 4, 16), [SIGNAL]),
    "stft_hamming": (lambda o, x: o.stft(x, 10, 4, 11, window="hamming", center=False), [SIGNAL]),
    "stft_plain": (lambda o, x: o.stft(x, 8, 8, 8, window=None), [SIGNAL]),
    "istft": (lambda o, x: o.istft(o.stft(x, 10, 4, 16), 10, 4, 16), [SIGNAL]),
    "istft_length": (lambda o, x: o.istft(o.stft(x, 10, 4, 16), 10, 4, 16, length=40), [SIGNAL]),
    "istft_plain": (lambda o, x: o.istft(o.stft(x, 8, 4, 8, window=None), 8, 4, 8, window=None), [SIGNAL]),
    "istft_edges": (
        lambda o, x: o.istft(o.stft(x, 10, 4, 10, "hamming", False), 10, 4, 10, None, "hamming", False),
        [SIGNAL],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_against_keras(case: str) -> None:
    make, arrays = CASES[case]
    theirs = flat(make(keras.ops, *[keras.ops.convert_to_tensor(x) for x in arrays]))
    ours = flat(make(kgraph.ops, *arrays))
    for a, b in zip(ours, theirs, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype or case == "empty_like"
        assert_close(a, b, rtol=1e-4, atol=1e-4 if "ft" in case else 1e-6)
    if case == "empty_like":
        return
    recorded = through_a_model(lambda *xs: make(kgraph.ops, *xs), arrays)
    for a, b in zip(recorded, ours, strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-4 if "ft" in case else 1e-6)


MADE: dict[str, Callable[[Any], Any]] = {
    "geomspace": lambda o: o.geomspace(1.0, 256.0, num=9),
    "logspace": lambda o: o.logspace(0, 2, num=5, endpoint=False),
    "logspace_base": lambda o: o.logspace(0.0, 3.0, num=4, base=2),
    "tri": lambda o: o.tri(3, 4, k=1),
    **{name: (lambda o, name=name: getattr(o, name)(7)) for name in ("bartlett", "blackman", "hamming", "hanning")},
    "kaiser": lambda o: o.kaiser(6, 3.5),
}


@pytest.mark.parametrize("case", MADE)
def test_made_of_numbers(case: str) -> None:
    ours, theirs = MADE[case](kgraph.ops), MADE[case](keras.ops)
    assert ours.dtype == np.asarray(theirs).dtype
    assert_close(ours, theirs)


def test_a_long_transform_agrees_with_numpy_in_a_model() -> None:
    x = RNG.normal(size=(1, 4096)).astype("float32")
    inputs = kgraph.Input(batch_shape=x.shape)
    re, im = kgraph.Model(inputs, list(kgraph.ops.rfft(inputs)))(x)
    np.testing.assert_allclose(re + 1j * im, np.fft.rfft(x), atol=2e-3)
    with pytest.raises(UnsupportedError, match="a prime number"):
        kgraph.ops.rfft(kgraph.Input((4099,)))


def test_is_tensor() -> None:
    assert kgraph.ops.is_tensor(X)
    assert kgraph.ops.is_tensor(kgraph.Input((3,)))
    assert not any(kgraph.ops.is_tensor(x) for x in (1.0, [1], None))


@pytest.mark.parametrize(
    ("run", "error", "text"),
    [
        (lambda o: o.rearrange(X, "a b -> a c"), InvalidArgumentError, "different axes"),
        (lambda o: o.rearrange(X, "(a b) (c d) -> a b c d"), InvalidArgumentError, "leaves the sizes of a and b open"),
        (lambda o: o.rearrange(X, "(a b) c -> a b c", a=3), ShapeError, "does not fit an axis"),
        (lambda o: o.scatter_update(X, IDS, V[:4], reduction="mean"), InvalidArgumentError, "no reduction 'mean'"),
        (lambda o: o.slice(X, [0], [1, 1]), ShapeError, "a start for each of the 2 axes"),
        (lambda o: o.slice_update(X, [0, 0], np.ones((5, 1), "f4")), ShapeError, "do not fit"),
        (lambda o: o.cross(X, Y), ShapeError, "two or three elements"),
        (lambda o: o.meshgrid(X), ShapeError, "needs vectors"),
        (lambda o: o.fft(X), InvalidArgumentError, "a pair of tensors"),
        (lambda o: o.fft((X, V)), ShapeError, "one shape"),
        (lambda o: o.stft(SIGNAL, 10, 4, 8), InvalidArgumentError, "at least sequence_length"),
        (lambda o: o.stft(SIGNAL, 10, 4, 16, "kaiser"), InvalidArgumentError, "unknown window"),
        (lambda o: o.diag(CUBE), ShapeError, "a vector or a matrix"),
        (lambda o: o.select([], []), InvalidArgumentError, "one choice for each condition"),
        (lambda o: o.hamming(kgraph.Input(())), UnsupportedError, "needs a number as length"),
    ],
)
def test_wrong_arguments(run: Callable[[Any], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        run(kgraph.ops)
