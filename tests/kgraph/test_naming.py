"""Automatic names, as Keras gives them."""

from __future__ import annotations

import pytest

import kgraph
from kgraph import layers
from kgraph.core.session import clear_session, snake_case, unique_name
from kgraph.models import Input, Model, Sequential


@pytest.fixture(autouse=True)
def _fresh() -> None:
    clear_session()


def test_layers_are_numbered_by_class() -> None:
    assert [layers.Dense(1).name for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert layers.Dense(1, name="mine").name == "mine"
    assert layers.Dense(1).name == "dense_3"
    clear_session()
    assert layers.Dense(1).name == "dense"


@pytest.mark.parametrize(
    "name",
    "Dense BatchNormalization LSTM GRU Conv2D MaxPooling2D TimeDistributed SimpleRNN ReLU PReLU ELU "
    "InputLayer Functional GlobalAveragePooling1D DepthwiseConv2D MyBTCLayer Conv2DTranspose".split(),
)
def test_snake_case_is_that_of_keras(name: str) -> None:
    from keras.src.utils.naming import to_snake_case

    assert snake_case(name) == to_snake_case(name)


def test_ops_and_layers_share_the_counters() -> None:
    x = Input((3,))
    y = x + 1.0
    z = layers.Add()([y, x])
    assert (y._keras_history.operation.name, z._keras_history.operation.name) == ("add", "add_1")


def test_models() -> None:
    x = Input((3,), name="pixels")
    model = Model(x, layers.Dense(2, name="head")(x))
    assert model.name == "functional" and Sequential().name == "sequential" and Sequential().name == "sequential_1"
    assert model.input_names == ["pixels"] and model.output_names == ["head"]
    assert [layer.name for layer in model.layers] == ["pixels", "head"]
    assert Input((3,)).name == "input_layer"


def test_weights_have_paths() -> None:
    model = Sequential([layers.Dense(2, input_dim=3), layers.BatchNormalization()])
    assert [w.path for w in model.weights] == [
        "dense/kernel",
        "dense/bias",
        "batch_normalization/gamma",
        "batch_normalization/beta",
        "batch_normalization/moving_mean",
        "batch_normalization/moving_variance",
    ]


def test_names_must_be_unique_in_a_model() -> None:
    x = Input((3,))
    y = layers.Dense(2, name="same")(layers.Dense(2, name="same")(x))
    with pytest.raises(ValueError, match='The name "same" is used 2 times'):
        Model(x, y)
    with pytest.raises(ValueError, match="unique names"):
        Sequential([layers.Dense(2, name="same"), layers.Dense(2, name="same")])


def test_unique_name_counts() -> None:
    assert [unique_name("Thing"), unique_name("Thing")] == ["thing", "thing_1"]


def test_the_package_offers_its_names() -> None:
    for name in kgraph.__all__:
        assert getattr(kgraph, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kgraph.nothing
    from kgraph import backend
    from kgraph.backend import __all__ as names

    assert all(hasattr(backend, name) for name in names)
