"""Steps that a model writes itself: what they may hold, what comes out, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph import layers, metrics, ops, optimizers
from kgraph.errors import (
    DataError,
    InvalidArgumentError,
    KGraphError,
    SymbolicBoolError,
    UnsupportedError,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = RNG.normal(size=(20, 1)).astype("float32")


def functional(cls: Any, units: int = 1) -> Any:
    kgraph.utils.set_random_seed(3)
    inputs = kgraph.Input((3,))
    hidden = layers.Dense(4, activation="tanh", kernel_regularizer="l2")(inputs)
    return cls(inputs, layers.Dense(units)(hidden))


class Plain(kgraph.Model):
    """The step of Keras, written out."""

    def train_step(self, data: Any) -> Any:
        x, y, weight = kgraph.utils.unpack_x_y_sample_weight(data)
        with kgraph.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class Super(kgraph.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class OwnLoss(kgraph.Model):
    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        assert x is not None
        return super().compute_loss(x, y, y_pred, sample_weight)


class OwnMetrics(kgraph.Model):
    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().compute_metrics(x, y, y_pred, sample_weight)


@pytest.mark.parametrize("cls", [Plain, Super, OwnLoss, OwnMetrics])
def test_as_the_default_step(cls: Any) -> None:
    histories = []
    for each in (kgraph.Model, cls):
        model = functional(each)
        model.compile(optimizers.Adam(0.05, clipnorm=1.0), "mse", metrics=["mae"])
        options = {"batch_size": 5, "epochs": 3, "verbose": 0, "validation_data": (X, Y)}
        histories.append(model.fit(X, Y, **options).history)
        assert len(model.trainer._steps) == 2
    assert list(histories[0]) == list(histories[1])
    for key, values in histories[0].items():
        np.testing.assert_allclose(histories[1][key], values, rtol=1e-5, err_msg=key)


def test_the_loss_is_stabilised_in_own_steps_too() -> None:
    class Classes(Plain):
        def train_step(self, data: Any) -> Any:
            return Plain.train_step(self, data)

    inputs = kgraph.Input((3,))
    model = Classes(inputs, layers.Dense(3, activation="softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.train_on_batch(X, np.zeros(20, "int32"))
    text = str(model.trainer.ir("grad"))
    assert "log_softmax" in text and "gradients(" not in text and "watch(" not in text
    assert "= gradients(" in str(model.trainer.ir("graph"))


def test_sample_and_class_weights_reach_the_step() -> None:
    class Weighted(kgraph.Model):
        def train_step(self, data: Any) -> Any:
            _, _, weight = kgraph.utils.unpack_x_y_sample_weight(data)
            return {"weights": ops.sum(weight)}

    model = functional(Weighted)
    model.compile("sgd")
    labels = np.arange(20) % 2
    assert model.train_on_batch(X, labels, sample_weight=np.full(20, 2.0)) == 40.0
    assert model.train_on_batch(X, labels, sample_weight=np.full(20, 2.0), class_weight={0: 0.0, 1: 3.0}) == 60.0
    history = model.fit(X, labels, batch_size=20, class_weight={0: 5.0}, verbose=0).history
    assert history["weights"] == [60.0]


def test_test_and_predict_steps() -> None:
    class Both(kgraph.Model):
        def test_step(self, data: Any) -> Any:
            x, y = data
            return {"error": ops.max(ops.abs(self(x) - y))}

        def predict_step(self, data: Any) -> Any:
            return {"twice": 2.0 * self(data), "input": data}

    model = functional(Both)
    plain = model(X)
    model.compile("sgd", "mse")
    assert model.evaluate(X, Y, batch_size=20, verbose=0) == pytest.approx(np.abs(plain - Y).max(), rel=1e-5)
    found = model.predict(X, batch_size=8, verbose=0)
    np.testing.assert_allclose(found["twice"], 2.0 * plain, rtol=1e-5)
    np.testing.assert_array_equal(found["input"], X)


def test_metrics_as_attributes_start_again_each_epoch() -> None:
    class Counting(kgraph.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = layers.Dense(1)
            self.seen = [metrics.Sum(name="seen")]

        def call(self, x: Any) -> Any:
            self.seen[0].update_state(ops.ones_like(x[:, 0]))
            self.add_metric(ops.max(x[:, 0]) * 0.0 + 3.0, name="three")
            return self.head(x)

    model = Counting()
    model.compile("sgd", "mse")
    history = model.fit(X, Y, epochs=2, batch_size=8, verbose=0).history
    assert history["seen"] == [20.0, 20.0] and history["three"] == [3.0, 3.0]
    assert [metric.name for metric in model.metrics] == ["loss", "seen", "three"]
    assert not any("seen" in weight.path for weight in model.weights)


def test_reads_after_an_update_see_it() -> None:
    class Twice(kgraph.Model):
        def train_step(self, data: Any) -> Any:
            (kernel, _) = self.trainable_variables[:2]
            first = ops.sum(ops.square(kernel))
            self.optimizer.apply([kgraph.gradients(first, kernel)], [kernel])
            second = ops.sum(ops.square(kernel))
            (grad,) = kgraph.gradients(second, [kernel])
            self.optimizer.apply([grad], [kernel])
            return {"first": first, "second": second, "third": ops.sum(ops.square(kernel))}

    model = functional(Twice)
    model.compile(optimizers.SGD(0.25))
    logs = model.train_on_batch(X, return_dict=True)
    np.testing.assert_allclose([logs["second"], logs["third"]], [logs["first"] / 4, logs["first"] / 16], rtol=1e-5)
    np.testing.assert_allclose(np.square(model.get_weights()[0]).sum(), logs["third"], rtol=1e-5)
    assert int(model.optimizer.iterations.numpy()) == 2


def test_several_optimizers_and_frozen_layers() -> None:
    class Two(kgraph.Model):
        def compile(self, first: Any, second: Any) -> None:
            super().compile(first, "mse")
            self.second = second

        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(y=y, y_pred=self(x))
            head = self.layers[-1].trainable_variables
            body = [v for v in self.trainable_variables if all(v is not w for w in head)]
            of_head, of_body = kgraph.gradients(loss, [head, body])
            self.optimizer.apply(of_head, head)
            if body:
                self.second.apply(of_body, body)
            return {"loss": loss}

    model = functional(Two)
    model.compile(optimizers.SGD(0.1), optimizers.SGD(0.0))
    before = model.get_weights()
    model.train_on_batch(X, Y)
    after = model.get_weights()
    assert (before[0] == after[0]).all() and (before[2] != after[2]).any()
    model.layers[1].trainable = False
    model.train_on_batch(X, Y)
    model.second.learning_rate = 0.1
    model.layers[1].trainable = True
    model.train_on_batch(X, Y)
    assert (model.get_weights()[0] != before[0]).any()


def test_random_numbers_change_from_step_to_step() -> None:
    class Noise(kgraph.Model):
        def train_step(self, data: Any) -> Any:
            noise = kgraph.random.normal((ops.shape(data)[0], 2))
            return {"noise": ops.sum(noise)}

    model = functional(Noise)
    model.compile("sgd")
    assert model.train_on_batch(X) != model.train_on_batch(X)


def test_unconnected_gradients() -> None:
    class Loose(kgraph.Model):
        def train_step(self, data: Any) -> Any:
            with kgraph.GradientTape(persistent=True) as tape:
                loss = ops.mean(data) + ops.mean(ops.stop_gradient(self(data)))
            assert tape.gradient(loss, self.trainable_variables) == [None] * 4
            zeros = tape.gradient(loss, self.trainable_variables[:1], unconnected_gradients="zero")
            return {"zero": ops.sum(zeros[0]), "one": ops.sum(tape.gradient(loss, data))}

    model = functional(Loose)
    model.compile("sgd")
    np.testing.assert_allclose(model.train_on_batch(X), [1.0, 0.0], rtol=1e-5)


def test_equal_values_are_not_taken_for_one_source() -> None:
    class Equal(kgraph.Model):
        def train_step(self, data: Any) -> Any:
            first, second = data * 2.0, data * 2.0
            loss = ops.sum(first) + 10.0 * ops.sum(second)
            return {"slope": ops.max(kgraph.gradients(loss, first))}

    model = functional(Equal)
    model.compile("sgd")
    assert model.train_on_batch(X) == 1.0


def test_compute_loss_on_arrays() -> None:
    model = functional(kgraph.Model)
    model.compile("sgd", "mse")
    y_pred = model(X)
    penalty = 0.01 * np.square(model.get_weights()[0]).sum()
    want = np.square(y_pred - Y).mean() + penalty
    np.testing.assert_allclose(model.compute_loss(X, Y, y_pred), want, rtol=1e-5)
    assert model.compute_metrics(X, Y, y_pred)["loss"] == 0.0


def test_streams_and_nested_data() -> None:
    class Nested(kgraph.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            assert sorted(x) == ["a", "b"] and len(y) == 2
            return {"sum": ops.sum(x["a"]) + ops.sum(x["b"]) + ops.sum(y[0]) + ops.sum(y[1])}

    model = Nested()
    model.compile("sgd")

    def batches() -> Any:
        for count in (4, 3):
            ones = np.ones((count, 2))
            yield {"b": ones, "a": ones}, (ones, ones[:, 0])

    history = model.fit(batches(), verbose=0).history
    assert history["sum"] == [3 * (2 + 2 + 2 + 1)]
    with pytest.raises(DataError, match="number of rows"):
        model.train_on_batch({"a": X, "b": X[:3]}, (X, X))


# -- what is refused --------------------------------------------------------------------------------------------------
def failing(body: Any) -> Any:
    """A model whose step is `body`, compiled."""
    cls = type("Failing", (kgraph.Model,), {"train_step": body})
    model = functional(cls)
    model.compile("sgd", "mse")
    return model


def test_the_form_of_jax_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"train_step\(self, state, data\)[\s\S]*def train_step\(self, data\)"):
        failing(lambda self, state, data: {})
    with pytest.raises(UnsupportedError, match=r"override train_step\(self, data\)"):
        functional(type("Loop", (kgraph.Model,), {"make_train_function": lambda self: None})).compile("sgd")


BODIES: dict[str, tuple[Any, type[KGraphError], str]] = {
    "numpy": (lambda self, data: {"loss": np.mean(data[0])}, SymbolicBoolError, "use ops.mean"),
    "float": (lambda self, data: {"loss": float(ops.mean(data[0]))}, SymbolicBoolError, "the number"),
    "if": (lambda self, data: {"loss": 1.0 if ops.mean(data[0]) > 0 else 0.0}, SymbolicBoolError, "truth value"),
    "no-dict": (lambda self, data: ops.mean(data[0]), InvalidArgumentError, "a dict of names"),
    "array": (lambda self, data: {"g": kgraph.gradients(ops.mean(data[0]), X)}, InvalidArgumentError, "neither"),
    "integers": (
        lambda self, data: {"g": kgraph.gradients(ops.argmax(data[0][0]), self.trainable_variables)},
        InvalidArgumentError,
        "no float",
    ),
    "jacobian": (
        lambda self, data: kgraph.GradientTape().jacobian(data[0], data[0]),
        UnsupportedError,
        "call gradient for each",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_cannot_be_traced(name: str) -> None:
    body, kind, text = BODIES[name]
    with pytest.raises(kind, match=text) as caught:
        failing(body).train_on_batch(X, Y)
    assert "test_own_steps.py" in str(caught.value)


def test_counting_in_python_is_refused() -> None:
    class Counter(kgraph.Model):
        steps = 0

        def train_step(self, data: Any) -> Any:
            self.count = self.count + 1
            return {"loss": ops.mean(data)}

    model = functional(Counter)
    model.count = 0
    model.compile("sgd")
    with pytest.raises(InvalidArgumentError, match=r"changes counter\.count, a Python number, from 0 to 1"):
        model.train_on_batch(X)


def test_gradients_need_a_trace() -> None:
    with pytest.raises(InvalidArgumentError, match="train_step"), kgraph.GradientTape():
        pass
    with pytest.raises(InvalidArgumentError, match="train_step"):
        kgraph.gradients(X, X)
