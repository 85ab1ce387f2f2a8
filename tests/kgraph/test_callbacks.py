"""Callbacks, driven without a model: the same sequences of logs as real Keras, and their own rules."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from kgraph import callbacks as kc
from kgraph.errors import InvalidArgumentError


class FakeOptimizer:
    learning_rate = 0.1


class FakeModel:
    """What callbacks need of a model."""

    def __init__(self):
        self.stop_training = False
        self.optimizer = FakeOptimizer()
        self.optimizer.learning_rate = 0.1
        self.metrics = []
        self.weights = 0
        self.saved = []

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        self.weights = weights[0]

    def save_weights(self, path, overwrite=True):
        self.saved.append(path)


def drive(callback, values, key="val_loss", model=None):
    """Run epochs with the given monitored values; returns (model, number of epochs run)."""
    model = model or FakeModel()
    hooks = kc.CallbackList([callback], add_history=True, model=model)
    hooks.on_train_begin()
    epoch = -1
    for epoch, value in enumerate(values):
        model.weights = epoch
        hooks.on_epoch_begin(epoch)
        hooks.on_epoch_end(epoch, {"loss": 1.0, key: value})
        if model.stop_training:
            break
    hooks.on_train_end()
    return model, epoch + 1


KERAS_CASES = [
    ({}, [3, 2, 2, 1]),
    ({"patience": 2}, [3, 2, 2, 2, 1, 0]),
    ({"patience": 2, "min_delta": 0.5}, [3, 2.4, 2.0, 1.9, 1.8, 1.0]),
    ({"patience": 1, "baseline": 2.0}, [3, 2.5, 2.4, 1.0]),
    ({"patience": 0, "start_from_epoch": 3}, [1, 2, 3, 4, 5, 6]),
    ({"patience": 1, "mode": "max"}, [1, 2, 2, 1, 3]),
    ({"patience": 2, "restore_best_weights": True}, [3, 1, 2, 2, 2]),
    ({"patience": 9, "restore_best_weights": True}, [3, 1, 2]),
    ({"patience": 1, "restore_best_weights": True}, [float("nan"), float("nan"), 1.0]),
]


@pytest.mark.parametrize(("arguments", "values"), KERAS_CASES)
def test_early_stopping_as_keras(arguments, values):
    keras = pytest.importorskip("keras")
    ours, theirs = kc.EarlyStopping(**arguments), keras.callbacks.EarlyStopping(**arguments)
    model, epochs = drive(ours, values)

    other, ran = FakeModel(), 0
    theirs.set_model(other)
    theirs.on_train_begin()
    for epoch, value in enumerate(values):
        other.weights, ran = epoch, epoch + 1
        theirs.on_epoch_end(epoch, {"loss": 1.0, "val_loss": value})
        if other.stop_training:
            break
    theirs.on_train_end()
    assert (epochs, model.weights, ours.stopped_epoch) == (ran, other.weights, theirs.stopped_epoch)
    np.testing.assert_equal(ours.best, theirs.best)


def test_early_stopping_warns_of_a_missing_metric():
    with pytest.warns(UserWarning, match="'val_loss' is not available; available are: loss"):
        kc.EarlyStopping().on_epoch_end(0, {"loss": 1.0})


def test_direction_of_a_monitor():
    assert drive(kc.EarlyStopping("val_acc"), [1, 2, 3], "val_acc")[1] == 3
    assert drive(kc.EarlyStopping("val_main_loss"), [3, 2, 1], "val_main_loss")[1] == 3
    assert drive(kc.EarlyStopping("val_mae"), [3, 2, 1], "val_mae")[1] == 3
    with pytest.raises(InvalidArgumentError, match="mode='max' or mode='min'"):
        drive(kc.EarlyStopping("val_mean_pred"), [1, 2], "val_mean_pred")
    with pytest.warns(UserWarning, match="mode 'up' is unknown"):
        kc.EarlyStopping(mode="up")


@pytest.mark.parametrize(
    "arguments", [{"patience": 1}, {"patience": 2, "cooldown": 2}, {"patience": 1, "min_lr": 0.02, "factor": 0.3}]
)
def test_reduce_lr_on_plateau_as_keras(arguments):
    keras = pytest.importorskip("keras")
    values = [3.0, 2.0, 2.0, 2.0, 1.99995, 1.0, 1.0, 1.0, 1.0, 1.0]
    rates = []
    for kind in (kc.ReduceLROnPlateau, keras.callbacks.ReduceLROnPlateau):
        callback, model, found = kind(**arguments), FakeModel(), []
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, value in enumerate(values):
            logs = {"val_loss": value}
            callback.on_epoch_end(epoch, logs)
            found.append((model.optimizer.learning_rate, logs["learning_rate"]))
        rates.append(found)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-6)


def test_reduce_lr_refuses_a_factor_of_one():
    with pytest.raises(InvalidArgumentError, match="factor=1"):
        kc.ReduceLROnPlateau(factor=1)


def test_checkpoint_paths_count_from_one(tmp_path):
    path = str(tmp_path / "sub" / "w{epoch:02d}-{val_loss:.2f}.weights.h5")
    model, _ = drive(kc.ModelCheckpoint(path, save_weights_only=True), [3.0, 1.0])
    assert model.saved == [str(tmp_path / "sub" / name) for name in ("w01-3.00.weights.h5", "w02-1.00.weights.h5")]
    assert (tmp_path / "sub").is_dir()


def test_checkpoint_best_only_and_by_batches(tmp_path, capsys):
    path = str(tmp_path / "{epoch}.weights.h5")
    best = kc.ModelCheckpoint(path, save_weights_only=True, save_best_only=True, verbose=1)
    assert len(drive(best, [3.0, 3.0, 1.0])[0].saved) == 2
    assert "Epoch 2: val_loss did not improve from 3.00000" in capsys.readouterr().out
    threshold = kc.ModelCheckpoint(path, save_weights_only=True, save_best_only=True, initial_value_threshold=2.0)
    assert len(drive(threshold, [3.0, 3.0, 1.0])[0].saved) == 1
    batches = kc.ModelCheckpoint(str(tmp_path / "{batch}.weights.h5"), save_weights_only=True, save_freq=3)
    assert batches.wants_batches("train")
    assert not kc.ModelCheckpoint(path, save_weights_only=True).wants_batches("train")
    batches.set_model(model := FakeModel())
    for epoch in range(2):
        batches.on_epoch_begin(epoch)
        for batch in range(5):
            batches.on_train_batch_end(batch, {})
    assert [name.rsplit("/")[-1] for name in model.saved] == ["3.weights.h5", "1.weights.h5", "4.weights.h5"]


def test_checkpoint_errors(tmp_path):
    with pytest.raises(InvalidArgumentError, match="save_weights_only=True"):
        kc.ModelCheckpoint("m.weights.h5")
    with pytest.raises(InvalidArgumentError, match=r"ends in \.weights\.h5"):
        kc.ModelCheckpoint("m.npz", save_weights_only=True)
    with pytest.raises(InvalidArgumentError, match="save_freq='batch'"):
        kc.ModelCheckpoint("m.weights.h5", save_weights_only=True, save_freq="batch")
    with pytest.raises(KeyError, match="which the logs lack; they have: loss, val_loss"):
        drive(kc.ModelCheckpoint("{acc}.weights.h5", save_weights_only=True), [1.0])
    (tmp_path / "d.weights.h5").mkdir()
    with pytest.raises(IsADirectoryError):
        drive(kc.ModelCheckpoint(tmp_path / "d.weights.h5", save_weights_only=True), [1.0])


def test_learning_rate_scheduler():
    model, _ = drive(kc.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1)), [1, 1])
    assert model.optimizer.learning_rate == 0.25
    assert model.history.history["learning_rate"] == [0.1, 0.1] or len(model.history.history["loss"]) == 2
    model, _ = drive(kc.LearningRateScheduler(lambda epoch, rate: rate * 0.5), [1, 1])
    assert model.optimizer.learning_rate == pytest.approx(0.025)
    with pytest.raises(InvalidArgumentError, match="must return a float"):
        drive(kc.LearningRateScheduler(lambda epoch: None), [1])


def test_learning_rate_reaches_the_history():
    model = FakeModel()
    hooks = kc.CallbackList([kc.LearningRateScheduler(lambda epoch: 0.5)], add_history=True, model=model)
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    hooks.on_epoch_end(0, {"loss": 1.0})
    assert model.history.history == {"loss": [1.0], "learning_rate": [0.5]}
    assert model.history.epoch == [0]


def test_terminate_on_nan(capsys):
    callback = kc.TerminateOnNaN()
    callback.set_model(model := FakeModel())
    callback.on_train_batch_end(0, {"loss": 1.0})
    assert not model.stop_training
    callback.on_train_batch_end(3, {"loss": float("inf")})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 3: Invalid loss, terminating training\n"
    with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch 2"):
        kc.TerminateOnNaN(raise_error=True).on_batch_end(2, {"loss": float("nan")})


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    logger = kc.CSVLogger(path, separator=";")
    drive(logger, [1.0, 2.0])
    with path.open() as file:
        rows = list(csv.reader(file, delimiter=";"))
    assert rows == [["epoch", "loss", "val_loss"], ["0", "1.0", "1.0"], ["1", "1.0", "2.0"]]
    drive(kc.CSVLogger(str(path), separator=";", append=True), [3.0])
    assert len(path.read_text().splitlines()) == 4


def test_csv_logger_keeps_room_for_a_late_validation(tmp_path):
    logger = kc.CSVLogger(tmp_path / "log.csv")
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": 1.0})
    logger.on_epoch_end(1, {"loss": 2.0, "val_loss": 3.0})
    logger.on_train_end()
    assert (tmp_path / "log.csv").read_text().split() == ["epoch,loss,val_loss", "0,1.0,NA", "1,2.0,3.0"]


def test_lambda_callback_and_which_hooks_want_batches():
    seen = []
    callback = kc.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    assert not callback.wants_batches("train")
    drive(callback, [1, 2])
    assert seen == [0, 1]
    assert kc.LambdaCallback(on_train_batch_end=lambda batch, logs: None).wants_batches("train")
    assert kc.TerminateOnNaN().wants_batches("train")
    assert not kc.TerminateOnNaN().wants_batches("test")

    class Predicts(kc.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(batch)

    assert Predicts().wants_batches("predict")
    assert not Predicts().wants_batches("train")


def test_keras_2_batch_hooks_are_called():
    seen = []

    class Old(kc.Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch, logs["loss"]))

    hooks = kc.CallbackList([Old()], model=FakeModel())
    assert hooks.wants_batches("train")
    hooks.on_train_batch_begin(1)
    hooks.on_train_batch_end(1, {"loss": 0.5})
    assert seen == [("begin", 1), ("end", 1, 0.5)]


def test_callback_list():
    first, second = kc.Callback(), kc.History()
    hooks = kc.CallbackList([first, [second]], add_history=True, model=FakeModel(), epochs=3, verbose=0)
    assert hooks.callbacks == [first, second]
    assert hooks.model.history is second
    assert first.params == {"epochs": 3, "verbose": 0}
    with pytest.raises(InvalidArgumentError, match=r"write EarlyStopping\(\.\.\.\)"):
        kc.CallbackList([kc.EarlyStopping])
    with pytest.raises(InvalidArgumentError, match="Callback objects"):
        kc.CallbackList(["early"])
