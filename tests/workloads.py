"""The models of `benchmarks/`, small enough for tests: fewer rows, no dropout, ResNet-50 on small pictures."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

import kgraph
from benchmarks.contenders import common
from benchmarks.contenders.keras_like import set_weights
from benchmarks.jobs import TRAINED
from benchmarks.workloads.arrays import dense
from kgraph.trainer.steps import Step

__all__ = ["NAMES", "batches", "build", "training"]

NAMES = TRAINED
ROWS = {"transformer": 4, "resnet20": 8, "resnet50": 4, "video": 2, "conv": 16, "conv_autoencoder": 8}
PICTURE, CLASSES = 64, 10  # of the small ResNet-50


class _Layers:
    """`keras.layers` with a Dropout that drops nothing: what each library draws is its own."""

    def __init__(self, layers: Any) -> None:
        self._layers = layers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layers, name)

    def Dropout(self, rate: float, **options: Any) -> Any:
        return self._layers.Dropout(0.0, **options)


class _Applications:
    """`keras.applications` with ResNet-50 for small pictures and few classes."""

    def __init__(self, applications: Any) -> None:
        self._applications = applications

    def ResNet50(self, weights: None) -> Any:
        return self._applications.ResNet50(weights=weights, input_shape=(PICTURE, PICTURE, 3), classes=CLASSES)


class _Small:
    """kgraph or Keras, with these two."""

    def __init__(self, keras: Any) -> None:
        self._keras, self.layers, self.applications = keras, _Layers(keras.layers), _Applications(keras.applications)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keras, name)


class _Workload:
    """A workload with the weights that fit its small form."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def init(self, rng: np.random.Generator) -> Any:
        weights = self._module.init(rng)
        if "predictions" in weights:
            weights["predictions"] = dense(rng, 2048, CLASSES)
        return weights


def build(name: str, keras: Any) -> Any:
    """The compiled model with the weights that every contender of the benchmarks starts from.

    keras: `kgraph` or `keras`.
    """
    module = importlib.import_module(f"benchmarks.workloads.{name}")
    model = module.build_keras(_Small(keras))
    set_weights(model, _Workload(module))  # type: ignore[arg-type]
    return model


def batches(name: str, count: int, rows: int = 0) -> list[tuple[Any, Any]]:
    """(x, y) of so many steps; each a list of arrays where the model has several."""
    module = importlib.import_module(f"benchmarks.workloads.{name}")
    rows = rows or ROWS.get(name, 32)
    if name == "resnet50":
        rng = np.random.default_rng(common.SEED)
        x = [rng.random((rows * count, PICTURE, PICTURE, 3), dtype="float32")]
        y = [rng.integers(0, CLASSES, rows * count, dtype="int32")]
    else:
        x, y = common.data(module, rows * count)

    def part(arrays: list[np.ndarray], step: int) -> Any:
        cut = [array[step * rows : (step + 1) * rows] for array in arrays]
        return cut if len(cut) > 1 else cut[0]

    return [(part(x, step), part(y, step)) for step in range(count)]


def training(name: str, count: int) -> tuple[Step, list[dict[str, np.ndarray]]]:
    """The compiled training step of a small model of kgraph, and the inputs of so many runs of it, by name."""
    trainer = build(name, kgraph)._require_trainer("train_step")
    feeds = [trainer.feed(x, y) for x, y in batches(name, count)]
    return trainer.step_for("train", feeds[0].signature), [feed.arrays for feed in feeds]
