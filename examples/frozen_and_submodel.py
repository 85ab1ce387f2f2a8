"""Parts of a trained model: one cut out as a model of its own, one frozen under a new head."""

import numpy as np

import kgraph as keras
from kgraph import layers


def data(samples=1000, seed=0):
    """Points f32[N, 8], and on which side of a sphere each lies i32[N, 1]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 8)).astype("float32")
    return x, ((x**2).sum(axis=1, keepdims=True) > 7.34).astype("int32")


def build_base():
    inputs = keras.Input((8,), name="point")
    x = layers.Dense(32, activation="relu", name="first")(inputs)
    x = layers.Dense(16, activation="relu", name="features")(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="side")(x), name="base")


def features_of(model):
    """The model up to the layer `features`; it shares its layers with the whole."""
    return keras.Model(model.input, model.get_layer("features").output, name="extractor")


def build(base=None):
    """A new head on the features of `base`, which are kept as they are."""
    extractor = features_of(base or build_base())
    extractor.trainable = False
    inputs = keras.Input((8,), name="point")
    x = layers.Dense(8, activation="relu", name="head")(extractor(inputs))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="new_side")(x), name="transfer")


def compile_model(model, **options):
    return model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"], **options)


def main(epochs=10, samples=1000):
    """Returns the accuracy of the model with the frozen part."""
    x, y = data(samples)
    base = build_base()
    compile_model(base)
    base.fit(x, y, epochs=epochs, batch_size=32)

    extractor = features_of(base)
    print("features of three points:", extractor.predict(x[:3], verbose=0).shape)

    model = build(base)
    model.summary(show_trainable=True)
    compile_model(model)
    before = [weight.copy() for weight in extractor.get_weights()]
    history = model.fit(x, y, epochs=epochs, batch_size=32)
    assert all(np.array_equal(a, b) for a, b in zip(before, extractor.get_weights())), "frozen weights have changed"
    return history.history["accuracy"][-1]


if __name__ == "__main__":
    main()
