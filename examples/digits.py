"""Handwritten digits: a convolutional model with two outputs, trained to 98 % and looked at from all sides.

    python examples/digits.py [folder]        (default folder: demo-output)

The 1,797 digits of scikit-learn are 8 x 8 pixels.  One half-size `Dense` layer reads the picture at two scales (so it is
called twice), one output names the digit, the other says whether it is odd.  Afterwards the folder holds the graph of
every stage, the emitted kernels, the reasons between them, and a picture of the model.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import kgraph as keras
from kgraph import layers

WANTED = 0.98  # of the test digits


def load():
    """Pictures f32[N, 8, 8, 1] in [0, 1] and labels i32[N]; the same 1,437 to train and 360 to test each time."""
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16.0).astype("float32").reshape(-1, 8, 8, 1)
    y = labels.astype("int32")
    order = np.random.default_rng(7).permutation(len(x))
    train, test = order[:1437], order[1437:]
    return x[train], y[train], x[test], y[test]


def build(keras):
    layers = keras.layers

    def block(x, filters, name):
        x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_norm")(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)

    picture = keras.Input((8, 8, 1), name="picture")
    fine = block(picture, 32, "fine")
    coarse = layers.MaxPooling2D((2, 2), name="halve")(fine)
    coarse = block(coarse, 32, "coarse")

    # One layer, called at two nodes: what it learns about fine features serves coarse ones.
    describe = layers.Dense(64, activation="relu", name="describe")
    both = layers.concatenate(
        [
            describe(layers.Flatten(name="fine_flat")(layers.AveragePooling2D((2, 2), name="fine_mean")(fine))),
            describe(layers.Flatten(name="coarse_flat")(coarse)),
        ],
        name="both",
    )
    both = layers.Dropout(0.4, name="drop")(both)
    digit = layers.Dense(10, activation="softmax", name="digit")(both)
    odd = layers.Dense(1, activation="sigmoid", name="odd")(both)
    return keras.Model(picture, [digit, odd], name="digits")


def compile_model(keras, model, **options):
    return model.compile(
        optimizer=keras.optimizers.Adam(0.002),
        loss={"digit": "sparse_categorical_crossentropy", "odd": "binary_crossentropy"},
        loss_weights={"digit": 1.0, "odd": 0.2},
        metrics={"digit": ["accuracy"], "odd": ["accuracy"]},
        **options,
    )


def write(folder: Path, model, trainer) -> list[str]:
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


def main(epochs: int = 20, folder: str | Path = "demo-output", target: str = "cpu", wanted: float = WANTED) -> float:
    """Train, test, write; returns the test accuracy."""
    keras.utils.set_random_seed(1)
    x, y, x_test, y_test = load()
    model = build(keras)
    model.summary()
    trainer = compile_model(keras, model, target=target)

    start = time.perf_counter()
    trainer.step(x[:64], {"digit": y[:64], "odd": y[:64] % 2})
    print(f"first step after {time.perf_counter() - start:.2f} s, {trainer.compile_seconds:.2f} s of it to compile")

    start = time.perf_counter()
    model.fit(x, {"digit": y, "odd": y % 2}, batch_size=64, epochs=epochs)
    steps = epochs * -(-len(x) // 64)
    print(f"{1e6 * (time.perf_counter() - start) / steps:,.0f} microseconds per step of 64 digits, over {steps:,} steps")

    scores = model.evaluate(x_test, {"digit": y_test, "odd": y_test % 2}, batch_size=120, verbose=0, return_dict=True)
    accuracy = scores["digit_accuracy"]
    print(f"test accuracy {accuracy:.2%} of {len(x_test)} digits; odd or even {scores['odd_accuracy']:.2%}")

    names = write(Path(folder), model, trainer)
    print(f"written to {folder}: {', '.join(names)}")
    if accuracy < wanted:
        sys.exit(f"the test accuracy {accuracy:.2%} is below {wanted:.0%}")
    return accuracy


if __name__ == "__main__":
    main(folder=sys.argv[1] if len(sys.argv) > 1 else "demo-output")
