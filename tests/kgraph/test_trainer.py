"""The trainer against real Keras from equal weights, on the reference target; and looking inside."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import kgraph
from kgraph import ir, ops
from kgraph.errors import DataError, InvalidArgumentError, NotCompiledError, TargetError, UnknownNameError


def binary(k):
    return k.Sequential(
        [
            k.Input((20,)),
            k.layers.Dense(16, activation="relu", name="hidden"),
            k.layers.Dense(1, activation="sigmoid", name="head"),
        ]
    )


def softmax(k):
    inputs = k.Input((12,), name="x")
    hidden = k.layers.Dense(16, activation="tanh", kernel_regularizer="l2")(inputs)
    hidden = k.layers.Dense(16, activation="relu")(hidden)
    return k.Model(inputs, k.layers.Dense(5, activation="softmax", name="probs")(hidden))


def branches(k):
    main, aux = k.Input((6,), name="main_input"), k.Input((3,), name="aux_input")
    hidden = k.layers.Dense(8, activation="relu")(main)
    first = k.layers.Dense(1, activation="sigmoid", name="aux_output")(hidden)
    both = k.layers.concatenate([hidden, aux])
    second = k.layers.Dense(4, activation="softmax", name="main_output")(k.layers.Dense(8, activation="relu")(both))
    return k.Model(inputs=[main, aux], outputs=[second, first])


def twins(build):
    """The same model in kgraph and in Keras, with equal weights."""
    keras = pytest.importorskip("keras")
    ours, theirs = build(kgraph), build(keras)
    theirs.set_weights(ours.get_weights())
    return keras, ours, theirs


def compare(ours, theirs, rtol=1e-4):
    assert list(ours.history) == list(theirs.history)
    for key, values in ours.history.items():
        np.testing.assert_allclose(values, theirs.history[key], rtol=rtol, atol=1e-6, err_msg=key)
        assert all(type(value) is float for value in values)


@pytest.mark.parity
@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd", "adagrad"])
def test_binary_history_as_keras(rng, optimizer):
    _, ours, theirs = twins(binary)
    x, y = rng.normal(size=(150, 20)), rng.integers(0, 2, 150)
    histories = []
    for model, more in ((ours, {"target": "reference"}), (theirs, {})):
        model.compile(optimizer, "binary_crossentropy", metrics=["accuracy", "mse"], **more)
        arguments = {"batch_size": 32, "epochs": 4, "shuffle": False, "validation_split": 0.2, "verbose": 0}
        histories.append(model.fit(x, y, **arguments))
    compare(*histories)
    np.testing.assert_allclose(ours.evaluate(x, y, verbose=0), theirs.evaluate(x, y, verbose=0), rtol=1e-4)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-6)
    for one, two in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("sparse", [False, True])
def test_softmax_history_as_keras(rng, sparse):
    _, ours, theirs = twins(softmax)
    x, labels = rng.normal(size=(130, 12)).astype("float32"), rng.integers(0, 5, 130)
    y = labels if sparse else np.eye(5)[labels]
    weights = rng.uniform(0.5, 2.0, 130)
    histories = []
    for model, more in ((ours, {"target": "reference"}), (theirs, {})):
        loss = "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"
        model.compile("adam", loss, metrics=["acc"], weighted_metrics=["acc"], **more)
        histories.append(model.fit(x, y, sample_weight=weights, batch_size=32, epochs=4, shuffle=False, verbose=0))
    compare(*histories)
    assert "weighted_acc" in histories[0].history


@pytest.mark.parity
def test_several_outputs_as_keras(rng):
    _, ours, theirs = twins(branches)
    x = {"main_input": rng.normal(size=(100, 6)), "aux_input": rng.normal(size=(100, 3))}
    y = {"main_output": rng.integers(0, 4, 100), "aux_output": rng.integers(0, 2, 100).astype(float)}
    losses = {"main_output": "sparse_categorical_crossentropy", "aux_output": "binary_crossentropy"}
    histories, batches, listed = [], [], []
    for model, more in ((ours, {"target": "reference"}), (theirs, {})):
        model.compile(
            "rmsprop",
            loss=losses,
            loss_weights={"main_output": 1.0, "aux_output": 0.2},
            metrics={"main_output": ["accuracy"], "aux_output": ["accuracy", "mae"]},
            **more,
        )
        histories.append(model.fit(x, y, batch_size=24, epochs=4, shuffle=False, verbose=0))
        as_lists = [x["main_input"], x["aux_input"]], [y["main_output"], y["aux_output"]]
        listed.append(model.evaluate(*as_lists, verbose=0))
        batches.append(model.train_on_batch(*as_lists, return_dict=True))
    compare(*histories)
    np.testing.assert_allclose(listed[0], listed[1], rtol=1e-4)
    assert list(batches[0]) == list(batches[1])
    np.testing.assert_allclose(list(batches[0].values()), list(batches[1].values()), rtol=1e-3)


@pytest.mark.parity
def test_class_weight_as_keras(rng):
    _, ours, theirs = twins(binary)
    x, y = rng.normal(size=(64, 20)), rng.integers(0, 2, 64)
    found = []
    for model, more in ((ours, {"target": "reference"}), (theirs, {})):
        model.compile("sgd", "binary_crossentropy", **more)
        history = model.fit(x, y, class_weight={0: 0.5, 1: 3.0}, shuffle=False, epochs=2, verbose=0)
        found.append([*history.history["loss"], model.train_on_batch(x, y, class_weight={0: 2.0, 1: 1.0})])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


@pytest.mark.parity
def test_on_batch_forms_as_keras(rng):
    _, ours, theirs = twins(binary)
    x, y = rng.normal(size=(16, 20)), rng.integers(0, 2, (16, 1))
    rows = []
    for model, more in ((ours, {"target": "reference"}), (theirs, {})):
        model.compile("sgd", "mse", metrics=["mae", "accuracy"], **more)
        rows.append(
            [
                *model.train_on_batch(x, y),
                *model.test_on_batch(x, y),
                *model.test_on_batch(x, y, sample_weight=np.arange(16.0)),
                *model.train_on_batch(x[:3], y[:3]),
                *model.predict_on_batch(x[:2]).ravel(),
            ]
        )
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-4)


def test_loss_alone_is_a_float(rng):
    model = binary(kgraph)
    model.compile("sgd", "mse", target="reference")
    x, y = rng.normal(size=(8, 20)), rng.integers(0, 2, 8)
    assert isinstance(model.train_on_batch(x, y), float)
    assert isinstance(model.evaluate(x, y, verbose=0), float)
    assert model.metrics_names == ["loss"]
    assert model.evaluate(x, y, verbose=0, return_dict=True).keys() == {"loss"}


def test_compile_as_the_keras_2_introduction_does(rng):
    model = branches(kgraph)
    x = [rng.normal(size=(20, 6)), rng.normal(size=(20, 3))]
    y = [rng.integers(0, 2, (20, 4)), rng.integers(0, 2, (20, 1))]
    trainer = model.compile(
        optimizer="rmsprop", loss="binary_crossentropy", loss_weights=[1.0, 0.2], target="reference"
    )
    assert trainer is model.trainer
    history = model.fit(x, y, epochs=2, batch_size=8, verbose=0).history
    total = np.array(history["main_output_loss"]) + 0.2 * np.array(history["aux_output_loss"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)


def test_custom_metric_and_loss(rng):
    def mean_pred(y_true, y_pred):
        return ops.mean(y_pred)

    def double_mse(y_true, y_pred):
        return 2.0 * ops.mean(ops.square(y_true - y_pred), axis=-1)

    model = binary(kgraph)
    model.compile("rmsprop", double_mse, ["accuracy", mean_pred], target="reference")
    x, y = rng.normal(size=(50, 20)), rng.integers(0, 2, 50)
    loss, accuracy, mean = model.evaluate(x, y, verbose=0)
    prediction = model.predict(x, verbose=0)[:, 0]
    assert loss == pytest.approx(2 * np.mean((y - prediction) ** 2), rel=1e-5)
    # A scalar metric is averaged over batches, as in Keras: 32 and 18 rows count alike.
    assert mean == pytest.approx((prediction[:32].mean() + prediction[32:].mean()) / 2, rel=1e-5)
    assert accuracy == pytest.approx(np.mean((prediction > 0.5) == y))
    assert model.metrics_names == ["loss", "accuracy", "mean_pred"]


def test_step_trains_and_only_unfrozen_layers_move(rng):
    model = binary(kgraph)
    model.get_layer("hidden").trainable = False
    trainer = model.compile("sgd", "mse", target="reference")
    before = [w.copy() for w in model.get_weights()]
    x, y = rng.normal(size=(32, 20)), rng.integers(0, 2, 32)
    first = trainer.step(x, y)["loss"]
    for _ in range(20):
        last = trainer.step(x, y)["loss"]
    assert last < first
    moved = [not np.array_equal(b, a) for b, a in zip(before, model.get_weights())]
    assert moved == [False, False, True, True]
    assert "hidden/kernel" not in [name for name in _updated(trainer.ir("grad"))]


def _updated(graph):
    return [param.name for param, _ in graph.updates]


def test_freezing_recompiles(rng, capsys):
    model = binary(kgraph)
    trainer = model.compile("sgd", "mse", target="reference")
    x, y = rng.normal(size=(32, 20)), rng.integers(0, 2, 32)
    model.fit(x, y, verbose=2)
    assert "compiled the train step for target reference in" in capsys.readouterr().out
    assert "hidden/kernel" in _updated(trainer.ir("grad"))
    model.get_layer("hidden").trainable = False
    model.fit(x, y, verbose=2)
    assert "again, since layers were frozen or released" in capsys.readouterr().out
    assert "hidden/kernel" not in _updated(trainer.ir("grad"))
    model.fit(x, y, verbose=2)
    assert "compiled" not in capsys.readouterr().out


def test_ir_of_every_stage(rng):
    model = softmax(kgraph)
    trainer = model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], target="reference")
    for mode, stages in {
        "train": ("graph", "grad", "optimized", "schedule"),
        "eval": ("graph", "optimized", "schedule"),
        "predict": ("graph", "optimized", "schedule"),
    }.items():
        for stage in stages:
            text = str(trainer.ir(stage, mode))
            assert str(ir.parse(text)) == text
    recorded, grad = trainer.ir("graph"), trainer.ir("grad")
    assert not any("kernel" in name for name in _updated(recorded))
    assert f"{trainer.optimizer.name}/iteration" in _updated(grad)
    assert {"y/probs", "x"} == {value.name for value in grad.inputs}
    assert trainer.source() == ""
    assert "reference" in trainer.explain()
    assert trainer.compile_seconds > 0
    with pytest.raises(InvalidArgumentError, match="unknown stage 'fused'"):
        trainer.ir("fused")
    with pytest.raises(InvalidArgumentError, match="mode 'eval' has no gradients"):
        trainer.ir("grad", "eval")
    with pytest.raises(InvalidArgumentError, match="unknown mode 'test'"):
        trainer.ir("graph", "test")


def test_ir_runs_by_hand(rng):
    model = binary(kgraph)
    trainer = model.compile("sgd", "mse", target="reference")
    x, y = rng.normal(size=(8, 20)).astype("float32"), rng.integers(0, 2, (8, 1)).astype("float32")
    step = trainer.step_for("train", trainer._known_signature("train"))
    result = ir.run(trainer.ir("grad"), {trainer.ports[0].name: x, "y/head": y, **step.params})
    before = model.get_weights()
    loss = trainer.step(x, y)["loss"]
    assert float(result[0]) == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(result.updates["head/kernel"], model.get_layer("head").kernel.numpy(), rtol=1e-5)
    assert not np.array_equal(before[2], model.get_weights()[2])


def test_prediction_needs_no_compile(rng):
    model = binary(kgraph)
    trainer = kgraph.trainer.predictor(model, target="reference")
    x = rng.normal(size=(5, 20)).astype("float32")
    assert trainer.predict(x, verbose=0).shape == (5, 1)
    np.testing.assert_array_equal(trainer.predict_on_batch(x), trainer.predict_on_batch(x))
    np.testing.assert_allclose(trainer.predict_on_batch(x[:1]), trainer.predict(x, verbose=0)[:1], rtol=1e-5)
    with pytest.raises(NotCompiledError, match="compile"):
        trainer.fit(x, x)
    with pytest.raises(RuntimeError, match="compile"):
        trainer.train_on_batch(x, x)


def test_quick_path_copies(rng):
    model = binary(kgraph)
    trainer = model.compile("sgd", "mse", target="reference")
    x = rng.normal(size=(1, 20)).astype("float32")
    trainer.predict_on_batch(x)
    first = trainer.predict_on_batch(x)
    kept = first.copy()
    second = trainer.predict_on_batch(-x)
    np.testing.assert_array_equal(first, kept)
    assert not np.array_equal(first, second)
    # weights that change are seen
    model.set_weights([w * 0 for w in model.get_weights()])
    assert trainer.predict_on_batch(x)[0, 0] == 0.5


def test_ids_out_of_range_are_named(rng):
    inputs = kgraph.Input((4,), dtype="int32", name="words")
    hidden = kgraph.layers.Flatten()(kgraph.layers.Embedding(10, 3, name="table")(inputs))
    model = kgraph.Model(inputs, kgraph.layers.Dense(3, activation="softmax", name="out")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy", target="reference")
    x, y = rng.integers(0, 10, (6, 4)), np.array([0, 1, 2, 0, 1, 2])
    model.fit(x, y, verbose=0)
    wrong = x.copy()
    wrong[4, 2] = 10
    for call in (
        lambda: model.fit(wrong, y, verbose=0),
        lambda: model.predict(wrong, verbose=0),
        lambda: model.predict_on_batch(wrong),
        lambda: model.train_on_batch(wrong, y),
    ):
        with pytest.raises(
            DataError, match=r"row 4, used by layer '.*table'\n  got     words\[4\]\[2\] = 10"
        ) as caught:
            call()
    assert "raise input_dim of the embedding to 11" in str(caught.value)
    wrong[4, 2] = -1
    with pytest.raises(DataError, match=r"words\[4\]\[2\] = -1"):
        model.predict(wrong, verbose=0)
    with pytest.raises(DataError, match=r"a label of 'y/out' is outside the 3 classes"):
        model.fit(x, y + 1, verbose=0)


def test_regularization_counts_in_the_loss(rng):
    model = softmax(kgraph)
    model.compile("sgd", "mse", target="reference")
    x = rng.normal(size=(8, 12))
    y = model.predict(x, verbose=0)
    kernel = model.get_weights()[0]
    assert model.evaluate(x, y, verbose=0) == pytest.approx(0.01 * np.sum(kernel**2), rel=1e-4)


def test_dropout_differs_from_step_to_step_and_repeats_by_seed(rng):
    def losses():
        kgraph.random.set_random_seed(3)
        model = kgraph.Sequential([kgraph.Input((10,)), kgraph.layers.Dropout(0.5), kgraph.layers.Dense(1)])
        trainer = model.compile(kgraph.optimizers.SGD(0.0), "mse", target="reference")
        return [trainer.step(x, y)["loss"] for _ in range(3)]

    x, y = rng.normal(size=(16, 10)), rng.normal(size=(16, 1))
    first = losses()
    assert len(set(first)) == 3
    assert losses() == first


def test_errors_of_compile():
    model = binary(kgraph)
    with pytest.raises(UnknownNameError, match="adam"):
        model.compile("adamm", "mse")
    with pytest.raises(TargetError, match="target 'cuda' cannot be used"):
        model.compile("adam", "mse", target="cuda")
    with pytest.raises(TargetError, match="unknown target 'tpu'"):
        model.compile("adam", "mse", target="tpu")
    with pytest.raises(InvalidArgumentError, match="no argument 'metric'"):
        model.compile("adam", "mse", metric=["mae"])
    with pytest.raises(InvalidArgumentError, match="steps_per_execution=0"):
        model.compile("adam", "mse", steps_per_execution=0)


def test_no_loss(rng):
    model = binary(kgraph)
    model.compile("adam", target="reference")
    with pytest.raises(InvalidArgumentError, match="no loss to compute"):
        model.fit(rng.normal(size=(4, 20)), None, verbose=0)


def test_trainer_pickles(rng):
    model = binary(kgraph)
    trainer = model.compile("sgd", "mse", target="reference")
    x, y = rng.normal(size=(8, 20)), rng.integers(0, 2, 8)
    twin = pickle.loads(pickle.dumps(trainer))
    assert twin.step(x, y) == trainer.step(x, y)


def test_dump_of_a_training(rng, tmp_path, monkeypatch):
    monkeypatch.setenv("KGRAPH_DUMP", str(tmp_path))
    model = binary(kgraph)
    model.compile("sgd", "mse", target="reference")
    model.train_on_batch(rng.normal(size=(8, 20)), rng.integers(0, 2, 8))
    names = sorted(path.name for path in (tmp_path / f"{model.name}.train").iterdir())
    assert names[0] == "00-graph.kg"
    for stage in ("grad", "optimized"):
        assert sum(name.endswith(f"-{stage}.kg") for name in names) == 1
    for path in (tmp_path / f"{model.name}.train").iterdir():
        ir.parse(path.read_text())
