"""Ten classes from 100 numbers, with one-hot targets."""

import numpy as np

import kgraph as keras
from kgraph.layers import Dense


def data(samples=1000, seed=0):
    """Numbers f32[N, 100] and one-hot classes f32[N, 10]: which of ten directions a point goes furthest in."""
    rng = np.random.default_rng(seed)
    x = rng.random((samples, 100), dtype="float32")
    directions = np.random.default_rng(1).normal(size=(100, 10))
    labels = ((x - 0.5) @ directions).argmax(axis=1)
    return x, keras.utils.to_categorical(labels, num_classes=10)


def build():
    model = keras.Sequential()
    model.add(Dense(32, activation="relu", input_dim=100))
    model.add(Dense(10, activation="softmax"))
    return model


def compile_model(model, **options):
    return model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"], **options)


def main(epochs=20, samples=1000):
    """Returns the accuracy on the training samples."""
    x, y = data(samples)
    model = build()
    compile_model(model)
    history = model.fit(x, y, epochs=epochs, batch_size=32)
    return history.history["accuracy"][-1]


if __name__ == "__main__":
    main()
