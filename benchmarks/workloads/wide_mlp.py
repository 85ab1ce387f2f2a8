"""512-2048-2048-10: matrix products of middle size, and an optimizer that moves 5 million weights."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, one_hot

TITLE = "512-2048-2048-10, batch 128, adam, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 128, 1280, 2, "adam"
LOSSES, ACCURACY = ("categorical",), True


def data(rng, samples):
    x = rng.standard_normal((samples, 512)).astype(np.float32)
    return [x], [one_hot(np.argmax(x @ rng.standard_normal((512, 10)), axis=1), 10)]


def init(rng):
    return {"first": dense(rng, 512, 2048), "second": dense(rng, 2048, 2048), "head": dense(rng, 2048, 10)}


def build_keras(keras):
    model = keras.Sequential(
        [
            keras.layers.Input(shape=(512,)),
            keras.layers.Dense(2048, activation="relu", name="first"),
            keras.layers.Dense(2048, activation="relu", name="second"),
            keras.layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    x = net.dense(net.dense(x, "first", "relu"), "second", "relu")
    return (net.dense(x, "head"),)
