"""A GRU that predicts the next value of a series: 96 steps of 8 values, 64 units."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, gru

TITLE = "GRU 64 over 96 steps of 8 values, batch 64, adam"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 64, 1280, 1, "adam"
LOSSES, ACCURACY = ("mse",), False
STEPS, FEATURES, UNITS = 96, 8, 64


def data(rng, samples):
    x = np.cumsum(rng.standard_normal((samples, STEPS + 1, FEATURES)), axis=1).astype(np.float32) * np.float32(0.1)
    return [np.ascontiguousarray(x[:, :-1])], [np.ascontiguousarray(x[:, -1, :1])]


def init(rng):
    return {"gru": gru(rng, FEATURES, UNITS), "head": dense(rng, UNITS, 1)}


def build_keras(keras):
    inputs = keras.layers.Input(shape=(STEPS, FEATURES))
    x = keras.layers.GRU(UNITS, name="gru")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(x))
    model.compile(optimizer="adam", loss="mse")
    return model


def network(net, x):
    return (net.dense(net.gru(x, "gru"), "head"),)
