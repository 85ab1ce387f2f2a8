"""`fit`, `evaluate`, `predict`: epochs, batches, callbacks, generators and their errors, on the reference target."""

from __future__ import annotations

import numpy as np
import pytest

import kgraph
from kgraph import callbacks as kc
from kgraph.errors import DataError, InvalidArgumentError, NotCompiledError, ShapeError
from kgraph.layers import Dense


def linear(units=1, size=4, **arguments):
    model = kgraph.Sequential([kgraph.Input((size,), name="x"), Dense(units, name="out")])
    model.compile(**{"optimizer": kgraph.optimizers.SGD(0.05), "loss": "mse", "target": "reference", **arguments})
    return model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(50, 4)).astype("float32")
    return x, (x @ np.array([1.0, -2.0, 0.5, 0.0], "float32"))[:, None]


def test_training_finds_the_line(data):
    model = linear()
    history = model.fit(*data, epochs=40, batch_size=10, verbose=0)
    assert isinstance(history, kc.History)
    assert history is model.history
    assert history.history["loss"][-1] < 1e-3 < history.history["loss"][0]
    assert history.epoch == list(range(40))
    np.testing.assert_allclose(model.get_weights()[0][:, 0], [1.0, -2.0, 0.5, 0.0], atol=0.05)


def test_epoch_loss_weights_batches_by_size(data):
    x, y = data
    model = linear(optimizer=kgraph.optimizers.SGD(0.0))
    history = model.fit(x, y, batch_size=32, verbose=0)
    assert history.history["loss"][0] == pytest.approx(np.mean((model.predict(x, verbose=0) - y) ** 2), rel=1e-5)
    assert model.evaluate(x, y, batch_size=7, verbose=0) == pytest.approx(history.history["loss"][0], rel=1e-5)


def test_same_seed_same_history(data):
    histories = []
    for _ in range(2):
        kgraph.random.set_random_seed(5)
        histories.append(linear().fit(*data, epochs=3, batch_size=8, verbose=0).history)
    assert histories[0] == histories[1]


def test_shuffle_changes_the_order_only(data):
    seen = {}
    for shuffle in (True, False, "batch"):
        kgraph.random.set_random_seed(5)
        seen[shuffle] = linear().fit(*data, epochs=2, batch_size=8, shuffle=shuffle, verbose=0).history["loss"]
    assert len({tuple(losses) for losses in seen.values()}) == 3


def test_targets_of_rank_one_are_not_broadcast(data):
    x, y = data
    model = linear(optimizer=kgraph.optimizers.SGD(0.0))
    assert model.evaluate(x, y[:, 0], verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))


def test_validation(data):
    x, y = data
    model = linear()
    history = model.fit(x, y, validation_data=(x[:10], y[:10]), epochs=3, validation_freq=2, verbose=0)
    assert list(history.history) == ["loss", "val_loss"]
    assert len(history.history["val_loss"]) == 1
    history = model.fit(x, y, validation_data=[x[:10], y[:10], np.ones(10)], epochs=2, verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(x[:10], y[:10], verbose=0), rel=1e-5)
    history = model.fit(x, y, validation_split=0.2, validation_batch_size=3, validation_steps=2, verbose=0)
    assert history.history["val_loss"][0] == pytest.approx(model.evaluate(x[40:46], y[40:46], verbose=0), rel=1e-5)


def test_initial_epoch_and_keras_1_spelling(data):
    assert linear().fit(*data, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert linear().fit(*data, nb_epoch=2, verbose=0).epoch == [0, 1]


def test_predict_keeps_order_and_form(data):
    x, _ = data
    model = linear(3)
    whole = model.predict(x, verbose=0)
    assert whole.shape == (50, 3)
    np.testing.assert_allclose(model.predict(x, batch_size=7, verbose=0), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(iter([x[:20], x[20:]]), verbose=0), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict({"x": x}, verbose=0), whole, rtol=1e-5, atol=1e-6)
    assert model.predict(x, steps=2, batch_size=8, verbose=0).shape == (16, 3)


def test_batch_hooks_see_running_averages(data):
    x, y = data
    seen = []

    class Watch(kc.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(("end", batch, logs["loss"]))

        def on_test_batch_end(self, batch, logs=None):
            seen.append(("test", batch))

        def on_predict_batch_end(self, batch, logs=None):
            seen.append(("predict", logs["outputs"].shape))

    model = linear()
    history = model.fit(x, y, batch_size=20, callbacks=[Watch()], validation_split=0.2, verbose=0)
    assert [entry[:2] for entry in seen] == [("begin", 0), ("end", 0), ("begin", 1), ("end", 1), ("test", 0)]
    assert seen[3][2] == history.history["loss"][0]
    seen.clear()
    model.predict(x, batch_size=30, callbacks=[Watch()], verbose=0)
    assert seen == [("predict", (30, 1)), ("predict", (20, 1))]


def test_order_of_hooks(data):
    x, y = data
    seen = []
    names = [f"on_{name}" for name in "train_begin epoch_begin test_begin test_end epoch_end train_end".split()]
    callback = kc.LambdaCallback(**{name: lambda *a, name=name: seen.append(name) for name in names})
    linear().fit(x, y, epochs=1, validation_split=0.5, callbacks=callback, verbose=0)
    assert seen == names


def test_stopping_between_and_within_epochs(data):
    x, y = data

    class Stop(kc.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.stop_training = True

    seen = []
    count = kc.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    history = linear().fit(x, y, batch_size=10, epochs=5, callbacks=[Stop(), count], verbose=0)
    assert seen == [0, 1]
    assert len(history.history["loss"]) == 1
    stopping = kc.EarlyStopping("loss", patience=1, min_delta=1e9, restore_best_weights=True)
    model = linear()
    assert len(model.fit(x, y, epochs=9, callbacks=[stopping], verbose=0).history["loss"]) == 2
    assert stopping.stopped_epoch == 1


def test_learning_rate_callbacks_reach_the_program(data):
    model = linear()
    scheduler = kc.LearningRateScheduler(lambda epoch: 0.0)
    before = model.get_weights()
    history = model.fit(*data, epochs=2, callbacks=[scheduler], verbose=0)
    assert history.history["learning_rate"] == [0.0, 0.0]
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert model.trainer.compile_seconds == pytest.approx(model.trainer.compile_seconds)


def test_ctrl_c_leaves_a_usable_model(data):
    x, y = data

    def interrupt(batch, logs):
        if batch == 2:
            raise KeyboardInterrupt

    model = linear()
    before = model.evaluate(x, y, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=10, callbacks=[kc.LambdaCallback(on_train_batch_end=interrupt)], verbose=0)
    assert model.evaluate(x, y, verbose=0) < before
    model.fit(x, y, verbose=0)


def test_generators(data):
    x, y = data

    def batches():
        while True:
            for begin in range(0, 50, 10):
                yield x[begin : begin + 10], y[begin : begin + 10]

    model = linear()
    history = model.fit(
        batches(), steps_per_epoch=5, epochs=3, verbose=0, validation_data=batches(), validation_steps=2
    )
    assert len(history.history["val_loss"]) == 3
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.evaluate(batches(), steps=5, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-4)
    weighted = ((x[k : k + 5], y[k : k + 5], np.zeros(5)) for k in range(0, 50, 5))
    assert model.evaluate(weighted, verbose=0) == 0.0


def test_generator_that_ends_stops_training(data, capsys):
    x, y = data
    history = linear().fit(iter([(x, y)] * 3), steps_per_epoch=2, epochs=5, verbose=0)
    assert len(history.history["loss"]) == 2
    assert "the generator ended in epoch 2" in capsys.readouterr().out


def test_dataset(data):
    x, y = data

    class Pairs:
        ended = 0

        def __len__(self):
            return 5

        def __getitem__(self, k):
            return x[k * 10 : k * 10 + 10], y[k * 10 : k * 10 + 10]

        def on_epoch_end(self):
            self.ended += 1

    source = Pairs()
    model = linear()
    history = model.fit(source, epochs=4, verbose=0)
    assert source.ended == 4
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict(source, verbose=0).shape == (50, 1)


def test_same_numbers_from_arrays_and_generator(data):
    x, y = data
    found = []
    for stream in (False, True):
        kgraph.random.set_random_seed(1)
        model = linear()
        if stream:
            batches = ((x[k : k + 16], y[k : k + 16]) for k in range(0, 50, 16))
            found.append(model.fit(batches, verbose=0).history)
        else:
            found.append(model.fit(x, y, batch_size=16, shuffle=False, verbose=0).history)
    assert found[0] == found[1]


def test_steps_per_epoch_on_arrays_goes_on(data):
    x, y = data
    seen = []
    count = kc.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    linear().fit(x, y, batch_size=20, steps_per_epoch=2, epochs=3, callbacks=[count], verbose=0)
    assert seen == [0, 1] * 3


def test_unbuilt_sequential_is_built_by_data(data):
    model = kgraph.Sequential([Dense(3, activation="relu"), Dense(1)])
    model.compile("sgd", "mse", ["mae"], target="reference")
    history = model.fit(*data, epochs=2, verbose=0)
    assert list(history.history) == ["loss", "mae"]
    assert len(model.get_weights()) == 4


def test_progress_on_the_screen(data, capsys):
    model = linear(metrics=["mae"])
    model.fit(*data, epochs=2, batch_size=25)
    out = capsys.readouterr().out
    assert out.startswith("compiled the train step for target reference in ")
    assert "Epoch 1/2\n" in out
    assert "2/2" in out
    assert " - loss: " in out
    assert " - mae: " in out
    model.fit(*data, verbose=2)
    assert capsys.readouterr().out.count("\n") == 2
    model.evaluate(*data, verbose=0)
    model.predict(data[0], verbose=0)
    assert capsys.readouterr().out == ""


def test_shared_metric_object_and_reset(data):
    metric = kgraph.metrics.MeanAbsoluteError(name="error")
    model = linear(metrics=[metric])
    first = model.evaluate(*data, verbose=0)
    assert model.evaluate(*data, verbose=0) == first
    assert model.metrics_names == ["loss", "error"]
    assert metric in model.metrics


def test_sequences_of_any_length(rng):
    inputs = kgraph.Input((None, 3))
    model = kgraph.Model(inputs, Dense(2)(inputs))
    model.compile("sgd", "mse", target="reference")
    for length in (4, 7):
        x = rng.normal(size=(6, length, 3))
        assert model.predict(x, verbose=0).shape == (6, length, 2)
        model.fit(x, np.zeros((6, length, 2)), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"batch_size": 0}, InvalidArgumentError, "batch_size=0"),
        ({"validation_split": 1.5}, InvalidArgumentError, "validation_split=1.5"),
        ({"verbose": 3}, InvalidArgumentError, "verbose=3"),
        ({"validation_freq": 0, "validation_split": 0.5}, InvalidArgumentError, "validation_freq=0"),
        ({"steps_per_epoch": 0}, InvalidArgumentError, "0 steps an epoch"),
        ({"epoch": 3}, InvalidArgumentError, r"fit\(\) has no argument 'epoch'"),
        ({"sample_weight": np.ones(49)}, DataError, "differ in their number of rows"),
        ({"y": np.ones((49, 1))}, DataError, r"input 'x': 50, target 'out': 49"),
        ({"x": None}, DataError, "x is None"),
        ({"x": np.ones((50, 5))}, ShapeError, r"input 'x' does not take an array of shape \(50, 5\)"),
        ({"x": np.ones((0, 4)), "y": np.ones((0, 1))}, DataError, "no rows"),
        ({"x": iter([])}, InvalidArgumentError, "y must be None when x gives batches"),
        ({"x": iter([]), "y": None}, DataError, "the generator gave no batch"),
    ],
)
def test_errors(data, arguments, kind, text):
    x, y = data
    with pytest.raises(kind, match=text):
        linear().fit(**{"x": x, "y": y, "verbose": 0, **arguments})


def test_nan_in_data_is_named_before_training(data):
    x, y = data
    wrong = x.copy()
    wrong[7, 2] = np.nan
    model = linear()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"input 'x' holds NaN\n  where   test_fit.py:\d+, row 7"):
        model.fit(wrong, y, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert np.isnan(model.predict(wrong, verbose=0)[7]).all()


def test_not_compiled(data):
    model = kgraph.Sequential([kgraph.Input((4,)), Dense(1)])
    with pytest.raises((NotCompiledError, ValueError), match="compile"):
        model.fit(*data)
