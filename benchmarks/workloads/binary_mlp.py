"""A small binary classifier, 100-32-1: here a step is a few microseconds of arithmetic, the rest is overhead."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense

TITLE = "100-32-1, batch 32, rmsprop, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 32, 1000, 30, "rmsprop"
LOSSES, ACCURACY = ("binary",), True
WIDTHS, ROWS = (1,), 25_600


def data(rng, samples):
    x = rng.standard_normal((samples, 100)).astype(np.float32)
    y = (x @ rng.standard_normal((100, 1)) > 0).astype(np.float32)
    return [x], [y]


def init(rng):
    return {"hidden": dense(rng, 100, 32), "head": dense(rng, 32, 1)}


def build_keras(keras):
    model = keras.Sequential(
        [
            keras.layers.Input(shape=(100,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(1, activation="sigmoid", name="head"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    return (net.dense(net.dense(x, "hidden", "relu"), "head"),)
