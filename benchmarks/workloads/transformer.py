"""A small transformer for texts, after the example of Keras: one block, 20,000 words, 64 wide, 128 of them, 4 heads."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import Weights, attention, dense, embedding, layer_norm

TITLE = "transformer block on 20,000 x 64 embeddings, sequence 128, 4 heads, batch 32, adam, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 32, 640, 1, "adam"
LOSSES, ACCURACY, DROPOUT = ("sparse",), True, True
WORDS, LENGTH, WIDTH, HEADS, CLASSES = 20_000, 128, 64, 4, 2
RATE, EPSILON = 0.1, 1e-6


def data(rng, samples):
    words = rng.integers(1, WORDS, (samples, LENGTH), dtype=np.int32)
    return [words], [rng.integers(0, CLASSES, samples, dtype=np.int32)]


def init(rng):
    tables = {name: embedding(rng, rows, WIDTH) for name, rows in (("tokens", WORDS), ("positions", LENGTH))}
    return {
        "texts": Weights("tables", {name: table.arrays["table"] for name, table in tables.items()}),
        "attention": attention(rng, WIDTH, HEADS, WIDTH),
        "norm1": layer_norm(WIDTH),
        "inner": dense(rng, WIDTH, WIDTH),
        "outer": dense(rng, WIDTH, WIDTH),
        "norm2": layer_norm(WIDTH),
        "hidden": dense(rng, WIDTH, 20),
        "head": dense(rng, 20, CLASSES),
    }


def texts_layer(keras):
    """An embedding of words and one of places, added."""

    class Texts(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.tokens = keras.layers.Embedding(WORDS, WIDTH)
            self.positions = keras.layers.Embedding(LENGTH, WIDTH)

        def call(self, x):
            return self.tokens(x) + self.positions(keras.ops.arange(LENGTH))

    return Texts(name="texts")


def build_keras(keras):
    layers = keras.layers
    inputs = layers.Input(shape=(LENGTH,), dtype="int32")
    x = texts_layer(keras)(inputs)
    mixed = layers.MultiHeadAttention(num_heads=HEADS, key_dim=WIDTH, name="attention")(x, x)
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm1")(x + layers.Dropout(RATE)(mixed))
    y = layers.Dense(WIDTH, activation="relu", name="inner")(x)
    y = layers.Dense(WIDTH, name="outer")(y)
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm2")(x + layers.Dropout(RATE)(y))
    x = layers.Dropout(RATE)(layers.GlobalAveragePooling1D()(x))
    x = layers.Dropout(RATE)(layers.Dense(20, activation="relu", name="hidden")(x))
    model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="head")(x))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, words):
    x = net.tokens_and_positions(words, "texts")
    x = net.layer_norm(net.add(x, net.dropout(net.attention(x, "attention"), RATE)), "norm1", EPSILON)
    y = net.dense(net.dense(x, "inner", "relu"), "outer")
    x = net.layer_norm(net.add(x, net.dropout(y, RATE)), "norm2", EPSILON)
    x = net.dropout(net.mean_over_time(x), RATE)
    x = net.dropout(net.dense(x, "hidden", "relu"), RATE)
    return (net.dense(x, "head"),)
