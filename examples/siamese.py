"""Are two vectors of one kind?  Both are read by the same model, which therefore gets the sum of both gradients."""

import numpy as np

import kgraph as keras
from kgraph import layers, ops


def data(samples=1000, seed=0):
    """Pairs f32[N, 20] and f32[N, 20], and whether both belong to one of five clouds f32[N, 1]."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(0, 1, (5, 20))
    left = rng.integers(0, 5, samples)
    right = np.where(rng.random(samples) < 0.5, left, rng.integers(0, 5, samples))
    pairs = [(centres[kind] + rng.normal(0, 0.5, (samples, 20))).astype("float32") for kind in (left, right)]
    return pairs[0], pairs[1], (left == right).astype("float32").reshape(samples, 1)


def build_encoder():
    inputs = keras.Input((20,))
    x = layers.Dense(32, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(8, activation="tanh")(x), name="encoder")


def build():
    left = keras.Input((20,), name="left")
    right = keras.Input((20,), name="right")
    encoder = build_encoder()
    difference = ops.abs(encoder(left) - encoder(right))
    return keras.Model([left, right], layers.Dense(1, activation="sigmoid")(difference), name="siamese")


def compile_model(model, **options):
    return model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"], **options)


def main(epochs=10, samples=1000):
    """Returns the accuracy on the training pairs."""
    left, right, same = data(samples)
    model = build()
    compile_model(model)
    return model.fit([left, right], same, epochs=epochs, batch_size=32).history["accuracy"][-1]


if __name__ == "__main__":
    main()
