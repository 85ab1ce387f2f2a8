"""The functional API: layers are called on tensors, and a model is what lies between an input and an output."""

import numpy as np

import kgraph as keras
from kgraph.layers import Dense, Input
from kgraph.models import Model


def data(samples=2000, seed=0):
    """Points f32[N, 784] of ten clouds, and one-hot classes f32[N, 10]."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 10, samples)
    centres = np.random.default_rng(1).normal(0, 0.25, (10, 784))
    x = (centres[classes] + rng.normal(0, 1, (samples, 784))).astype("float32")
    return x, keras.utils.to_categorical(classes, 10)


def build():
    inputs = Input(shape=(784,))
    x = Dense(64, activation="relu")(inputs)
    x = Dense(64, activation="relu")(x)
    predictions = Dense(10, activation="softmax")(x)
    return Model(inputs=inputs, outputs=predictions)


def compile_model(model, **options):
    return model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"], **options)


def main(epochs=5, samples=2000):
    """Returns the accuracy on fresh points."""
    x, y = data(samples)
    model = build()
    model.summary()
    compile_model(model)
    model.fit(x, y, epochs=epochs, batch_size=128, validation_split=0.1)
    return model.evaluate(*data(500, seed=2), verbose=0)[1]


if __name__ == "__main__":
    main()
