"""A classifier as a stack of layers, in the spelling of Keras 2: from a list, and by `add`.

Ten clouds of points in 784 dimensions; the model says which cloud a point is from.
"""

import numpy as np

import kgraph as keras
from kgraph import backend as K
from kgraph.layers import Activation, Dense
from kgraph.models import Sequential


def data(samples=2000, seed=0):
    """Points f32[N, 784] and one-hot classes f32[N, 10]."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 10, samples)
    centres = np.random.default_rng(1).normal(0, 0.25, (10, 784))
    x = (centres[classes] + rng.normal(0, 1, (samples, 784))).astype("float32")
    return x, keras.utils.to_categorical(classes, 10)


def build():
    model = Sequential(
        [
            Dense(32, input_shape=(784,)),
            Activation("relu"),
            Dense(10),
            Activation("softmax"),
        ]
    )
    return model


def build_by_add():
    model = Sequential()
    model.add(Dense(32, input_dim=784))
    model.add(Activation("relu"))
    model.add(Dense(10, activation="softmax"))
    return model


def mean_pred(y_true, y_pred):
    """A metric of our own; it is traced and compiled like those that come along."""
    return K.mean(y_pred)


def compile_model(model, **options):
    return model.compile(
        loss=keras.losses.categorical_crossentropy,
        optimizer=keras.optimizers.SGD(lr=0.01, momentum=0.9, nesterov=True),
        metrics=["accuracy", mean_pred],
        **options,
    )


def main(epochs=5, samples=2000):
    """Train both models; returns the accuracy of each on fresh points."""
    x, y = data(samples)
    x_test, y_test = data(500, seed=2)
    accuracies = []
    for model in (build(), build_by_add()):
        compile_model(model)
        model.fit(x, y, epochs=epochs, batch_size=32)
        model.train_on_batch(x[:32], y[:32])
        loss, accuracy, _ = model.evaluate(x_test, y_test, batch_size=128)
        classes = model.predict(x_test, batch_size=128).argmax(axis=1)
        print(f"loss {loss:.4f}, accuracy {accuracy:.2%}, first classes {classes[:10]}")
        accuracies.append(accuracy)
    return accuracies


if __name__ == "__main__":
    main()
