"""Two classes from 100 numbers: 1,000 samples, RMSprop, binary cross-entropy."""

import numpy as np

import kgraph as keras
from kgraph.layers import Dense


def data(samples=1000, seed=0):
    """Numbers f32[N, 100] and classes i32[N, 1]: on which side of a plane a point lies."""
    rng = np.random.default_rng(seed)
    x = rng.random((samples, 100), dtype="float32")
    plane = np.random.default_rng(1).normal(size=(100, 1))
    return x, ((x - 0.5) @ plane > 0).astype("int32")


def build():
    model = keras.Sequential()
    model.add(Dense(32, activation="relu", input_dim=100))
    model.add(Dense(1, activation="sigmoid"))
    return model


def compile_model(model, **options):
    return model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"], **options)


def main(epochs=20, samples=1000):
    """Returns the accuracy on the training samples."""
    x, y = data(samples)
    model = build()
    compile_model(model)
    history = model.fit(x, y, epochs=epochs, batch_size=32)
    return history.history["accuracy"][-1]


if __name__ == "__main__":
    main()
