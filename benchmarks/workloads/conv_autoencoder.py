"""A convolutional autoencoder of 28x28 pictures: pooling on the way down, transposed convolutions on the way up."""

from __future__ import annotations

from benchmarks.workloads.arrays import conv, conv_transpose

TITLE = "convolutional autoencoder, 28x28x1, 32 filters, transposed convolutions, batch 64, adam"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 64, 320, 1, "adam"
LOSSES, ACCURACY, SCAN = ("binary",), False, False


def data(rng, samples):
    x = rng.random((samples, 28, 28, 1)).astype("float32")
    return [x], [x]


def init(rng):
    return {
        "down1": conv(rng, 3, 1, 32),
        "down2": conv(rng, 3, 32, 32),
        "up1": conv_transpose(rng, 3, 32, 32),
        "up2": conv_transpose(rng, 3, 32, 32),
        "head": conv(rng, 3, 32, 1),
    }


def build_keras(keras):
    layers = keras.layers
    inputs = layers.Input(shape=(28, 28, 1))
    x = inputs
    for name in ("down1", "down2"):
        x = layers.Conv2D(32, 3, activation="relu", padding="same", name=name)(x)
        x = layers.MaxPooling2D(2)(x)
    for name in ("up1", "up2"):
        x = layers.Conv2DTranspose(32, 3, strides=2, activation="relu", padding="same", name=name)(x)
    x = layers.Conv2D(1, 3, activation="sigmoid", padding="same", name="head")(x)
    model = keras.Model(inputs, x)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model


def network(net, x):
    x = net.image(x)
    for name in ("down1", "down2"):
        x = net.max_pool(net.conv(x, name, "relu", pad="same"), 2)
    for name in ("up1", "up2"):
        x = net.conv_transpose(x, name, "relu", stride=2)
    return (net.picture(net.conv(x, "head", pad="same")),)
