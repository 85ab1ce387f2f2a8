"""kgraph and Keras on its back ends: the same script for all, as the module `keras` that is handed in."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from benchmarks.contenders import common
from benchmarks.contenders.common import Plan


def keras_module(contender: str) -> Any:
    """The back end of Keras is chosen by KERAS_BACKEND, which `processes` sets."""
    if contender == "kgraph":
        return importlib.import_module("kgraph")
    _limit_threads(contender)
    return importlib.import_module("keras")


def _limit_threads(contender: str) -> None:
    if contender == "keras-torch":
        importlib.import_module("torch").set_num_threads(common.threads())
    elif contender == "keras-tf":
        threading = importlib.import_module("tensorflow").config.threading
        threading.set_intra_op_parallelism_threads(common.threads())
        threading.set_inter_op_parallelism_threads(common.threads())


def set_weights(model: Any, workload: ModuleType) -> None:
    for path, layer in common.weights(workload).items():
        found = model
        for name in path.split("/"):
            found = found.get_layer(name)
        found.set_weights(layer.in_keras_order())


def build(contender: str, workload: ModuleType) -> Any:
    keras = keras_module(contender)
    keras.utils.set_random_seed(common.SEED)
    model = workload.build_keras(keras)
    set_weights(model, workload)
    return model


def _alone(arrays: list[Any]) -> Any:
    return arrays if len(arrays) > 1 else arrays[0]


def train(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    model = build(contender, workload)
    x, y = map(_alone, common.data(workload, plan.samples))

    def run(epochs: int, shuffled: bool) -> float:
        history = model.fit(x, y, batch_size=workload.BATCH, epochs=epochs, shuffle=shuffled, verbose=0)
        return history.history["loss"][-1]

    return common.time_training(workload, plan, run)


def predict(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    model = build(contender, workload)
    x = _alone(common.data(workload, plan.samples)[0])
    return common.time_predict(plan, lambda: model.predict(x, batch_size=common.BATCH, verbose=0))


def row(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    model = build(contender, workload)
    x = _alone(common.data(workload, 1)[0])
    return common.time_row(plan, lambda: model.predict_on_batch(x))


def first_step(contender: str, workload: ModuleType) -> None:
    model = workload.build_keras(keras_module(contender))
    x, y = map(_alone, common.data(workload, workload.BATCH))
    model.train_on_batch(x, y)
