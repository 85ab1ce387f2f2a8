"""The settings that show what a step does: KGRAPH_CHECK_NAN, KGRAPH_TIMINGS, KGRAPH_EXPLAIN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.trainer.diagnose import NotFiniteError

X = np.ones((12, 3), "float32")


def _model(function: Any) -> Any:
    model = kgraph.Sequential(
        [kgraph.layers.Input((3,)), kgraph.layers.Lambda(function, name="risky"), kgraph.layers.Dense(1, name="head")]
    )
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("how", ["rows", "stream", "batch"])
def test_first_op_that_is_not_finite(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGRAPH_CHECK_NAN", "1")
    model = _model(lambda x: kgraph.ops.log(x - 1.0))
    y = np.zeros((12, 1), "float32")
    runs: dict[str, Any] = {
        "rows": lambda: model.fit(X, y, batch_size=4, verbose=0),
        "stream": lambda: model.fit(((X, y) for _ in range(3)), steps_per_epoch=3, verbose=0),
        "batch": lambda: model.train_on_batch(X, y),
    }
    with pytest.raises(NotFiniteError) as caught:
        runs[how]()
    text = str(caught.value)
    assert "log at" in text and "risky" in text and "from 0 to 0" in text


def test_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGRAPH_CHECK_NAN", "1")
    model = kgraph.Sequential(
        [kgraph.layers.Input((3,)), kgraph.layers.Dense(2, name="head", kernel_initializer="zeros")]
    )
    model.compile("sgd", lambda y, p: kgraph.ops.sqrt(kgraph.ops.abs(p)))
    with pytest.raises(NotFiniteError, match="that is not finite"):
        model.fit(X, np.zeros((12, 2), "float32"), verbose=0)


def test_finite_training_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    for check in ("0", "1"):
        monkeypatch.setenv("KGRAPH_CHECK_NAN", check)
        kgraph.utils.set_random_seed(1)
        model = _model(lambda x: x * 2.0)
        model.fit(X, X[:, :1], batch_size=5, epochs=2, verbose=0)
        weights.append(model.get_weights()[0])
    assert (weights[0] == weights[1]).all()


def test_timings_and_reasons(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KGRAPH_TIMINGS", "1")
    monkeypatch.setenv("KGRAPH_EXPLAIN", "1")
    _model(lambda x: x * 2.0).fit(X, X[:, :1], verbose=0)
    printed = capsys.readouterr().out
    assert "trace" in printed and "gradients and update" in printed and "on target cpu" in printed
