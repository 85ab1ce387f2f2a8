"""Training that ends early: Ctrl-C, exceptions in callbacks, a stop in the midst of an epoch; the model goes on."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph import callbacks, layers
from kgraph.errors import InvalidArgumentError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype("float32")
Y = RNG.normal(size=(64, 1)).astype("float32")


def model() -> Any:
    made = kgraph.Sequential([kgraph.Input((3,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


class At(callbacks.Callback):
    """Does something at one batch."""

    def __init__(self, batch: int, what: Any) -> None:
        super().__init__()
        self.batch, self.what = batch, what

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == self.batch:
            self.what(self)


def fail(kind: type[BaseException]) -> Any:
    def what(callback: Any) -> None:
        raise kind("here")

    return what


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_weights_are_those_of_the_last_step(kind: type[BaseException]) -> None:
    kgraph.utils.set_random_seed(1)
    broken = model()
    kgraph.utils.set_random_seed(1)
    whole = model()
    with pytest.raises(kind):
        broken.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[At(2, fail(kind))])
    whole.fit(X[:24], Y[:24], batch_size=8, shuffle=False, verbose=0)
    for have, want in zip(broken.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(have, want)
    for each in (broken, whole):
        each.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_array_equal(broken.get_weights()[0], whole.get_weights()[0])


def test_ctrl_c_in_native_code() -> None:
    running = model()
    running.train_on_batch(X, Y)
    done = int(running.optimizer.iterations.numpy())
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            running.fit(X, Y, batch_size=4, epochs=10_000_000, verbose=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert int(running.optimizer.iterations.numpy()) > done
    assert np.isfinite(running.get_weights()[0]).all()
    assert np.isfinite(running.fit(X, Y, verbose=0).history["loss"][0])


def test_a_stop_in_a_batch_ends_the_epoch() -> None:
    stopped = model()

    def stop(callback: Any) -> None:
        callback.model.stop_training = True

    history = stopped.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[At(3, stop)]).history
    assert len(history["loss"]) == 1 and int(stopped.optimizer.iterations.numpy()) == 4


def test_what_is_no_callback() -> None:
    with pytest.raises(InvalidArgumentError, match="callbacks take Callback objects"):
        model().fit(X, Y, verbose=0, callbacks=[print])
    with pytest.raises(InvalidArgumentError, match=r"write EarlyStopping\(\.\.\.\)"):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping])
