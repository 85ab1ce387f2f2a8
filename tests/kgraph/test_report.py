"""`trainer.profile` and `trainer.report`: numbers that add up, and a model that is afterwards as it was before."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from typing import Any

import numpy as np
import pytest

import kgraph as keras
from kgraph import layers
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.trainer.parts import layer_of
from kgraph.trainer.report import GROUPS, Report

X = np.random.default_rng(0).normal(size=(256, 20)).astype("float32")
Y = X[:, :1] * 2


def mlp(units: int = 64, optimizer: str = "adam", **arguments: Any) -> Any:
    """With what a step may change: weights, moments, moving averages, metrics, a seed and the number of steps."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((20,), name="x"),
            layers.Dense(units, activation="tanh", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(1, name="out"),
        ],
        name="net",
    )
    return model.compile(optimizer, "mse", metrics=["mae"], **arguments)


def state(trainer: Any) -> list[Any]:
    """All that steps change."""
    steps = [step for _, step in trainer._steps.values()]
    return [array.copy() for step in steps for array in step.params.values()]


def test_before_a_profile() -> None:
    trainer = mlp()
    report = trainer.report(batch_size=16)
    assert report.batch_size == 16 and report.steps == 0 and report.step_ns is None and report.ceilings is None
    assert all(row.ns is row.gflops is row.gbytes is row.roofline is row.share is None for row in report.rows)
    text = str(report)
    assert "no times yet: trainer.profile(x, y, mode='train') measures them" in text
    assert "GFLOP/s" not in text and repr(report) == text
    (hidden,) = [row for row in report.rows if row.name == "hidden_matmul_add_tanh_mul"]  # mul: of the variance
    assert (hidden.flops, hidden.special) == (2 * 16 * 20 * 64 + 2 * 16 * 64, 16 * 64)
    assert hidden.intensity == hidden.flops / (hidden.read + hidden.written)
    assert (hidden.layer, hidden.part, hidden.family, hidden.variant) == ("hidden", "forward", "gemm", "gemm 16x64")
    assert trainer.report().batch_size == 32


def test_times_add_up() -> None:
    trainer = mlp(256)
    report = trainer.profile(X, Y, 64, steps=40)
    assert (report.model, report.mode, report.batch_size, report.steps, report.by) == ("net", "train", 64, 40, "kernel")
    assert report.step_ns is not None and report.outside_ns is not None and report.copies_ns is not None
    spent = sum(row.ns or 0 for row in report.kernels)
    assert 0.5 * report.step_ns < spent < report.step_ns
    assert report.total.ns == pytest.approx(spent) and spent + report.outside_ns == pytest.approx(report.step_ns)
    assert sum(row.share or 0 for row in report.kernels) == pytest.approx(spent / report.step_ns)
    assert [row.ns for row in report.rows] == sorted((row.ns for row in report.kernels), reverse=True)
    for row in report.rows:
        assert row.ns and row.gflops is not None and row.gbytes is not None
        assert row.gflops * row.ns == pytest.approx(row.flops)
        assert row.roofline is not None and row.roofline > 0


@pytest.mark.parametrize("by", GROUPS)
def test_groups_have_the_same_sum(by: str) -> None:
    trainer = mlp()
    trainer.profile(X, Y, steps=5)
    report = trainer.report(by=by)
    assert report.by == by and report.steps == 5
    for field in ("kernels", "flops", "special", "read", "written", "calls"):
        assert sum(getattr(row, field) for row in report.rows) == getattr(report.total, field)
    assert sum(row.ns or 0 for row in report.rows) == pytest.approx(report.total.ns)
    assert len(str(report).splitlines()) >= len(report.rows) + 4
    assert trainer.profile(X, Y, steps=5, by=by).by == by


def test_layers_and_parts() -> None:
    report = mlp().report(by="layer")
    names = {row.name for row in report.rows}
    assert {"hidden", "norm", "out", "loss", "metrics", "adam"} <= names
    rows = {row.name: row for row in report.kernels}
    parts = {row.name: row.part for row in report.kernels}
    assert parts["hidden_matmul_add_tanh_mul"] == parts["metrics_dim_size_mul_add"] == "forward"
    assert {parts[name] for name in rows if name.startswith("adam")} == {"update"}
    assert {row.name for row in report.grouped("part").rows} == {"forward", "backward", "update"}
    gradients = [row for row in report.kernels if row.layer == "hidden" and row.part == "backward"]
    assert any(row.family == "gemm" for row in gradients)
    assert parts["norm_mul_add"] == "forward"  # the moving averages, which are updates too


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hidden", "hidden"),
        ("attention/query", "attention"),
        ("inner/hidden", "inner/hidden"),
        ("inner/attention/query", "inner/attention"),
        ("inner", "inner"),
        ("", ""),
    ],
)
def test_layer_of(path: str, expected: str) -> None:
    assert layer_of(path, {"inner"}) == expected


def test_nested_models_and_loops() -> None:
    inner = keras.Sequential([keras.Input((20,)), layers.Dense(3, name="a"), layers.Dense(3, name="b")], name="inner")
    x = keras.Input((20,))
    y = layers.LSTM(4, name="rnn")(layers.Reshape((3, 1))(inner(x)))
    trainer = keras.Model(x, layers.Dense(1, name="out")(y)).compile("sgd", "mse")
    report = trainer.profile(X, Y, steps=3)
    assert {"inner/a", "inner/b", "rnn", "out"} <= {row.name for row in report.grouped("layer").rows}
    looped = [row for row in report.kernels if row.calls == 3]
    assert {row.part for row in looped} == {"forward", "backward"} and {row.layer for row in looped} == {"rnn"}
    assert all(row.ns for row in looped)


# -- what a profile leaves behind -------------------------------------------------------------------------------------
def test_model_is_as_before() -> None:
    """Training after a profile gives the bits that it gives without."""
    plain = mlp()
    plain.model.fit(X, Y, epochs=1, verbose=0)
    profiled = mlp()
    profiled.model.fit(X, Y, epochs=1, verbose=0)
    before = state(profiled)
    logs = profiled.logs()
    profiled.profile(X, Y, steps=7)
    for old, new in zip(before, state(profiled), strict=True):
        np.testing.assert_array_equal(old, new)
    assert profiled.logs() == logs
    profiled.profile(X, Y, 50, steps=3, mode="test")
    histories = []
    for trainer in (plain, profiled):
        keras.utils.set_random_seed(2)
        histories.append(trainer.model.fit(X, Y, epochs=2, initial_epoch=1, verbose=0).history)
    assert histories[0] == histories[1]
    for old, new in zip(plain.model.get_weights(), profiled.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(executable._table.schedule.timings is None for executable in executables(profiled))


def executables(trainer: Any) -> list[Any]:
    return [executable for _, step in trainer._steps.values() for executable in step.program._bound.values()]


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_ctrl_c() -> None:
    trainer = mlp()
    trainer.step(X[:32], Y[:32])
    before, weights = state(trainer), trainer.model.get_weights()
    trainer.profile(X, Y, steps=3)
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.profile(X, Y, steps=10**9)
    for old, new in zip(before, state(trainer), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(executable._table.schedule.timings is None for executable in executables(trainer))
    assert trainer.report().steps == 3  # the last one that came to an end
    trainer.step(X[:32], Y[:32])
    assert not np.array_equal(weights[0], trainer.model.get_weights()[0])


def test_a_changed_step_has_no_times() -> None:
    trainer = mlp()
    trainer.profile(X, Y, steps=3)
    assert trainer.report().steps == 3
    assert trainer.report(batch_size=8).steps == 0
    trainer.model.layers[0].trainable = False
    assert trainer.report().steps == 0


# -- modes and arguments ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["train", "test", "eval", "predict"])
def test_modes(mode: str) -> None:
    trainer = mlp()
    report = trainer.profile(X, None if mode == "predict" else Y, steps=4, mode=mode)
    assert report.mode == {"eval": "test"}.get(mode, mode) and report.steps == 4
    assert trainer.report(mode).to_json() == report.to_json()
    assert ({row.part for row in report.kernels} == {"forward"}) == (mode != "train")


def test_steps_by_time() -> None:
    """About half a second of them, from the first full batch on; a batch is never larger than the data."""
    report = mlp().profile(X[:10], Y[:10])
    assert report.batch_size == 10 and report.steps >= 5
    assert report.step_ns is not None and report.step_ns * report.steps < 10e9


def test_own_step() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1, name="own_dense")

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def test_step(self, data: Any) -> Any:
            x, y = data
            return {"error": keras.ops.mean(keras.ops.abs(self(x) - y))}

    model = Own()
    trainer = model.compile("sgd", "mse")
    report = trainer.profile(X, Y, steps=3, mode="test")
    assert "own_dense" in {row.layer for row in report.kernels} and report.steps == 3


@pytest.mark.parametrize("steps", [0, -1, 1.5, "many"])
def test_steps_that_mean_nothing(steps: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="steps="):
        mlp().profile(X, Y, steps=steps)


def test_data_that_do_not_fit() -> None:
    with pytest.raises(ShapeError):
        mlp().profile(X[:, :3], Y)


def test_no_kernels() -> None:
    trainer = mlp(target="reference")
    with pytest.raises(UnsupportedError, match="op by op"):
        trainer.report()


def test_fixed_batch() -> None:
    x = keras.Input(batch_shape=(16, 20))
    trainer = keras.Model(x, layers.Dense(1)(x)).compile("sgd", "mse")
    assert trainer.report().batch_size == 16
    assert trainer.profile(X[:16], Y[:16], steps=2).batch_size == 16
    with pytest.raises(InvalidArgumentError, match="are no batch"):
        trainer.profile(X[:8], Y[:8], steps=2)


def test_sizes_from_data() -> None:
    x = keras.Input((None, 20))
    trainer = keras.Model(x, layers.Dense(1)(x)).compile("sgd", "mse")
    with pytest.raises(InvalidArgumentError, match="sizes that the data fix"):
        trainer.report("predict")
    assert trainer.profile(X[:, None], mode="predict", steps=2).kernels[0].flops > 0


# -- what is shown ----------------------------------------------------------------------------------------------------
def test_json() -> None:
    report = mlp().profile(X, Y, steps=3)
    read = json.loads(report.to_json())
    assert read["steps"] == 3 and len(read["rows"]) == len(report.rows) and read["total"]["ns"] == report.total.ns
    assert read["rows"][0]["roofline"] == report.rows[0].roofline
    assert read["ceilings"]["cpu"] == report.ceilings.cpu
    assert json.loads(mlp().report().to_json(indent=2))["step_ns"] is None


def test_rich(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal the same cells, in colours; elsewhere plain text."""
    report = mlp().profile(X, Y, steps=3)
    report.print()
    assert capsys.readouterr().out == f"{report}\n"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    report.print()
    shown = terminal.getvalue()
    assert "hidden_matmul_add_tanh_mul" in shown and "outside kernels" in shown and "roofline" in shown
    monkeypatch.setitem(sys.modules, "rich.console", None)
    terminal.seek(0)
    terminal.truncate()
    report.print()
    assert terminal.getvalue() == f"{report}\n"


def test_report_of_nothing() -> None:
    """A step may have no kernels left, when all it does is done in place."""
    assert "all kernels" in str(Report("m", "predict", 1, ()))
