"""A ten-class classifier, 784-64-64-10: small matrix products, batch 128."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, one_hot

TITLE = "784-64-64-10, batch 128, rmsprop, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 128, 12800, 4, "rmsprop"
LOSSES, ACCURACY = ("categorical",), True


def data(rng, samples):
    x = rng.random((samples, 784), dtype=np.float32)
    labels = np.argmax(x @ rng.standard_normal((784, 10)), axis=1)
    return [x], [one_hot(labels, 10)]


def init(rng):
    return {"first": dense(rng, 784, 64), "second": dense(rng, 64, 64), "head": dense(rng, 64, 10)}


def build_keras(keras):
    inputs = keras.layers.Input(shape=(784,))
    x = keras.layers.Dense(64, activation="relu", name="first")(inputs)
    x = keras.layers.Dense(64, activation="relu", name="second")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", name="head")(x))
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    x = net.dense(net.dense(x, "first", "relu"), "second", "relu")
    return (net.dense(x, "head"),)
