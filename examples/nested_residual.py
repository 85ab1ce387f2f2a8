"""A model inside a model, and a residual connection round it."""

import numpy as np

import kgraph as keras
from kgraph import layers


def data(samples=256, seed=0):
    """Pictures f32[N, 12, 12, 4] with a bright square somewhere, and the quarter it lies in i32[N]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.3, (samples, 12, 12, 4)).astype("float32")
    quarter = rng.integers(0, 4, samples)
    for picture, place in zip(x, quarter):
        row, column = 6 * (place // 2) + rng.integers(0, 4), 6 * (place % 2) + rng.integers(0, 4)
        picture[row : row + 3, column : column + 3] += 1.5
    return x, quarter.astype("int32")


def build_block(filters):
    """Keeps the shape of what it reads, so that its output can be added to its input."""
    inputs = keras.Input((12, 12, filters))
    x = layers.Conv2D(filters, (3, 3), padding="same", activation="relu")(inputs)
    x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, x, name="block")


def build():
    inputs = keras.Input((12, 12, 4))
    block = build_block(4)
    x = layers.add([inputs, block(inputs)])
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D((3, 3))(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x), name="residual")


def compile_model(model, **options):
    return model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.003),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **options,
    )


def main(epochs=8, samples=256):
    """Returns the accuracy on the training pictures."""
    x, y = data(samples)
    model = build()
    model.summary(expand_nested=True)
    compile_model(model)
    return model.fit(x, y, epochs=epochs, batch_size=32).history["accuracy"][-1]


if __name__ == "__main__":
    main()
