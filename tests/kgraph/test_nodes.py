"""The node interface: that of Keras 2, and the parts that Keras 3 kept."""

from __future__ import annotations

import pytest

from kgraph.layers import LSTM, Conv2D, Dense, Embedding
from kgraph.models import Input, Model


def test_one_call() -> None:
    a = Input(shape=(140, 256))
    lstm = LSTM(32)
    encoded = lstm(a)
    assert lstm.output is encoded and lstm.input is a
    assert lstm.input_shape == (None, 140, 256) and lstm.output_shape == (None, 32)
    assert encoded._keras_history == (lstm, 0, 0)
    assert a._keras_history.operation.name == a.name
    assert len(lstm._inbound_nodes) == 1 and lstm._inbound_nodes[0].input_tensors == [a]
    assert a._keras_history.operation._outbound_nodes == lstm._inbound_nodes


def test_two_calls_of_one_shape() -> None:
    a, b = Input(shape=(140, 256)), Input(shape=(140, 256))
    lstm = LSTM(32)
    encoded_a, encoded_b = lstm(a), lstm(b)
    for what in ("input", "output", "input_mask", "output_mask"):
        with pytest.raises(AttributeError, match="multiple inbound nodes"):
            getattr(lstm, what)
    assert lstm.get_output_at(0) is encoded_a and lstm.get_output_at(1) is encoded_b
    assert lstm.get_input_at(1) is b
    assert lstm.input_shape == (None, 140, 256) and lstm.output_shape == (None, 32)
    assert encoded_b._keras_history == (lstm, 1, 0)


def test_two_calls_of_two_shapes() -> None:
    a, b = Input(shape=(32, 32, 3)), Input(shape=(64, 64, 3))
    conv = Conv2D(16, (3, 3), padding="same")
    conv(a)
    assert conv.input_shape == (None, 32, 32, 3)
    conv(b)
    with pytest.raises(AttributeError, match="different input shapes"):
        _ = conv.input_shape
    assert conv.get_input_shape_at(0) == (None, 32, 32, 3)
    assert conv.get_input_shape_at(1) == (None, 64, 64, 3)
    assert conv.get_output_shape_at(1) == (None, 64, 64, 16)


def test_errors_of_layers_that_were_never_called() -> None:
    layer = Dense(3)
    for what in ("input", "output", "input_shape", "output_shape"):
        assert not hasattr(layer, what)
        with pytest.raises(AttributeError, match="never been called"):
            getattr(layer, what)
    for what in ("input", "output", "input_shape", "output_shape", "input_mask", "output_mask"):
        with pytest.raises(RuntimeError, match="never been called"):
            getattr(layer, f"get_{what}_at")(0)
    layer(Input((2,)))
    with pytest.raises(ValueError, match=r"Asked to get output at node 3, but the layer .* has only 1 inbound nodes"):
        layer.get_output_at(3)


def test_masks_of_nodes() -> None:
    x = Input((7,), dtype="int32")
    embedding = Embedding(10, 3, mask_zero=True)
    embedding(x)
    assert embedding.get_input_mask_at(0) is None
    assert embedding.output_mask.shape == (None, 7)


def test_several_inputs_and_outputs_are_lists() -> None:
    x = Input((5, 3))
    lstm = LSTM(4, return_state=True)
    outputs = lstm(x)
    assert [tuple(t.shape) for t in lstm.output] == [(None, 4)] * 3
    assert lstm.output_shape == [(None, 4)] * 3
    assert [t._keras_history.tensor_index for t in outputs] == [0, 1, 2]


def test_a_model_is_a_layer_with_nodes() -> None:
    x = Input((3,))
    model = Model(x, Dense(2)(x))
    y, z = Input((3,)), Input((3,))
    first, second = model(y), model(z)
    assert model.get_output_at(0) is first and model.get_output_at(1) is second
    assert model.input is x and model.input_shape == (None, 3)
    assert first._keras_history == (model, 0, 0)
