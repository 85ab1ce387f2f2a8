"""kgraph and Keras on JAX: the same script for both, as the module `keras` that is handed in."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

from benchmarks.contenders import common


def train(keras: ModuleType, workload: ModuleType, epochs: int, samples: int) -> dict[str, Any]:
    keras.utils.set_random_seed(common.SEED)
    model = workload.build_keras(keras)
    x, y = common.data(workload, samples)
    inputs, targets = (x, y) if len(x) > 1 or len(y) > 1 else (x[0], y[0])
    options = {"batch_size": workload.BATCH, "verbose": 0}
    first = model.fit(inputs, targets, epochs=1, **options)
    begin = time.perf_counter()
    rest = model.fit(inputs, targets, epochs=epochs, **options)
    seconds = time.perf_counter() - begin
    count = epochs * common.steps(workload, samples)
    return common.report(first.history["loss"][-1], rest.history["loss"][-1], seconds, count)


def predict_one(keras: ModuleType, workload: ModuleType, calls: int) -> dict[str, Any]:
    model = workload.build_keras(keras)
    (x,), _ = common.data(workload, 1)
    return common.time_calls(lambda: model.predict_on_batch(x), calls)
