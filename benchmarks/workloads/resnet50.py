"""ResNet-50 on 224x224x3 pictures, `applications.ResNet50`: 25.6 million weights, 53 convolutions."""

from __future__ import annotations

from benchmarks.workloads.arrays import batch_norm, conv, dense

TITLE = "ResNet-50 on 224x224x3, batch 8, adam, metrics"
BATCH, SAMPLES, EPOCHS, OPTIMIZER = 8, 16, 1, "adam"
LOSSES, ACCURACY, SCAN = ("sparse",), True, False
WIDTHS, ROWS, ROW_THREADS = (1000,), 16, 0
EPSILON = 1.001e-5
STACKS = ((64, 3), (128, 4), (256, 6), (512, 3))


def data(rng, samples):
    x = rng.random((samples, 224, 224, 3), dtype="float32")
    return [x], [rng.integers(0, 1000, samples, dtype="int32")]


def blocks():
    """(name, filters, stride, whether the shortcut is projected) of each block; names are those of Keras."""
    for stack, (filters, count) in enumerate(STACKS):
        for number in range(count):
            yield f"conv{stack + 2}_block{number + 1}", filters, 2 if stack and not number else 1, not number


def init(rng):
    weights = {"conv1_conv": conv(rng, 7, 3, 64), "conv1_bn": batch_norm(64)}
    before = 64

    def unit(name, size, inputs, filters):
        weights[f"{name}_conv"], weights[f"{name}_bn"] = conv(rng, size, inputs, filters), batch_norm(filters)

    for name, filters, _, projected in blocks():
        if projected:
            unit(f"{name}_0", 1, before, 4 * filters)
        unit(f"{name}_1", 1, before, filters)
        unit(f"{name}_2", 3, filters, filters)
        unit(f"{name}_3", 1, filters, 4 * filters)
        before = 4 * filters
    weights["predictions"] = dense(rng, 2048, 1000)
    return weights


def build_keras(keras):
    model = keras.applications.ResNet50(weights=None)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def network(net, x):
    def unit(x, name, stride=1, pad=0):
        return net.batch_norm(net.conv(x, f"{name}_conv", stride=stride, pad=pad), f"{name}_bn", epsilon=EPSILON)

    x = net.max_pool(net.relu(unit(net.image(x), "conv1", 2, 3)), 3, 2, 1)  # after relu, padding with 0 changes nothing
    for name, _, stride, projected in blocks():
        y = net.relu(unit(x, f"{name}_1", stride))
        y = net.relu(unit(y, f"{name}_2", pad=1))
        y = unit(y, f"{name}_3")
        shortcut = unit(x, f"{name}_0", stride) if projected else x
        x = net.relu(net.add(shortcut, y))
    return (net.dense(net.global_average(x), "predictions"),)
