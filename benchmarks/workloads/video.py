"""Short films: convolutions on every frame by `TimeDistributed`, an LSTM over the frames."""

from __future__ import annotations

from benchmarks.workloads.arrays import conv, dense, lstm, one_hot

TITLE = "TimeDistributed conv 16, pool, conv 32 on 8 frames of 32x32x3, LSTM 64, batch 8, adam, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 8, 80, 1, "adam"
LOSSES, ACCURACY, SCAN = ("categorical",), True, False
FRAMES, SIDE, CLASSES = 8, 32, 5


def data(rng, samples):
    x = rng.random((samples, FRAMES, SIDE, SIDE, 3), dtype="float32")
    return [x], [one_hot(rng.integers(0, CLASSES, samples), CLASSES)]


def init(rng):
    return {
        "conv1": conv(rng, 3, 3, 16),
        "conv2": conv(rng, 3, 16, 32),
        "lstm": lstm(rng, 32, 64),
        "head": dense(rng, 64, CLASSES),
    }


def build_keras(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(shape=(FRAMES, SIDE, SIDE, 3)),
            layers.TimeDistributed(layers.Conv2D(16, 3, activation="relu"), name="conv1"),
            layers.TimeDistributed(layers.MaxPooling2D(2)),
            layers.TimeDistributed(layers.Conv2D(32, 3, activation="relu"), name="conv2"),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            layers.LSTM(64, name="lstm"),
            layers.Dense(CLASSES, activation="softmax", name="head"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    x = net.max_pool(net.conv(net.image(net.frames(x)), "conv1", "relu"), 2)
    x = net.global_average(net.conv(x, "conv2", "relu"))
    return (net.dense(net.lstm(net.series(x, FRAMES), "lstm"), "head"),)
