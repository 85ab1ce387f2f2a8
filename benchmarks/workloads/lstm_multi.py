"""Two inputs, two outputs, an embedding of 10,000 words and an LSTM over 100 of them: gather, scan, scatter."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, embedding, lstm

TITLE = "embedding + LSTM, two inputs, two outputs, batch 32, rmsprop"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 32, 640, 1, "rmsprop"
LOSSES, LOSS_WEIGHTS, ACCURACY = ("binary", "binary"), (1.0, 0.2), False
WIDTHS, ROWS = (1, 1), 2_560
WORDS, LENGTH, WIDTH, UNITS = 10_000, 100, 512, 32


def data(rng, samples):
    words = rng.integers(1, WORDS, (samples, LENGTH), dtype=np.int32)
    extra = rng.standard_normal((samples, 5)).astype(np.float32)
    y = rng.integers(0, 2, (samples, 1)).astype(np.float32)
    return [words, extra], [y, y]


def init(rng):
    return {
        "words": embedding(rng, WORDS, WIDTH),
        "lstm": lstm(rng, WIDTH, UNITS),
        "aux_output": dense(rng, UNITS, 1),
        "dense0": dense(rng, UNITS + 5, 64),
        "dense1": dense(rng, 64, 64),
        "dense2": dense(rng, 64, 64),
        "main_output": dense(rng, 64, 1),
    }


def build_keras(keras):
    main_input = keras.layers.Input(shape=(LENGTH,), dtype="int32", name="main_input")
    x = keras.layers.Embedding(output_dim=WIDTH, input_dim=WORDS, name="words")(main_input)
    h = keras.layers.LSTM(UNITS, name="lstm")(x)
    aux_output = keras.layers.Dense(1, activation="sigmoid", name="aux_output")(h)
    aux_input = keras.layers.Input(shape=(5,), name="aux_input")
    x = keras.layers.concatenate([h, aux_input])
    for i in range(3):
        x = keras.layers.Dense(64, activation="relu", name=f"dense{i}")(x)
    main_output = keras.layers.Dense(1, activation="sigmoid", name="main_output")(x)
    model = keras.Model([main_input, aux_input], [main_output, aux_output])
    losses = ["binary_crossentropy", "binary_crossentropy"]
    model.compile(optimizer="rmsprop", loss=losses, loss_weights=list(LOSS_WEIGHTS))
    return model


def network(net, words, extra):
    h = net.lstm(net.embedding(words, "words"), "lstm")
    x = net.concat(h, extra)
    for i in range(3):
        x = net.dense(x, f"dense{i}", "relu")
    return net.dense(x, "main_output"), net.dense(h, "aux_output")
