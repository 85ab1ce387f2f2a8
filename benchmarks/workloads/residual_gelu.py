"""Six residual blocks of layer normalisation, a dense layer with gelu and one back: what transformers do per token."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, layer_norm, one_hot

TITLE = "6 residual blocks of LayerNormalization, dense 1024 gelu, dense 256, batch 128, adam, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 128, 1280, 2, "adam"
LOSSES, ACCURACY = ("categorical",), True
WIDTH, INNER, BLOCKS = 256, 1024, 6


def data(rng, samples):
    x = rng.standard_normal((samples, WIDTH)).astype(np.float32)
    return [x], [one_hot(np.argmax(x @ rng.standard_normal((WIDTH, 10)), axis=1), 10)]


def init(rng):
    weights = {}
    for i in range(BLOCKS):
        weights[f"norm{i}"] = layer_norm(WIDTH)
        weights[f"inner{i}"], weights[f"outer{i}"] = dense(rng, WIDTH, INNER), dense(rng, INNER, WIDTH)
    weights["head"] = dense(rng, WIDTH, 10)
    return weights


def build_keras(keras):
    layers = keras.layers
    inputs = x = layers.Input(shape=(WIDTH,))
    for i in range(BLOCKS):
        y = layers.LayerNormalization(name=f"norm{i}")(x)
        y = layers.Dense(INNER, activation="gelu", name=f"inner{i}")(y)
        x = layers.add([x, layers.Dense(WIDTH, name=f"outer{i}")(y)])
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    for i in range(BLOCKS):
        y = net.dense(net.layer_norm(x, f"norm{i}"), f"inner{i}", "gelu")
        x = net.add(x, net.dense(y, f"outer{i}"))
    return (net.dense(x, "head"),)
