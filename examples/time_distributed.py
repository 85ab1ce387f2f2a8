"""A whole model as a layer: a classifier of pictures, applied to each of the 20 frames of a film."""

import numpy as np

import kgraph as keras
from kgraph.layers import Dense, Input, TimeDistributed
from kgraph.models import Model

FRAMES = 20


def data(samples=200, seed=0):
    """Films f32[N, 20, 784] and the one-hot class of each frame f32[N, 20, 10]."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 10, (samples, FRAMES))
    centres = np.random.default_rng(1).normal(0, 0.25, (10, 784))
    x = (centres[classes] + rng.normal(0, 1, (samples, FRAMES, 784))).astype("float32")
    return x, keras.utils.to_categorical(classes, 10)


def build_frame_model():
    inputs = Input(shape=(784,))
    x = Dense(64, activation="relu")(inputs)
    x = Dense(64, activation="relu")(x)
    return Model(inputs, Dense(10, activation="softmax")(x), name="frame")


def build():
    film = Input(shape=(FRAMES, 784))
    return Model(film, TimeDistributed(build_frame_model())(film), name="film")


def compile_model(model, **options):
    return model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"], **options)


def main(epochs=5, samples=200):
    """Returns the accuracy over the frames of fresh films."""
    x, y = data(samples)
    model = build()
    print("one prediction per frame:", model.output_shape)
    compile_model(model)
    model.fit(x, y, epochs=epochs, batch_size=16)
    return model.evaluate(*data(50, seed=2), verbose=0)[1]


if __name__ == "__main__":
    main()
