"""Handwritten digits: a convolutional model with two outputs, trained past 98 %, and looked at from all sides.

    python examples/digits.py [folder]        (default folder: demo-output)

The 1,797 digits of scikit-learn are 8 x 8 pixels.  One `Dense` layer reads the picture at two scales, so it is called
twice; one output names the digit, the other says whether it is odd.  Afterwards the folder holds the graph of every
stage, the emitted kernels, the reasons for the borders between them, and a picture of the model.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import kgraph as keras
from kgraph import layers

WANTED = 0.98  # of the test digits
BATCH = 64


def load():
    """Pictures f32[N, 8, 8, 1] in [0, 1] and labels i32[N]: 1,437 to train, 360 to test, the same ones each time."""
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16.0).astype("float32").reshape(-1, 8, 8, 1)
    y = labels.astype("int32")
    order = np.random.default_rng(7).permutation(len(x))
    train, test = order[:1437], order[1437:]
    return x[train], y[train], x[test], y[test]


def with_shifts(x, y):
    """Each picture as it is, and moved by one pixel to each side."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return np.concatenate([padded[:, i : i + 8, j : j + 8] for i, j in places]), np.tile(y, len(places))


def build(dropout=0.4):
    def block(x, name):
        x = layers.Conv2D(32, (3, 3), padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_norm")(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)

    picture = keras.Input((8, 8, 1), name="picture")
    fine = block(picture, "fine")
    coarse = block(layers.MaxPooling2D((2, 2), name="halve")(fine), "coarse")
    fine = layers.AveragePooling2D((2, 2), name="fine_mean")(fine)

    # One layer at two nodes: what it learns about fine features serves coarse ones.
    describe = layers.Dense(64, activation="relu", name="describe")
    fine = describe(layers.Flatten(name="fine_flat")(fine))
    coarse = describe(layers.Flatten(name="coarse_flat")(coarse))

    both = layers.concatenate([fine, coarse], name="both")
    both = layers.Dropout(dropout, name="drop")(both)
    digit = layers.Dense(10, activation="softmax", name="digit")(both)
    odd = layers.Dense(1, activation="sigmoid", name="odd")(both)
    return keras.Model(picture, [digit, odd], name="digits")


def compile_model(model, steps=1000, **options):
    return model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.003, steps)),
        loss={"digit": "sparse_categorical_crossentropy", "odd": "binary_crossentropy"},
        loss_weights={"digit": 1.0, "odd": 0.2},
        metrics={"digit": ["accuracy"], "odd": ["accuracy"]},
        **options,
    )


def write(folder, model, trainer):
    """What kgraph made of the model, as files; returns their names."""
    files = {}
    for stage in ("graph", "grad", "optimized", "schedule"):
        files[f"train-{stage}.kg"] = str(trainer.ir(stage))
    for stage in ("graph", "optimized", "schedule"):
        files[f"predict-{stage}.kg"] = str(trainer.ir(stage, mode="predict"))
    for mode in ("train", "predict"):
        files[f"{mode}-kernels.py"] = trainer.source(mode=mode)
        files[f"{mode}-explain.txt"] = trainer.explain(mode=mode)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    keras.utils.plot_model(model, folder / "model.svg", show_shapes=True, show_layer_activations=True)
    return [*files, "model.svg"]


def main(epochs=12, folder="demo-output", target="cpu", wanted=WANTED):
    """Train, test, write; returns the test accuracy, and ends the process when it is below `wanted`."""
    keras.utils.set_random_seed(1)
    x, y, x_test, y_test = load()
    x, y = with_shifts(x, y)
    steps = epochs * -(-len(x) // BATCH)
    model = build()
    model.summary()
    trainer = compile_model(model, steps, target=target)

    start = time.perf_counter()
    trainer.step(x[:BATCH], {"digit": y[:BATCH], "odd": y[:BATCH] % 2})
    seconds = time.perf_counter() - start
    print(f"first step done after {seconds:.2f} s, of which compiling took {trainer.compile_seconds:.2f} s")

    start = time.perf_counter()
    model.fit(x, {"digit": y, "odd": y % 2}, batch_size=BATCH, epochs=epochs)
    seconds = time.perf_counter() - start
    print(f"{1e6 * seconds / steps:,.0f} microseconds per step of {BATCH} pictures, over {steps:,} steps")

    scores = model.evaluate(x_test, {"digit": y_test, "odd": y_test % 2}, verbose=0, return_dict=True)
    accuracy = scores["digit_accuracy"]
    print(f"test accuracy {accuracy:.2%} on {len(x_test)} digits never seen ({scores['odd_accuracy']:.2%} odd or even)")

    names = write(Path(folder), model, trainer)
    print(f"written to {folder}: {', '.join(names)}")
    if accuracy < wanted:
        sys.exit(f"the test accuracy {accuracy:.2%} is below {wanted:.0%}")
    return accuracy


if __name__ == "__main__":
    main(folder=sys.argv[1] if len(sys.argv) > 1 else "demo-output")
