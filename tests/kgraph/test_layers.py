"""Layers: spellings of Keras 2, shapes, masks, sharing, and what bad arguments and inputs are told.

The numbers are compared with Keras in tests/parity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph import layers, ops
from kgraph.core import Trace
from kgraph.errors import InvalidArgumentError, ShapeError, UnknownNameError, UnsupportedError
from kgraph.ir import Graph
from kgraph.ir.dims import Dim

Input = layers.Input


def _floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("float32")


# -- shapes on symbolic tensors -----------------------------------------------------------------------------------
SHAPES: list[tuple[Callable[[], Any], tuple[Any, ...], tuple[Any, ...]]] = [
    (lambda: layers.Dense(3), (5, 7), (None, 5, 3)),
    (lambda: layers.Dense(3), (7,), (None, 3)),
    (lambda: layers.Flatten(), (4, 5), (None, 20)),
    (lambda: layers.Reshape((2, -1)), (6,), (None, 2, 3)),
    (lambda: layers.Conv2D(8, 3, padding="same"), (None, None, 3), (None, None, None, 8)),
    (lambda: layers.Conv2D(8, 3, strides=2), (9, 9, 3), (None, 4, 4, 8)),
    (lambda: layers.Conv1D(8, 3, padding="causal"), (None, 3), (None, None, 8)),
    (lambda: layers.MaxPooling2D(), (9, 8, 3), (None, 4, 4, 3)),
    (lambda: layers.GlobalAveragePooling2D(), (None, None, 3), (None, 3)),
    (lambda: layers.Embedding(10, 4), (None,), (None, None, 4)),
    (lambda: layers.LSTM(4, return_sequences=True), (None, 3), (None, None, 4)),
    (lambda: layers.GRU(4), (5, 3), (None, 4)),
    (lambda: layers.Bidirectional(layers.LSTM(4)), (5, 3), (None, 8)),
    (lambda: layers.TimeDistributed(layers.Dense(2)), (None, 3), (None, None, 2)),
    (lambda: layers.UpSampling2D(2), (3, 4, 1), (None, 6, 8, 1)),
    (lambda: layers.ZeroPadding2D(1), (3, 4, 1), (None, 5, 6, 1)),
    (lambda: layers.Cropping1D(1), (6, 1), (None, 4, 1)),
    (lambda: layers.RepeatVector(3), (4,), (None, 3, 4)),
    (lambda: layers.Permute((2, 1)), (3, None), (None, None, 3)),
    (lambda: layers.BatchNormalization(), (3, 4), (None, 3, 4)),
    (lambda: layers.Lambda(lambda x: x[:, :2]), (4,), (None, 2)),
]


@pytest.mark.parametrize("case", range(len(SHAPES)))
def test_shape(case: int) -> None:
    make, shape, want = SHAPES[case]
    layer = make()
    inputs = Input(shape, dtype="int32" if isinstance(layer, layers.Embedding) else "float32")
    assert layer(inputs).shape == want


# -- Keras 2 ------------------------------------------------------------------------------------------------------
def test_aliases_of_keras_2() -> None:
    assert type(layers.Convolution2D(4, 3, 3)) is layers.Conv2D  # the sizes one by one, as in Keras 1
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.AvgPool1D is layers.AveragePooling1D
    assert layers.GlobalMaxPool2D is layers.GlobalMaxPooling2D
    assert layers.AveragePooling2D().pool_size == (2, 2)


def test_arguments_of_keras_2() -> None:
    assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1
    assert layers.Dense(3, input_dim=5)._batch_input_shape == (None, 5)
    assert layers.Embedding(7, 2, input_length=4)._batch_input_shape == (None, 4)
    layer = layers.LSTM(3, implementation=2, input_shape=(5, 2), unroll=True)
    assert layer._batch_input_shape == (None, 5, 2)
    assert layers.GRU(3, input_dim=2, input_length=5)._batch_input_shape == (None, 5, 2)


def test_states_may_be_passed_as_a_list_of_inputs() -> None:
    x, h, c = _floats(2, 3, 4), _floats(2, 5), _floats(2, 5)
    layer = layers.LSTM(5)
    np.testing.assert_array_equal(layer([x, h, c]), layer(x, initial_state=[h, c]))
    outputs = layer(Input((3, 4)), initial_state=[Input((5,)), Input((5,))])
    assert outputs.shape == (None, 5)


def test_embedding_takes_weights() -> None:
    table = _floats(4, 3)
    layer = layers.Embedding(4, 3, weights=[table])
    np.testing.assert_array_equal(layer(np.array([[2, 0]])), table[[2, 0]][None])


def test_unit_forget_bias() -> None:
    layer = layers.LSTM(2, bias_initializer="zeros")
    layer(_floats(1, 3, 4))
    np.testing.assert_array_equal(layer.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])
    assert layer.unit_forget_bias and layer.units == 2


# -- masks --------------------------------------------------------------------------------------------------------
def test_masks_travel() -> None:
    ids = Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(ids)
    for layer in (
        layers.Dropout(0.5),
        layers.Dense(4),
        layers.Activation("relu"),
        layers.LSTM(4, return_sequences=True),
        layers.Bidirectional(layers.GRU(2, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(3)),
        layers.BatchNormalization(),
        layers.Softmax(),
    ):
        x = layer(x)
        assert x._keras_mask is not None, layer
    assert layers.LSTM(4)(x)._keras_mask is None
    assert layers.GlobalAveragePooling1D()(x)._keras_mask is None


def test_masked_steps_do_not_count() -> None:
    embedding, lstm = layers.Embedding(10, 4, mask_zero=True), layers.LSTM(3)
    ids = np.array([[4, 2, 0, 0], [4, 2, 7, 1]])
    masked = lstm(embedding(ids), mask=ids != 0)
    short = lstm(embedding(ids[:1, :2]))
    np.testing.assert_allclose(masked[0], short[0], rtol=1e-6)


# -- the form that is compiled ------------------------------------------------------------------------------------
def _graph_of(layer: Any, *shape: Any) -> Graph:
    graph = Graph("layer")
    with Trace(graph, training=False) as trace:
        graph.outputs.append(layer(trace.input("x", (Dim.symbol("B"), *shape))).value)
    return graph


def _ops(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


@pytest.mark.parametrize(("kind", "products"), [("LSTM", 1), ("SimpleRNN", 1), ("GRU", 1)])
def test_recurrent_layers_multiply_all_inputs_before_the_loop(kind: str, products: int) -> None:
    graph = _graph_of(getattr(layers, kind)(4), 5, 3)
    names = _ops(graph)
    assert names.count("matmul") == 1 and names.index("matmul") < names.index("scan")
    assert "transpose" not in names
    (scan,) = (node for node in graph.nodes if node.op.name == "scan")
    body = _ops(scan.regions[0])
    assert body.count("matmul") == products and "slice" not in body and "transpose" not in body
    assert len(scan.results) == scan.attrs["inits"]  # no output per step is kept


def test_dense_on_a_sequence_is_one_product() -> None:
    names = _ops(_graph_of(layers.Dense(4, activation="softmax"), 5, 3))
    assert names[0] == names[-1] == "reshape" and names.count("matmul") == 1


def test_frozen_batch_normalization_updates_nothing() -> None:
    layer = layers.BatchNormalization()
    x = _floats(4, 3)
    layer(x, training=True)
    moved = layer.get_weights()[2]
    layer.trainable = False
    layer(x, training=True)
    np.testing.assert_array_equal(layer.get_weights()[2], moved)


# -- mistakes -----------------------------------------------------------------------------------------------------
ARGUMENTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: layers.Dense(0), "Dense: argument `units` is 0"),
    (lambda: layers.Dense(3.5), "Dense: argument `units` is 3.5"),  # type: ignore[arg-type]
    (lambda: layers.Dropout(1.5), "Dropout: argument `rate` is 1.5"),
    (lambda: layers.Conv2D(4, (3, 3, 3)), "Conv2D: argument `kernel_size`"),
    (lambda: layers.Conv2D(4, 3, padding="full"), "Conv2D: argument `padding` is 'full'"),
    (lambda: layers.Conv2D(4, 3, padding="causal"), "Conv2D: argument `padding` is 'causal'"),
    (lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=2), "strides and dilation"),
    (lambda: layers.Conv2D(5, 3, groups=2), "multiple of `groups`"),
    (lambda: layers.Conv2D(4, 3, data_format="last"), "Conv2D: argument `data_format` is 'last'"),
    (lambda: layers.MaxPooling2D(0), "MaxPooling2D: argument `pool_size` is 0"),
    (lambda: layers.LSTM(-1), "argument `units` is -1"),
    (lambda: layers.Embedding(0, 3), "Embedding: argument `input_dim` is 0"),
    (lambda: layers.Permute((1, 3)), "Permute: argument `dims`"),
    (lambda: layers.Reshape((-1, -1)), "at most one -1"),
    (lambda: layers.Dot(axes=1.5), "Dot: argument `axes`"),  # type: ignore[arg-type]
    (lambda: layers.TimeDistributed(3), "TimeDistributed: argument `layer` is 3"),  # type: ignore[arg-type]
    (lambda: layers.Bidirectional(layers.Dense(3)), "Bidirectional: argument `layer`"),
    (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="cat"), "`merge_mode` is 'cat'"),
    (lambda: layers.RNN(3), "RNN: argument `cell` is 3"),
    (lambda: layers.Lambda(3), "Lambda: argument `function` is 3"),  # type: ignore[arg-type]
    (lambda: layers.Dense(3, unit=4), "unit"),
]


@pytest.mark.parametrize("case", range(len(ARGUMENTS)))
def test_bad_argument(case: int) -> None:
    make, message = ARGUMENTS[case]
    with pytest.raises(InvalidArgumentError) as error:
        make()
    assert message in str(error.value)


INPUTS: list[tuple[Callable[[], Any], Any, str]] = [
    (lambda: layers.Dense(3, name="head"), (4,), "head"),
    (lambda: layers.Conv2D(3, 3, name="stem"), (4, 8), "stem"),
    (lambda: layers.Conv2D(3, 9, name="stem"), (2, 8, 8, 1), "the kernel is larger than the input"),
    (lambda: layers.Conv2D(4, 3, groups=2, name="stem"), (2, 8, 8, 3), "'stem'"),
    (lambda: layers.MaxPooling2D(9, name="down"), (2, 8, 8, 3), "the window is larger"),
    (lambda: layers.LSTM(3, name="memory"), (4, 5), "LSTM 'memory' needs a sequence"),
    (lambda: layers.Reshape((3, 3), name="square"), (2, 8), "Reshape 'square'"),
    (lambda: layers.Cropping1D(3, name="cut"), (2, 6, 1), "would leave nothing"),
    (lambda: layers.TimeDistributed(layers.Dense(2), name="steps"), (2, 6), "TimeDistributed 'steps'"),
    (lambda: layers.BatchNormalization(axis=4, name="norm"), (2, 6), "'norm'"),
    (lambda: layers.LayerNormalization(axis=4, name="norm"), (2, 6), "'norm'"),
    (lambda: layers.Concatenate(name="join"), [(2, 3, 4), (2, 4, 4)], "'join'"),
    (lambda: layers.Concatenate(name="join"), [(2, 3), (2, 3, 4)], "'join'"),
    (lambda: layers.Add(name="sum"), [(2, 3), (2, 4)], "Add 'sum'"),
    (lambda: layers.Dot(axes=1, name="likeness"), [(2, 3), (2, 4)], "Dot 'likeness'"),
]


@pytest.mark.parametrize("case", range(len(INPUTS)))
def test_bad_input(case: int) -> None:
    make, shapes, message = INPUTS[case]
    inputs = [_floats(*shape) for shape in shapes] if isinstance(shapes, list) else _floats(*shapes)
    with pytest.raises(ShapeError) as error:
        make()(inputs)
    assert message in str(error.value)


def test_merging_one_tensor_is_a_mistake() -> None:
    with pytest.raises(InvalidArgumentError, match="list of inputs"):
        layers.Add(name="sum")(_floats(2, 3))
    with pytest.raises(InvalidArgumentError, match="exactly 2"):
        layers.Subtract()([_floats(2, 3)] * 3)


def test_wrong_number_or_size_of_states() -> None:
    layer, x = layers.LSTM(4, name="memory"), _floats(2, 3, 5)
    with pytest.raises(InvalidArgumentError, match="`initial_state` has 1 tensors"):
        layer(x, initial_state=[_floats(2, 4)])
    with pytest.raises(ShapeError, match="'memory'"):
        layer(x, initial_state=[_floats(2, 4), _floats(2, 3)])


def test_built_layers_refuse_other_sizes() -> None:
    layer = layers.Dense(3, name="head")
    layer(_floats(2, 5))
    with pytest.raises(ShapeError, match="head"):
        layer(_floats(2, 6))


def test_unknown_size_for_a_weight() -> None:
    with pytest.raises(ShapeError, match="the last size of the input is not known"):
        layers.Dense(3)(Input((None,)))


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(UnsupportedError, match="JaxLayer"):
        layers.JaxLayer([])
    with pytest.raises(UnknownNameError, match="Densse"):
        layers.deserialize({"class_name": "Densse", "config": {}})


# -- own functions and layers -------------------------------------------------------------------------------------
def test_lambda_takes_arguments_masks_and_training() -> None:
    def scale(x: Any, factor: float, training: Any = None) -> Any:
        return x * factor if training else x

    layer = layers.Lambda(scale, arguments={"factor": 3.0})
    x = _floats(2, 3)
    np.testing.assert_allclose(layer(x, training=True), 3 * x, rtol=1e-6)
    np.testing.assert_array_equal(layer(x), x)


def test_own_cell() -> None:
    class Sum(layers.Layer):
        state_size = 3

        def call(self, inputs: Any, states: Any) -> Any:
            total = ops.add(states[0], inputs)
            return total, [total]

    x = _floats(2, 4, 3)
    np.testing.assert_allclose(layers.RNN(Sum(), return_sequences=True)(x), np.cumsum(x, axis=1), rtol=1e-5)
    np.testing.assert_allclose(layers.RNN(Sum())(x), x.sum(axis=1), rtol=1e-5, atol=1e-6)
