"""Functions of neural networks in `keras.ops`: on arrays, compiled, recorded; gradients; and models that learn."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import kgraph as kg
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from tests.parity.comparing import assert_close, keras
from tests.parity.native import Call, check, traced
from tests.parity.test_ops_math import floats, whole

X = floats(4, 6)
IMAGE = floats(2, 3, 4, 5)
SHARES = (floats(4, 6, low=0.1, high=1.0) / 3).astype("float32")
TARGET = np.eye(6, dtype="float32")[[0, 5, 2, 2]]


def activations() -> list[Call]:
    names = "glu hard_shrink soft_shrink tanh_shrink squareplus sparse_plus sparse_sigmoid".split()
    calls = [Call(name, [X], smooth=True) for name in names]
    calls += [Call("glu", [IMAGE], {"axis": 2}, smooth=True)]
    calls += [Call("threshold", [X], {"threshold": 0.3, "default_value": -2.0}, smooth=True)]
    calls += [Call("hard_shrink", [X], {"threshold": 1.0}), Call("squareplus", [X], {"b": 1})]
    calls += [Call("soft_shrink", [X], {"threshold": 1.0})]
    calls += [Call("normalize", [X], {"order": order, "axis": axis}) for order in (1, 2, 3) for axis in (0, -1)]
    return calls


def normalisations() -> list[Call]:
    mean, variance, scale = floats(5, seed=1), floats(5, low=0.1, seed=2), floats(5, seed=3)
    calls = [Call("batch_normalization", [IMAGE, mean, variance], {"axis": -1}, known=True, smooth=True)]
    calls += [
        Call(
            "batch_normalization",
            [np.swapaxes(IMAGE, 1, 3).copy(), mean, variance],
            {"axis": 1, "scale": scale, "offset": mean, "epsilon": 0.1},
            known=True,
        )
    ]
    calls += [Call("layer_normalization", [IMAGE, scale, mean], {"axis": -1}, known=True, smooth=True, rtol=1e-4)]
    calls += [Call("layer_normalization", [IMAGE], {"axis": (1, 2), "epsilon": 0.01}, smooth=True)]
    calls += [Call("layer_normalization", [IMAGE, floats(4)], {"axis": 2}, known=True)]
    calls += [Call("rms_normalization", [IMAGE, scale], known=True, smooth=True), Call("rms_normalization", [X])]
    calls += [Call("rms_normalization", [IMAGE], {"axis": (1, 3), "epsilon": 0.1})]
    return calls


def losses() -> list[Call]:
    calls = []
    for logits in (False, True):
        output, settings = X if logits else SHARES, {"from_logits": logits}
        calls += [Call("binary_crossentropy", [TARGET, output], settings, smooth=True)]
        calls += [Call("categorical_crossentropy", [TARGET, output], settings, smooth=True)]
        calls += [Call("categorical_crossentropy", [TARGET, output], {**settings, "axis": 0}, known=True)]
        ids = np.array([0, 5, 2, 1], "int32")
        calls += [Call("sparse_categorical_crossentropy", [ids, output], settings, smooth=True)]
        calls += [Call("sparse_categorical_crossentropy", [ids[:, None], output], settings)]
    calls += [Call("sparse_categorical_crossentropy", [whole(2, 3, 4, low=0, high=5), abs(IMAGE)])]
    calls += [Call("psnr", [X, X + 0.1 * TARGET], {"max_val": 2.0}, smooth=True)]
    calls += [Call("multi_hot", [whole(3, 4, low=0, high=7)], {"num_classes": n}) for n in (7, 4)]
    calls += [Call("multi_hot", [whole(4, low=0, high=7)], {"num_classes": 7, "dtype": "int32"})]
    return calls


def attention() -> list[Call]:
    query, key, value = floats(2, 3, 4, 5), floats(2, 6, 4, 5, seed=1), floats(2, 6, 4, 5, seed=2)
    mask = np.random.default_rng(0).random((2, 1, 3, 6)) < 0.6
    mask[0, 0, 0] = False  # a query that sees nothing
    base = [query, key, value]
    calls = [Call("dot_product_attention", base, smooth=True), Call("dot_product_attention", base, {"scale": 0.2})]
    calls += [Call("dot_product_attention", base, {"mask": mask[:1], "bias": floats(1, 4, 3, 6)}, smooth=True)]
    calls += [Call("dot_product_attention", [query, query, query], {"is_causal": True}, smooth=True)]
    calls += [Call("dot_product_attention", [query, key[:, :, :2], value[:, :, :2]])]
    return calls


def ctc() -> list[Call]:
    labels = np.array([[1, 2, 2, 3], [3, 3, 0, 0], [1, 0, 0, 0]], "int32")
    output = floats(3, 8, 5)
    lengths = [np.array([4, 2, 1], "int32"), np.array([8, 6, 3], "int32")]
    bounds: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
    calls = [Call("ctc_loss", [labels, output, *lengths], smooth=True, **bounds)]
    calls += [Call("ctc_loss", [labels, output, *lengths], {"mask_index": 4}, **bounds)]
    close = np.repeat(np.round(floats(3, 4, 5) * 3), 2, axis=1).astype("float32")
    for merge, mask in product((True, False), (0, 4, None)):
        calls += [Call("ctc_decode", [close, lengths[1]], {"merge_repeated": merge, "mask_index": mask})]
    return calls


@pytest.mark.parametrize("call", [*activations(), *normalisations(), *losses(), *attention(), *ctc()], ids=str)
def test_as_keras(call: Call) -> None:
    check(call)


# -- beam search -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("width", "paths", "mask"), [(8, 3, 0), (20, 2, 3)])
def test_beam_search(width: int, paths: int, mask: int) -> None:
    scores, lengths = floats(2, 6, 4) * 2, np.array([6, 4], "int32")
    settings = {"strategy": "beam_search", "beam_width": width, "top_paths": paths, "mask_index": mask}
    labels, score = kg.ops.ctc_decode(scores, lengths, **settings)
    their_labels, their_score = keras.ops.ctc_decode(scores, lengths, **settings)
    np.testing.assert_array_equal(labels, np.asarray(their_labels))
    assert_close(score, their_score, rtol=1e-4)


def test_beam_search_needs_values() -> None:
    with pytest.raises(UnsupportedError, match="greedy"):
        kg.ops.ctc_decode(kg.Input((6, 4)), kg.Input((), dtype="int32"), strategy="beam_search")
    with pytest.raises(InvalidArgumentError, match="strategy"):
        kg.ops.ctc_decode(np.ones((1, 2, 3), "float32"), [2], strategy="best")


# -- what is refused -------------------------------------------------------------------------------------------------
def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="of the shape of the output"):
        kg.ops.binary_crossentropy(X, X[:2])
    with pytest.raises(ShapeError, match="rank 4"):
        kg.ops.dot_product_attention(X, X, X)
    with pytest.raises(ShapeError, match="psnr"):
        kg.ops.psnr(X, X[:2], 1.0)
    with pytest.raises(UnsupportedError, match="flash"):
        kg.ops.dot_product_attention(IMAGE, IMAGE, IMAGE, flash_attention=True)
    with pytest.raises(InvalidArgumentError, match="num_classes"):
        kg.ops.multi_hot(np.array([1, 2]))


def test_soft_cap() -> None:
    """As the documentation of Keras has it; Keras on JAX takes the argument and leaves it out."""
    x = floats(1, 3, 1, 1) * 10
    capped = kg.ops.dot_product_attention(x, x, x, scale=1.0, attn_logits_soft_cap=0.5)
    logits = x[0, :, 0] @ x[0, :, 0].T
    shares = np.exp(logits / (1 + abs(logits) / 0.5))
    assert_close(capped[0, :, 0], shares / shares.sum(-1, keepdims=True) @ x[0, :, 0])


# -- in models that learn --------------------------------------------------------------------------------------------
LEARNING: dict[str, Callable[[Any, Any], Any]] = {
    "sort": lambda ops, h: ops.sort(h),
    "top_k": lambda ops, h: ops.top_k(h, 3)[0],
    "median": lambda ops, h: h - ops.median(h, axis=-1, keepdims=True),
    "quantile": lambda ops, h: h - ops.quantile(h, 0.3, axis=-1, keepdims=True),
    "arctan2": lambda ops, h: ops.arctan2(h, h[:, ::-1] + 3.0),
    "arcsin": lambda ops, h: ops.arcsin(ops.tanh(h)),
    "erfinv": lambda ops, h: ops.erfinv(ops.tanh(h) * 0.9),
    "cumprod": lambda ops, h: ops.cumprod(h, axis=1),
    "nanmean": lambda ops, h: h * ops.nanmean(ops.where(h > 0, h, np.nan), axis=1, keepdims=True),
    "rms": lambda ops, h: ops.rms_normalization(h),
    "attention": lambda ops, h: ops.dot_product_attention(*[ops.reshape(h, (-1, 3, 1, 2))] * 3, is_causal=True),
}


def learned(module: Any, name: str) -> list[np.ndarray]:
    inputs = module.Input((4,))
    hidden = module.layers.Dense(6)(inputs)
    mixed = module.layers.Flatten()(module.layers.Lambda(lambda h: LEARNING[name](module.ops, h))(hidden))
    model = module.Model(inputs, module.layers.Dense(1)(mixed))
    model.set_weights([floats(*w.shape, seed=5) for w in model.get_weights()])
    model.compile(module.optimizers.SGD(0.05), "mse")
    model.fit(floats(6, 4), floats(6, 1), batch_size=3, epochs=2, verbose=0, shuffle=False)
    return [*model.get_weights(), model.predict(floats(6, 4), verbose=0)]


@pytest.mark.parametrize("name", LEARNING)
def test_learns_as_keras(name: str) -> None:
    for ours, theirs in zip(learned(kg, name), learned(keras, name), strict=True):
        assert_close(ours, theirs, rtol=2e-4, atol=2e-5)


# -- sparsemax -------------------------------------------------------------------------------------------------------
def projected(x: np.ndarray) -> np.ndarray:
    """The nearest point of the simplex to each row, by bisection of the level that leaves a sum of 1."""
    low, high = x.min(-1, keepdims=True) - 1.0, x.max(-1, keepdims=True)
    for _ in range(60):
        level = (low + high) / 2
        above = np.maximum(x - level, 0).sum(-1, keepdims=True) > 1
        low, high = np.where(above, level, low), np.where(above, high, level)
    return np.maximum(x - low, 0)


def test_sparsemax_is_the_projection() -> None:
    """Keras 3.15 adds up running sums where the last one is meant, so its results are zeros: only sums of 1 compare."""
    x = floats(5, 6, seed=2).astype("float64").astype("float32")
    assert_close(kg.ops.sparsemax(x), projected(x.astype("float64")))
    assert_close(kg.ops.sparsemax(IMAGE, axis=2), np.moveaxis(projected(np.moveaxis(IMAGE, 2, -1)), -1, 2))
    assert_close(traced(Call("sparsemax", [x]))[0], projected(x.astype("float64")))
    far = np.eye(4, dtype="float32") * 9
    assert_close(kg.ops.sparsemax(far), keras.ops.sparsemax(far))


def test_gradient_of_sparsemax() -> None:
    """On the support the gradient less its mean, elsewhere nothing (Martins and Astudillo, 2016, eq. 14)."""
    x = floats(4, 5, seed=3)
    wave = np.cos(0.7 * np.arange(1, 21)).reshape(4, 5)
    support = projected(x.astype("float64")) > 0
    mean = (wave * support).sum(-1, keepdims=True) / support.sum(-1, keepdims=True)
    assert_close(traced(Call("sparsemax", [x]), gradients=True)[0], (wave - mean) * support, atol=1e-5)


def test_sparsemax_is_an_activation() -> None:
    assert kg.activations.get("sparsemax") is kg.activations.sparsemax
    assert_close(kg.activations.sparsemax(X, axis=0), kg.ops.sparsemax(X, axis=0))
