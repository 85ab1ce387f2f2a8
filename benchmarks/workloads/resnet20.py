"""ResNet-20 on 32x32x3 pictures: version 1 with n = 3 of He et al. (2015), as in Keras' example, without decay."""

from __future__ import annotations

from benchmarks.workloads.arrays import batch_norm, conv, dense, one_hot

TITLE = "ResNet-20 on 32x32x3, batch 32, adam, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 32, 320, 1, "adam"
LOSSES, ACCURACY, SCAN = ("categorical",), True, False
FILTERS, BLOCKS = (16, 32, 64), 3


def data(rng, samples):
    x = rng.random((samples, 32, 32, 3)).astype("float32")
    return [x], [one_hot(rng.integers(0, 10, samples), 10)]


def blocks():
    """(name, filters, stride) of each block."""
    for stack, filters in enumerate(FILTERS):
        for number in range(BLOCKS):
            yield f"s{stack}b{number}", filters, 2 if stack and not number else 1


def init(rng):
    weights = {"stem": conv(rng, 3, 3, 16), "stem_bn": batch_norm(16)}
    before = 16
    for name, filters, stride in blocks():
        weights[f"{name}_1"], weights[f"{name}_1_bn"] = conv(rng, 3, before, filters), batch_norm(filters)
        weights[f"{name}_2"], weights[f"{name}_2_bn"] = conv(rng, 3, filters, filters), batch_norm(filters)
        if stride > 1:
            weights[f"{name}_0"] = conv(rng, 1, before, filters)
        before = filters
    weights["head"] = dense(rng, 64, 10)
    return weights


def build_keras(keras):
    layers = keras.layers

    def unit(x, name, filters, stride=1):
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", name=name)(x)
        return layers.BatchNormalization(name=f"{name}_bn")(x)

    inputs = layers.Input(shape=(32, 32, 3))
    x = layers.Activation("relu")(unit(inputs, "stem", 16))
    for name, filters, stride in blocks():
        y = layers.Activation("relu")(unit(x, f"{name}_1", filters, stride))
        y = unit(y, f"{name}_2", filters)
        if stride > 1:
            x = layers.Conv2D(filters, 1, strides=stride, padding="same", name=f"{name}_0")(x)
        x = layers.Activation("relu")(layers.add([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    def unit(x, name, stride=1):
        return net.batch_norm(net.conv(x, name, stride=stride, pad="same"), f"{name}_bn")

    x = net.relu(unit(net.image(x), "stem"))
    for name, _, stride in blocks():
        y = unit(net.relu(unit(x, f"{name}_1", stride)), f"{name}_2")
        if stride > 1:
            x = net.conv(x, f"{name}_0", stride=stride, pad="same")
        x = net.relu(net.add(x, y))
    return (net.dense(net.global_average(x), "head"),)
