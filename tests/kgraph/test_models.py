"""Functional, sequential and subclassed models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kgraph import backend as K
from kgraph import layers, ops
from kgraph.core import Layer, Trace
from kgraph.errors import (
    DataError,
    GraphDisconnectedError,
    InvalidArgumentError,
    LayerAttributeError,
    NotBuiltError,
    NotCompiledError,
    ShapeError,
)
from kgraph.ir import Dim, Graph
from kgraph.models import Functional, Input, Model, Sequential, clone_model


def two_towers() -> Model:
    """Shared layer, two inputs, two outputs."""
    a, b = Input((3,), name="a"), Input((3,), name="b")
    shared = layers.Dense(4, name="shared")
    left, right = shared(a), shared(b)
    merged = layers.concatenate([left, right])
    return Model([a, b], [layers.Dense(2, name="main")(merged), layers.Dense(1, name="side")(left)], name="towers")


class TestFunctional:
    def test_layers_are_ordered_as_in_keras(self) -> None:
        import keras

        def build(kit: object, Input: object, Model: object) -> list:
            a, b = Input((3,), name="a"), Input((3,), name="b")
            x = kit.Dense(4, name="d1")(a)
            y = kit.Dense(4, name="d2")(b)
            y = kit.Dense(4, name="d3")(y)
            z = kit.Add(name="sum")([x, y])
            skip = kit.Add(name="skip")([z, x])
            shared = kit.Dense(4, name="shared")
            out = kit.Concatenate(name="cat")([shared(skip), shared(y)])
            first = [layer.name for layer in Model([a, b], [out, x]).layers]
            second = [layer.name for layer in Model([b, a], out).layers]
            return [first, second]

        assert build(layers, Input, Model) == build(keras.layers, keras.Input, keras.Model)

    def test_numbers(self, rng: np.random.Generator) -> None:
        model = two_towers()
        a, b = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
        k, c = model.get_layer("shared").get_weights()
        m, n = model.get_layer("main").get_weights()
        expected = np.concatenate([a @ k + c, b @ k + c], 1) @ m + n
        for given in ([a, b], (a, b), {"a": a, "b": b}):
            main, side = model(given)
            np.testing.assert_allclose(main, expected, rtol=1e-4, atol=1e-5)
            assert side.shape == (5, 1)

    def test_facts(self) -> None:
        model = two_towers()
        assert isinstance(model, Functional) and isinstance(model, Model)
        assert model.input_shape == [(None, 3), (None, 3)] and model.output_shape == [(None, 2), (None, 1)]
        assert model.input_names == ["a", "b"] and model.output_names == ["main", "side"]
        assert model.count_params() == 16 + 18 + 5
        assert [w.path for w in model.weights][:2] == ["shared/kernel", "shared/bias"]
        assert model.get_layer(index=0).name == "a"
        with pytest.raises(ValueError, match=r"No such layer: x. Existing layers are: \['a', 'b'"):
            model.get_layer("x")
        with pytest.raises(ValueError, match="only has 6 layers"):
            model.get_layer(index=9)

    def test_keras_2_keywords(self) -> None:
        x = Input((3,))
        y = layers.Dense(2)(x)
        assert Model(input=x, output=y).output is y and Model(inputs=x, outputs=y, name="n").name == "n"
        assert Model(x, y, "n").name == "n"

    def test_disconnected(self) -> None:
        a, b = Input((3,), name="left"), Input((3,), name="right")
        y = layers.Add(name="sum")([a, b])
        with pytest.raises(GraphDisconnectedError) as caught:
            Model(a, y)
        assert "'right'" in str(caught.value) and "'sum'" in str(caught.value)

    def test_not_a_tensor(self) -> None:
        x = Input((3,))
        with pytest.raises(InvalidArgumentError, match="inputs of model"):
            Model(np.ones((2, 3)), x)
        with pytest.raises(InvalidArgumentError, match="twice"):
            Model([x, x], layers.Dense(1)(x))

    def test_sub_model_and_model_from_the_middle(self) -> None:
        model = two_towers()
        sub = Model(model.input, model.get_layer("main").output)
        x = [np.ones((2, 3)), np.ones((2, 3))]
        np.testing.assert_array_equal(sub(x), model(x)[0])
        middle = Model(
            model.get_layer("concatenate" if _has(model, "concatenate") else model.layers[3].name).output,
            model.outputs[0],
        )
        assert middle.input_shape == (None, 8) and middle(np.ones((2, 8))).shape == (2, 2)

    def test_nested_and_shared_models(self) -> None:
        x = Input((3,))
        inner = Model(x, layers.Dense(4, activation="relu", name="deep")(x), name="inner")
        a, b = Input((3,)), Input((3,))
        outer = Model([a, b], layers.Subtract()([inner(a), inner(b)]))
        assert outer.count_params() == 16 and inner in outer.layers
        data = np.random.rand(4, 3)
        np.testing.assert_allclose(outer([data, data]), np.zeros((4, 4)), atol=1e-6)
        graph = Graph("g")
        with Trace(graph) as trace:
            outer([trace.input("x", (Dim.symbol("B"), 3)), trace.input("y", (Dim.symbol("B"), 3))])
        assert {node.loc.layer for node in graph.nodes} >= {"inner/deep"}

    def test_dicts_of_inputs_and_outputs(self) -> None:
        ins = {"p": Input((3,), name="first"), "q": Input((3,), name="second")}
        model = Model(ins, {"sum": ins["p"] + ins["q"], "diff": ins["p"] - ins["q"]})
        out = model({"p": np.full((2, 3), 5.0), "q": np.full((2, 3), 2.0)})
        assert out["sum"][0, 0] == 7 and out["diff"][0, 0] == 3
        assert model.output_names == ["diff", "sum"]

    def test_wrong_calls(self) -> None:
        model = two_towers()
        with pytest.raises(ShapeError, match=r"expected 2 input\(s\). Received 1"):
            model(np.ones((2, 3)))
        with pytest.raises(ShapeError, match="input 'b' of model 'towers' has another shape"):
            model([np.ones((2, 3)), np.ones((2, 4))])
        with pytest.raises(ShapeError, match="without input 'b'"):
            model({"a": np.ones((2, 3))})

    def test_unknown_sizes_that_meet_become_one(self) -> None:
        a, b = Input((None, 3)), Input((None, 3))
        merged = a + b
        assert merged.shape == (None, None, 3) and a.dims == b.dims
        joined = layers.concatenate([Input((None, 2)), Input((None, 4))])
        assert joined.shape == (None, None, 6)
        assert Model([a, b], merged)([np.ones((2, 5, 3)), np.ones((2, 5, 3))]).shape == (2, 5, 3)

    def test_sizes_in_arguments_follow_the_input(self) -> None:
        x = Input((4, 3))
        model = Model(x, ops.reshape(x, (ops.shape(x)[0], -1)))
        assert model.output_shape == (None, 12) and model(np.ones((5, 4, 3))).shape == (5, 12)

    def test_deep_models_need_no_recursion(self) -> None:
        x = y = Input((2,))
        for _ in range(1500):
            y = -y
        assert len(Model(x, y).operations) == 1501

    def test_clone(self) -> None:
        model = two_towers()
        twin = clone_model(model)
        assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
        assert not {id(w) for w in twin.weights} & {id(w) for w in model.weights}
        twin.set_weights(model.get_weights())
        x = [np.ones((2, 3)), np.ones((2, 3))]
        np.testing.assert_array_equal(twin(x)[0], model(x)[0])

    def test_a_loss_on_tensors_of_the_model(self) -> None:
        x = Input((3,), name="x")
        h = layers.Dense(2)(x)
        model = Model(x, h)
        model.add_loss(ops.mean(ops.square(h)))
        y = model(np.ones((4, 3)))
        np.testing.assert_allclose(model.losses, [np.mean(y**2)], rtol=1e-5)
        assert y.shape == (4, 2) and clone_model(model)(np.ones((4, 3))).shape == (4, 2)
        with Trace(Graph("g")) as trace:
            model(trace.input("x", (Dim.symbol("B"), 3)))
        assert len(trace.losses) == 1
        with pytest.raises(ValueError, match="on the model itself"):
            model.layers[1].add_loss(ops.mean(h))

    def test_copies(self) -> None:
        import copy
        import pickle

        model = two_towers()
        x = [np.ones((2, 3)), np.ones((2, 3))]
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(twin(x)[0], model(x)[0])
            assert twin.weights[0] is not model.weights[0]

    def test_frozen_layer(self) -> None:
        model = two_towers()
        model.get_layer("shared").trainable = False
        assert [w.path for w in model.trainable_weights] == ["main/kernel", "main/bias", "side/kernel", "side/bias"]
        assert [w.path for w in model.weights][:2] == ["shared/kernel", "shared/bias"]


def _has(model: Model, name: str) -> bool:
    return any(layer.name == name for layer in model.layers)


class TestSequential:
    def test_shapes_given_in_every_way(self) -> None:
        for model in (
            Sequential([layers.Dense(4, input_shape=(3,)), layers.Dense(2)]),
            Sequential([layers.Dense(4, input_dim=3), layers.Dense(2)]),
            Sequential([layers.Dense(4, batch_input_shape=(None, 3)), layers.Dense(2)]),
            Sequential([Input((3,)), layers.Dense(4), layers.Dense(2)]),
            Sequential([layers.InputLayer(shape=(3,)), layers.Dense(4), layers.Dense(2)]),
        ):
            assert model.built and model.input_shape == (None, 3) and model.output_shape == (None, 2)
            assert len(model.layers) == 2 and model.count_params() == 26
            assert model.layers[0].output.shape == (None, 4)
            assert Model(model.input, model.layers[0].output)(np.ones((2, 3))).shape == (2, 4)

    def test_deferred(self) -> None:
        model = Sequential([layers.Dense(4), layers.Dense(2)])
        assert not model.built and model.inputs == []
        with pytest.raises(LayerAttributeError, match="not known yet"):
            _ = model.output
        with pytest.raises(NotBuiltError):
            model.count_params()
        with pytest.raises(ValueError, match="no weights yet"):
            model.get_weights()
        assert model(np.ones((5, 3))).shape == (5, 2)
        assert model.input_shape == (None, 3) and model.count_params() == 26

    def test_add_and_pop(self) -> None:
        model = Sequential()
        model.add(layers.Dense(4, input_dim=3))
        model.add(layers.Activation("relu"))
        model.add(layers.Dense(2))
        assert model.output_shape == (None, 2)
        assert model.pop().units == 2
        assert model.output_shape == (None, 4) and model(np.ones((1, 3))).shape == (1, 4)
        model.add(layers.Dense(7))
        assert model.output_shape == (None, 7)
        assert len(model.layers[0]._inbound_nodes) == 1
        with pytest.raises(ValueError, match="no layers"):
            Sequential().pop()

    def test_mistakes(self) -> None:
        with pytest.raises(ValueError, match="Only instances of `Layer`"):
            Sequential([layers.Dense])
        with pytest.raises(ValueError, match="already been configured"):
            Sequential([layers.Dense(2, input_dim=3), Input((3,))])
        with pytest.raises(ShapeError, match="incompatible with the layer"):
            layers.Dense(4, input_dim=3)(np.ones(3))
        with pytest.raises(ShapeError, match="has another shape"):
            Sequential([layers.Dense(4, input_dim=3)])(np.ones((2, 5)))

    def test_in_a_model_and_time_distributed(self) -> None:
        inner = Sequential([layers.Dense(4, activation="relu", input_dim=6), layers.Dense(2)])
        x = Input((20, 6))
        y = layers.TimeDistributed(inner)(x)
        assert y.shape == (None, 20, 2)
        data = np.random.rand(3, 20, 6)
        out = Model(x, y)(data)
        np.testing.assert_allclose(out[1, 7], inner(data[1, 7:8])[0], rtol=1e-4, atol=1e-6)

    def test_model_as_first_layer(self) -> None:
        base = Sequential([layers.Dense(4, input_dim=3)])
        model = Sequential([base, layers.Dense(2)])
        assert model.input_shape == (None, 3) and model.count_params() == 26


class Residual(Model):
    """A subclassed model."""

    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(4, activation="relu")
        self.blocks = [layers.Dense(4), layers.Dense(4)]
        self.drop = layers.Dropout(0.5)

    def call(self, x: object, training: bool | None = None) -> object:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.drop(x, training=training)


class TestSubclass:
    def test_build_and_call(self) -> None:
        model = Residual()
        assert not model.built
        model.build((None, 3))
        assert model.built and len(model.weights) == 6 and model.output_shape == (None, 4)
        assert model.weights[0].path == "residual/dense/kernel" or model.weights[0].path.endswith("/kernel")
        assert model(np.ones((2, 3))).shape == (2, 4)

    def test_call_builds(self) -> None:
        model = Residual()
        assert model(np.ones((2, 3))).shape == (2, 4) and model.count_params() == 16 + 2 * 20
        assert len(model.layers) == 4

    def test_functional_inside_init(self) -> None:
        class Wrapped(Model):
            def __init__(self) -> None:
                x = Input((3,))
                super().__init__(inputs=x, outputs=layers.Dense(2)(x))

        assert Wrapped()(np.ones((1, 3))).shape == (1, 2)

    def test_without_call(self) -> None:
        with pytest.raises(NotImplementedError, match="call"):
            Model()(np.ones((1, 3)))

    def test_custom_layer_in_a_model(self) -> None:
        class Scale(Layer):
            def build(self, shape: tuple) -> None:
                self.s = self.add_weight(name="s", shape=(shape[-1],), initializer="ones")
                super().build(shape)

            def call(self, x: object) -> object:
                return x * self.s

        x = Input((3,))
        model = Model(x, Scale()(x))
        np.testing.assert_array_equal(model(np.full((1, 3), 2.0)), [[2, 2, 2]])


class TestMethods:
    def test_not_compiled(self) -> None:
        model = Sequential([layers.Dense(1, input_dim=2)])
        for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
            with pytest.raises(NotCompiledError, match="compile"):
                getattr(model, method)(np.ones((2, 2)), np.ones((2, 1)))
        assert model.optimizer is None and model.metrics_names == []

    def test_summary(self) -> None:
        lines: list[str] = []
        two_towers().summary(print_fn=lines.append)
        text = "\n".join(lines)
        assert (
            'Model: "towers"' in text
            and "shared (Dense)" in text
            and "Total params: 39" in text
            and "shared[1][0]" in text
        )

    def test_weights_file(self, tmp_path: Path) -> None:
        import h5py

        model, twin = two_towers(), two_towers()
        path = tmp_path / "m.weights.h5"
        model.save_weights(path)
        twin.load_weights(path)
        for a, b in zip(model.get_weights(), twin.get_weights()):
            np.testing.assert_array_equal(a, b)
        with h5py.File(path) as file:
            assert file["layers/dense/vars/0"].shape == (3, 4) and file["layers/dense_1/vars/0"].shape == (8, 2)
        assert [p.name for p in tmp_path.iterdir()] == ["m.weights.h5"]
        with pytest.raises(ValueError, match="must end in"):
            model.save_weights(tmp_path / "m.bin")
        with pytest.raises(ValueError, match="exists"):
            model.save_weights(path, overwrite=False)
        other = Sequential([layers.Dense(1, input_dim=2)])
        with pytest.raises((DataError, ShapeError), match="does not fit"):
            other.load_weights(path)

    @pytest.mark.parity
    def test_weights_file_of_keras(self, tmp_path: Path) -> None:
        import keras

        def build(kit: object, Sequential: object, Input: object) -> object:
            return Sequential([Input((6, 3)), kit.LSTM(4), kit.Dense(5), kit.BatchNormalization(), kit.Dense(2)])

        ours, theirs = build(layers, Sequential, Input), build(keras.layers, keras.Sequential, keras.Input)
        path = tmp_path / "k.weights.h5"
        theirs.save_weights(path)
        ours.load_weights(path)
        x = np.random.rand(4, 6, 3).astype("float32")
        np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=1e-4, atol=1e-5)
        ours.set_weights([w * 2 for w in ours.get_weights()])
        ours.save_weights(path)
        theirs.load_weights(path)
        for a, b in zip(ours.get_weights(), theirs.get_weights()):
            np.testing.assert_array_equal(a, b)


class TestBackend:
    def test_function(self) -> None:
        model = Sequential([layers.Dense(4, input_dim=3), layers.Dropout(0.5)])
        f = K.function([model.input, K.learning_phase()], [model.layers[0].output, model.output])
        x = np.ones((2, 3))
        first, last = f([x, 0])
        np.testing.assert_array_equal(first, last)
        assert not np.array_equal(*f([x, 1]))

    def test_batch_dot(self) -> None:
        a, b = np.random.rand(4, 3).astype("f"), np.random.rand(4, 3).astype("f")
        np.testing.assert_allclose(K.batch_dot(a, b, axes=1), (a * b).sum(1, keepdims=True), rtol=1e-5)
        c, d = np.random.rand(4, 3, 5).astype("f"), np.random.rand(4, 5, 2).astype("f")
        np.testing.assert_allclose(K.batch_dot(c, d), c @ d, rtol=1e-5)
        np.testing.assert_allclose(K.batch_dot(c, d, axes=(2, 1)), c @ d, rtol=1e-5)
        assert K.batch_dot(Input((3, 5)), Input((5, 2))).shape == (None, 3, 2)

    def test_variables_and_shapes(self) -> None:
        v = K.variable(np.ones((2, 3)), name="v")
        K.set_value(v, np.zeros((2, 3)))
        assert K.get_value(v).sum() == 0 and K.int_shape(v) == (2, 3) and K.count_params(v) == 6
        x = K.placeholder(shape=(None, 4, 5))
        assert K.int_shape(x) == (None, 4, 5) and K.int_shape(K.batch_flatten(x)) == (None, 20)
        assert K.is_keras_tensor(x) and not K.is_keras_tensor(np.ones(2))
        assert K.int_shape(K.permute_dimensions(x, (0, 2, 1))) == (None, 5, 4)
        assert K.epsilon() == 1e-7 and K.floatx() == "float32" and K.image_data_format() == "channels_last"

    def test_numbers(self) -> None:
        x = np.array([-2.0, -0.5, 0.5, 3.0], "float32")
        np.testing.assert_allclose(K.relu(x, alpha=0.1, max_value=2.0), [-0.2, -0.05, 0.5, 2.0], rtol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(K.l2_normalize(x)), 1.0, rtol=1e-6)
        p = np.array([[0.2, 0.8], [0.6, 0.4]], "float32")
        t = np.array([[0, 1], [1, 0]], "float32")
        np.testing.assert_allclose(K.categorical_crossentropy(t, p), -np.log([0.8, 0.6]), rtol=1e-5)
        np.testing.assert_allclose(K.sparse_categorical_crossentropy([1, 0], p), -np.log([0.8, 0.6]), rtol=1e-5)
        np.testing.assert_allclose(K.binary_crossentropy(t, p), -np.log([[0.8, 0.8], [0.6, 0.6]]), rtol=1e-5)
