"""`kgraph.backend` as scripts for Keras 2 use it: gradients of outputs, loops, and what Keras 3 has dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph import backend as K
from kgraph import layers
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError

RNG = np.random.default_rng(2)
X = RNG.normal(size=(2, 4, 3)).astype("float32")
IMAGES = RNG.normal(size=(2, 6, 6, 3)).astype("float32")


def _convolutional() -> kgraph.Model:
    return kgraph.Sequential(
        [
            kgraph.Input((6, 6, 3)),
            layers.Conv2D(4, 3, activation="tanh", name="conv"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(5, activation="softmax", name="kind"),
        ]
    )


def test_gradients_of_an_output_for_the_input() -> None:
    model = _convolutional()
    loss = K.mean(model.output[:, 2])
    grads = K.gradients(loss, model.input)[0]
    assert K.int_shape(grads) == (None, 6, 6, 3)
    f = K.function([model.input], [loss, grads])
    value, slope = f([IMAGES])
    assert slope.shape == IMAGES.shape
    direction = RNG.normal(size=IMAGES.shape).astype("float32")
    step = 1e-2
    difference = (f([IMAGES + step * direction])[0] - f([IMAGES - step * direction])[0]) / (2 * step)
    np.testing.assert_allclose((slope * direction).sum(), difference, rtol=2e-2, atol=1e-4)
    np.testing.assert_allclose(value, model.predict(IMAGES, verbose=0)[:, 2].mean(), rtol=1e-5)


def test_gradients_for_an_inner_tensor_and_for_weights() -> None:
    model = _convolutional()
    inner, kernel = model.get_layer("conv").output, model.get_layer("kind").kernel
    grads = K.gradients(model.output[:, 1], [inner, kernel])
    features, for_inner, for_kernel = K.function([model.input], [inner, *grads])([IMAGES])
    assert for_inner.shape == features.shape == (2, 4, 4, 4)
    assert for_kernel.shape == kernel.shape
    # Softmax does not change when all logits do, so over the classes the gradients cancel out.
    np.testing.assert_allclose(for_kernel.sum(axis=1), 0.0, atol=1e-6)
    assert np.abs(for_kernel).max() > 1e-4


def test_gradients_of_several_losses_add_up_and_may_be_absent() -> None:
    x, other = kgraph.Input((3,)), kgraph.Input((2,))
    grads = K.gradients([K.sum(x * x), K.sum(3.0 * x)], [x, other])
    assert grads[1] is None
    np.testing.assert_allclose(K.function([x, other], [grads[0]])([X[0], X[0, :, :2]])[0], 2 * X[0] + 3, rtol=1e-5)


def test_second_gradients() -> None:
    x = kgraph.Input((3,))
    first = K.gradients(K.sum(x * x * x), x)[0]
    second = K.gradients(K.sum(first), x)[0]
    np.testing.assert_allclose(K.function([x], [second])([X[0]])[0], 6 * X[0], rtol=1e-5)


def test_the_deep_dream_loop() -> None:
    """The classic visualisation: climb the normalised gradient of a filter's mean."""
    model = _convolutional()
    loss = K.mean(model.get_layer("conv").output[:, :, :, 1])
    grads = K.gradients(loss, model.input)[0]
    grads /= K.sqrt(K.mean(K.square(grads))) + 1e-5
    iterate = K.function([model.input], [loss, grads])
    image = IMAGES[:1] * 0.01
    before = iterate([image])[0]
    for _ in range(5):
        image = image + 0.1 * iterate([image])[1]
    assert iterate([image])[0] > before + 0.05


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (lambda x: K.gradients(np.float32(1.0), x), "computed from the inputs"),
        (lambda x: K.gradients(K.sum(x), np.ones(3)), "tensors of a functional graph"),
    ],
)
def test_gradients_of_what_has_none(run: Callable[[Any], Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        run(kgraph.Input((3,)))


# -- loops ----------------------------------------------------------------------------------------------------------
def _step(x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
    new = states[0] * 0.5 + x
    return new * 2.0, [new]


def _unrolled(x: np.ndarray, mask: np.ndarray | None, zero: bool) -> tuple[np.ndarray, np.ndarray]:
    state, output, outputs = np.zeros_like(x[:, 0]), np.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        keep = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        new = state * 0.5 + x[:, t]
        output = np.where(keep, new * 2.0, np.zeros_like(output) if zero else output)
        state = np.where(keep, new, state)
        outputs.append(output)
    return np.stack(outputs, 1), state


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("zero", [False, True])
def test_rnn(masked: bool, zero: bool) -> None:
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool) if masked else None
    last, outputs, (state,) = K.rnn(_step, X, [np.zeros((2, 3), "f4")], mask=mask, zero_output_for_mask=zero)
    expected, final = _unrolled(X, mask, zero)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    np.testing.assert_allclose(last, expected[:, -1], rtol=1e-5)
    np.testing.assert_allclose(state, final, rtol=1e-5)


def test_rnn_backwards_time_major_and_with_constants() -> None:
    last, outputs, _ = K.rnn(_step, X, [np.zeros((2, 3), "f4")], go_backwards=True)
    expected, _ = _unrolled(X[:, ::-1], None, False)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    time_first = K.rnn(_step, np.swapaxes(X, 0, 1), [np.zeros((2, 3), "f4")], go_backwards=True, time_major=True)
    np.testing.assert_allclose(time_first[1], np.swapaxes(expected, 0, 1), rtol=1e-5)
    np.testing.assert_allclose(time_first[0], last, rtol=1e-5)
    shifted = K.rnn(lambda x, s: (x + s[-1], [s[0]]), X, [np.zeros((2, 3), "f4")], constants=[np.ones(3, "f4")])
    np.testing.assert_allclose(shifted[1], X + 1.0, rtol=1e-6)


def test_rnn_in_a_model_of_any_length() -> None:
    x = kgraph.Input((None, 3))
    model = kgraph.Model(x, K.rnn(_step, x, [K.zeros_like(x[:, 0])])[1])
    np.testing.assert_allclose(model.predict(X, verbose=0), _unrolled(X, None, False)[0], rtol=1e-5)


def test_maps_and_folds() -> None:
    rows = X[0]
    np.testing.assert_allclose(K.map_fn(lambda v: v * 2.0, rows), rows * 2)
    assert K.map_fn(lambda v: v, rows, dtype="int32").dtype == np.int32
    np.testing.assert_allclose(
        K.foldl(lambda a, v: a * 0.5 + v, rows), ((rows[0] / 2 + rows[1]) / 2 + rows[2]) / 2 + rows[3], rtol=1e-5
    )
    np.testing.assert_allclose(K.foldr(lambda a, v: a - v, rows), rows[3] - rows[2] - rows[1] - rows[0], rtol=1e-5)
    np.testing.assert_allclose(K.foldl(lambda a, v: a + v, rows, np.ones(3, "f4")), 1 + rows.sum(0), rtol=1e-5)
    with pytest.raises(ShapeError, match="a fold needs"):
        K.foldl(lambda a, v: a, 1.0)


# -- small functions ------------------------------------------------------------------------------------------------
def test_shapes_and_arithmetic() -> None:
    np.testing.assert_allclose(K.cumprod(X, axis=1), np.cumprod(X, 1), rtol=1e-5)
    np.testing.assert_array_equal(K.slice(X, [0, 1, 0], [-1, 2, 1]), X[:, 1:3, :1])
    with pytest.raises(InvalidArgumentError, match="a start and a size for each axis"):
        K.slice(X, [0], [1])
    large = K.resize_images(IMAGES, 2, 3, "channels_last")
    np.testing.assert_array_equal(large, IMAGES.repeat(2, 1).repeat(3, 2))
    first = K.resize_images(np.moveaxis(IMAGES, -1, 1), 2, 3, "channels_first")
    np.testing.assert_array_equal(first, np.moveaxis(large, -1, 1))
    smooth = K.resize_images(IMAGES, 2, 2, "channels_last", interpolation="bilinear")
    np.testing.assert_allclose(smooth, kgraph.ops.image.resize(IMAGES, (12, 12)))
    assert K.resize_volumes(IMAGES[None], 2, 1, 1, "channels_last").shape == (1, 4, 6, 6, 3)
    with pytest.raises(InvalidArgumentError, match="data_format"):
        K.resize_images(IMAGES, 2, 2, "last")


def test_layers_as_functions() -> None:
    mean, var = X.mean((0, 1)), X.var((0, 1))
    scaled = K.batch_normalization(X, mean, var, np.float32([1, 2, 3]), None, epsilon=1e-6)
    np.testing.assert_allclose(scaled, (X - mean) / np.sqrt(var + 1e-6) + [1, 2, 3], rtol=1e-4, atol=1e-5)
    scores = np.array([[0.1, 0.5, 0.4], [0.7, 0.2, 0.1]], "f4")
    np.testing.assert_array_equal(K.in_top_k(scores, np.array([2, 1]), 1), [False, False])
    np.testing.assert_array_equal(K.in_top_k(scores, np.array([2, 1]), 2), [True, True])
    kernel = RNG.normal(size=(2, 6, 5)).astype("f4")
    expected = np.stack([X[:, 2 * i : 2 * i + 2].reshape(2, 6) @ kernel[i] for i in range(2)], 1)
    np.testing.assert_allclose(K.local_conv1d(X, kernel, (2,), (2,)), expected, rtol=1e-4, atol=1e-5)
    first = K.local_conv1d(np.swapaxes(X, 1, 2), kernel, 2, 2, "channels_first")
    np.testing.assert_allclose(first, np.swapaxes(expected, 1, 2), rtol=1e-4, atol=1e-5)
    assert K.conv3d(IMAGES[None], np.ones((1, 2, 2, 3, 4), "f4")).shape == (1, 2, 5, 5, 4)
    assert K.pool3d(IMAGES[None], (2, 2, 2), pool_mode="avg").shape == (1, 1, 5, 5, 3)


def test_ctc_batch_cost() -> None:
    """One label in two steps: it comes first, second, or twice."""
    p = np.array([[[0.5, 0.1, 0.4], [0.3, 0.3, 0.4]]], "f4")  # the last class is the blank
    cost = K.ctc_batch_cost(np.array([[0.0]]), p, np.array([[2]]), np.array([[1]]))
    assert cost.shape == (1, 1)
    np.testing.assert_allclose(cost, -np.log(0.5 * 0.4 + 0.4 * 0.3 + 0.5 * 0.3), rtol=1e-4)


def test_random_binomial() -> None:
    drawn = K.random_binomial((4000,), p=0.25, seed=1)
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert abs(drawn.mean() - 0.25) < 0.03


def test_print_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    assert K.print_tensor(X[0, 0, :2], "values:") is not None
    assert capsys.readouterr().out.startswith("values: [")
    x = kgraph.Input((3,))
    with pytest.warns(UserWarning, match="make them an output"):
        assert K.print_tensor(x) is x


def test_sessions() -> None:
    K.set_session(None)
    with pytest.raises(UnsupportedError, match="there are no sessions"):
        K.get_session()
