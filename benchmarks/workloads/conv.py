"""Two convolutions, pooling, dropout and two dense layers on 28x28 pictures: arithmetic counts here, not overhead."""

from __future__ import annotations

from benchmarks.workloads.arrays import conv, dense, one_hot

TITLE = "conv 32, conv 64, pool, dense 128, 10 on 28x28x1, batch 128, adam, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 128, 640, 1, "adam"
LOSSES, ACCURACY, DROPOUT = ("categorical",), True, True
SCAN = False  # inside a loop XLA runs convolutions on the CPU some twenty times slower: one call per step is JAX's best
WIDTHS, ROWS = (10,), 2_560


def data(rng, samples):
    x = rng.random((samples, 28, 28, 1)).astype("float32")
    return [x], [one_hot(rng.integers(0, 10, samples), 10)]


def init(rng):
    return {
        "conv1": conv(rng, 3, 1, 32),
        "conv2": conv(rng, 3, 32, 64),
        "hidden": dense(rng, 12 * 12 * 64, 128),
        "head": dense(rng, 128, 10),
    }


def build_keras(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu", name="conv1"),
            layers.Conv2D(64, (3, 3), activation="relu", name="conv2"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu", name="hidden"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    x = net.conv(net.image(x), "conv1", "relu")
    x = net.max_pool(net.conv(x, "conv2", "relu"), 2)
    x = net.flatten(net.dropout(x, 0.25), (12, 12, 64))
    x = net.dropout(net.dense(x, "hidden", "relu"), 0.5)
    return (net.dense(x, "head"),)
