"""Are two pictures of the same kind?  One tower, called twice, and the distance of what it says."""

from __future__ import annotations

from benchmarks.workloads.arrays import dense

TITLE = "784-128-128-64 twice, distance, 1, batch 128, rmsprop, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 128, 6400, 3, "rmsprop"
LOSSES, ACCURACY = ("binary",), True


def data(rng, samples):
    left, right = (rng.random((samples, 784), dtype="float32") for _ in range(2))
    y = rng.integers(0, 2, (samples, 1)).astype("float32")
    return [left, right], [y]


def init(rng):
    return {
        "tower/first": dense(rng, 784, 128),
        "tower/second": dense(rng, 128, 128),
        "tower/third": dense(rng, 128, 64),
        "head": dense(rng, 64, 1),
    }


def build_keras(keras):
    layers = keras.layers
    picture = layers.Input(shape=(784,))
    x = layers.Dense(128, activation="relu", name="first")(picture)
    x = layers.Dense(128, activation="relu", name="second")(x)
    tower = keras.Model(picture, layers.Dense(64, activation="relu", name="third")(x), name="tower")
    left, right = layers.Input(shape=(784,)), layers.Input(shape=(784,))
    distance = keras.ops.abs(layers.subtract([tower(left), tower(right)]))
    model = keras.Model([left, right], layers.Dense(1, activation="sigmoid", name="head")(distance))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def network(net, left, right):
    def tower(x):
        x = net.dense(net.dense(x, "tower/first", "relu"), "tower/second", "relu")
        return net.dense(x, "tower/third", "relu")

    return (net.dense(net.distance(tower(left), tower(right)), "head"),)
