"""ConvLSTM, stacked and custom cells, kept states, against Keras on JAX from equal weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph.errors import ShapeError
from tests.parity.comparing import assert_close, compare_layers, flat, keras, kgraph, pair_of_layers, random_weights

pytestmark = pytest.mark.parity

Make = Callable[[Any], Any]
S = (3, 6, 4)
C1, C2, C3 = (2, 3, 7, 2), (2, 3, 5, 6, 2), (2, 2, 4, 3, 4, 2)

CONVOLUTIONAL: dict[str, tuple[Make, tuple[int, ...]]] = {
    "1d": (lambda L: L.ConvLSTM1D(3, 3), C1),
    "1d_same_sequences": (lambda L: L.ConvLSTM1D(3, 2, padding="same", return_sequences=True), C1),
    "1d_backwards": (lambda L: L.ConvLSTM1D(3, 3, strides=2, go_backwards=True, return_sequences=True), C1),
    "2d": (lambda L: L.ConvLSTM2D(3, 3), C2),
    "2d_same": (lambda L: L.ConvLSTM2D(3, (2, 3), padding="same", return_sequences=True), C2),
    "2d_strides": (lambda L: L.ConvLSTM2D(3, 2, strides=2, return_state=True), C2),
    "2d_dilation": (lambda L: L.ConvLSTM2D(3, 2, dilation_rate=2, use_bias=False), C2),
    "2d_activations": (
        lambda L: L.ConvLSTM2D(3, 3, activation="relu", recurrent_activation="hard_sigmoid", padding="same"),
        C2,
    ),
    "3d": (lambda L: L.ConvLSTM3D(2, 2, padding="same"), C3),
    "3d_valid": (lambda L: L.ConvLSTM3D(2, 2, return_sequences=True), C3),
    "bidirectional": (lambda L: L.Bidirectional(L.ConvLSTM2D(2, 3, padding="same")), C2),
}


@pytest.mark.parametrize("case", CONVOLUTIONAL)
def test_convolutional(case: str, rng: np.random.Generator) -> None:
    make, shape = CONVOLUTIONAL[case]
    compare_layers(make, rng.normal(size=shape).astype("float32"), rng)


def test_convolutional_mask(rng: np.random.Generator) -> None:
    x = rng.normal(size=C2).astype("float32")
    mask = np.array([[1, 0, 1], [1, 1, 0]], bool)
    ours = kgraph.layers.ConvLSTM2D(3, 3)
    whole = np.asarray(ours(x, mask=mask))
    assert_close(whole[1], np.asarray(ours(x[:, :2]))[1])
    assert_close(whole[0], np.asarray(ours(x[:, [0, 2]]))[0])


def test_convolutional_channels_first(rng: np.random.Generator) -> None:
    x = rng.normal(size=C2).astype("float32")
    last = kgraph.layers.ConvLSTM2D(3, 3, return_state=True)
    want = flat(last(x))
    first = kgraph.layers.ConvLSTM2D(3, 3, return_state=True, data_format="channels_first")
    turned = np.moveaxis(x, -1, 2)
    first(turned)
    first.set_weights(last.get_weights())
    for a, b in zip(flat(first(turned)), want, strict=True):
        assert_close(np.moveaxis(np.asarray(a), 1, -1), b)


STACKED: dict[str, Make] = {
    "lstm_gru": lambda L: L.RNN([L.LSTMCell(5), L.GRUCell(3)]),
    "sequences": lambda L: L.RNN([L.LSTMCell(5), L.GRUCell(3), L.SimpleRNNCell(4)], return_sequences=True),
    "state": lambda L: L.RNN(L.StackedRNNCells([L.GRUCell(2), L.LSTMCell(3)]), return_state=True),
    "backwards": lambda L: L.RNN([L.LSTMCell(5), L.LSTMCell(3)], go_backwards=True, return_sequences=True),
    "reset_before": lambda L: L.RNN([L.GRUCell(2, reset_after=False), L.GRUCell(3, use_bias=False)]),
    "bidirectional": lambda L: L.Bidirectional(L.RNN([L.LSTMCell(3), L.LSTMCell(2)], return_sequences=True)),
}
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]], bool)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", STACKED)
def test_stacked(case: str, masked: bool, rng: np.random.Generator) -> None:
    call = {"mask": MASK} if masked else {}
    compare_layers(STACKED[case], rng.normal(size=S).astype("float32"), rng, **call)


def test_stacked_dropout_is_drawn_once_per_sequence(rng: np.random.Generator) -> None:
    L = kgraph.layers
    layer = L.RNN([L.LSTMCell(5, dropout=0.3, recurrent_dropout=0.2), L.GRUCell(3, dropout=0.3)])
    x = np.repeat(rng.normal(size=(1, 6, 4)).astype("float32"), 50, axis=0)
    assert np.ptp(np.asarray(layer(x)), axis=0).max() == 0.0
    assert np.ptp(np.asarray(layer(x, training=True)), axis=0).max() > 0.05


class _Leaky:
    """A cell that a user might write, for either package."""

    @staticmethod
    def make(module: Any, ops: Any, nested: bool) -> Any:
        class Leaky(module.Layer):
            def __init__(self, units: int, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.units = units
                self.state_size = [units] if nested else units
                self.output_size = units

            def build(self, input_shape: Any) -> None:
                self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
                self.leak = self.add_weight(shape=(self.units,), name="leak")
                self.built = True

            def call(self, inputs: Any, states: Any) -> Any:
                before = states[0] if isinstance(states, (list, tuple)) else states
                now = before * self.leak + ops.tanh(ops.matmul(inputs, self.kernel))
                return now * 2.0, [now]

        return Leaky


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_custom_cell(nested: bool, sequences: bool, masked: bool, rng: np.random.Generator) -> None:
    def make(L: Any) -> Any:
        ops = keras.ops if L is keras.layers else kgraph.ops
        return L.RNN(_Leaky.make(L, ops, nested)(4), return_sequences=sequences)

    call = {"mask": MASK} if masked else {}
    x = rng.normal(size=S).astype("float32")
    ours, theirs = make(kgraph.layers), make(keras.layers)
    ours(x, **call)
    theirs(x, **call)
    weights = random_weights([w.shape for w in theirs.get_weights()], rng)
    ours.set_weights(weights)
    theirs.set_weights(weights)
    assert_close(ours(x, **call), theirs(x, **call))


STATEFUL: dict[str, Make] = {
    "lstm": lambda L: L.LSTM(4, stateful=True),
    "gru_sequences": lambda L: L.GRU(4, stateful=True, return_sequences=True),
    "simple_rnn": lambda L: L.SimpleRNN(4, stateful=True, return_state=True),
    "stacked": lambda L: L.RNN([L.LSTMCell(4), L.GRUCell(3)], stateful=True),
    "conv_lstm": lambda L: L.ConvLSTM1D(3, 3, stateful=True),
    "bidirectional": lambda L: L.Bidirectional(L.LSTM(3, stateful=True)),
}


@pytest.mark.parametrize("case", STATEFUL)
def test_stateful(case: str, rng: np.random.Generator) -> None:
    shape = C1 if case == "conv_lstm" else S
    x = rng.normal(size=shape).astype("float32")
    make = STATEFUL[case]
    ours, theirs = pair_of_layers(make, x, rng)
    ours.reset_states()
    if case == "stacked":  # reset_state of Keras 3.15 fails with nested states
        for state in flat(theirs.states):
            state.assign(np.zeros(state.shape))
    else:
        theirs.reset_state()
    for _ in range(3):
        for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
            assert_close(a, b, rtol=1e-4, atol=1e-5)
    first = flat(kgraph.layers.deserialize(kgraph.layers.serialize(ours))(x))
    ours.reset_states()
    assert len(flat(ours(x))) == len(first)


def test_stateful_in_a_model(rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 5, 4)).astype("float32")
    y = rng.normal(size=(6, 1)).astype("float32")

    def make(package: Any) -> Any:
        L = package.layers
        return package.Sequential(
            [
                package.Input(batch_shape=(3, 5, 4)),
                L.LSTM(4, stateful=True, return_sequences=True),
                L.GRU(3),
                L.Dense(1),
            ]
        )

    ours = make(kgraph)
    weights = random_weights([w.shape for w in ours.get_weights()], rng)
    ours.set_weights(weights)
    ours.layers[0].reset_states()
    # Keras on JAX forgets the states between the batches of predict; ours are kept, as everywhere else.
    twice = ours.predict(x, batch_size=3, verbose=0)
    ours.layers[0].reset_states()
    assert_close(twice, np.concatenate([np.asarray(ours(x[:3])), np.asarray(ours(x[3:]))]), 1e-4, 1e-5)
    # Nor does its compiled fit carry them, so fit is compared with our own interpreter.
    found = []
    for target in ("cpu", "reference"):
        ours.set_weights(weights)
        ours.layers[0].reset_states()
        ours.compile(kgraph.optimizers.SGD(0.1), "mse", target=target)
        found.append(ours.fit(x, y, batch_size=3, epochs=2, shuffle=False, verbose=0).history["loss"])
        found[-1] += [float(np.sum(weight)) for weight in ours.get_weights()]
    assert_close(*found, 1e-4, 1e-5)


def test_stateful_needs_a_fixed_batch() -> None:
    with pytest.raises(ShapeError, match="fixed batch size"):
        kgraph.Sequential([kgraph.Input((5, 4)), kgraph.layers.LSTM(4, stateful=True)])


def test_reset_states_to_values(rng: np.random.Generator) -> None:
    layer = kgraph.layers.GRU(4, stateful=True)
    x = rng.normal(size=S).astype("float32")
    layer(x)
    start = rng.normal(size=(3, 4)).astype("float32")
    layer.reset_states([start])
    kept = np.asarray(layer(x))
    layer.reset_states()
    assert_close(kept, layer(x, initial_state=[start]))
