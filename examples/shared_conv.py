"""One convolution on two pictures of different size, and how to ask a layer about its calls.

Each call of a layer is a node.  What is the same at every node can be asked for
directly; the rest by the node's number.
"""

import numpy as np

import kgraph as keras
from kgraph.layers import Conv2D, Dense, GlobalAveragePooling2D, Input
from kgraph.models import Model


def data(samples=64, seed=0):
    """Small pictures f32[N, 32, 32, 3], large ones f32[N, 64, 64, 3], and whether the large one
    is brighter f32[N, 1].
    """
    rng = np.random.default_rng(seed)
    light = rng.random((2, samples, 1, 1, 1))
    small = (light[0] + 0.3 * rng.normal(size=(samples, 32, 32, 3))).astype("float32")
    large = (light[1] + 0.3 * rng.normal(size=(samples, 64, 64, 3))).astype("float32")
    return small, large, (light[1] > light[0]).astype("float32").reshape(samples, 1)


def build():
    a = Input(shape=(32, 32, 3), name="small")
    b = Input(shape=(64, 64, 3), name="large")
    conv = Conv2D(16, (3, 3), padding="same", name="conv")
    conved_a = conv(a)
    conved_b = conv(b)
    merged = keras.layers.concatenate([GlobalAveragePooling2D()(conved_a), GlobalAveragePooling2D()(conved_b)])
    return Model([a, b], Dense(1, activation="sigmoid")(merged))


def compile_model(model, **options):
    return model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"], **options)


def show_nodes():
    """What a layer says about itself after one call, and after two."""
    a = Input(shape=(32, 32, 3))
    b = Input(shape=(64, 64, 3))
    conv = Conv2D(16, (3, 3), padding="same")

    conved_a = conv(a)
    assert conv.input_shape == (None, 32, 32, 3)
    assert conv.output is conved_a

    conved_b = conv(b)
    for name in ("input_shape", "output"):
        try:
            getattr(conv, name)
        except AttributeError as error:
            print(f"conv.{name}: {error}\n")
        else:
            raise AssertionError(f"conv.{name} must not answer for two nodes that differ")
    assert conv.get_input_shape_at(0) == (None, 32, 32, 3)
    assert conv.get_input_shape_at(1) == (None, 64, 64, 3)
    assert conv.get_output_at(0) is conved_a
    assert conv.get_output_at(1) is conved_b


def main(epochs=4, samples=64):
    """Returns the loss after training."""
    show_nodes()
    small, large, brighter = data(samples)
    model = build()
    compile_model(model)
    return model.fit([small, large], brighter, epochs=epochs, batch_size=16).history["loss"][-1]


if __name__ == "__main__":
    main()
