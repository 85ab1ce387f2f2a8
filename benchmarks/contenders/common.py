"""What all contenders share: the data, the weights, how they time and what they report.

Order of a training run: one epoch in the order of the data (its loss is compared), one shuffled, and then `REPEATS`
timed calls of `EPOCHS` shuffled epochs each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.workloads.arrays import Array, Weights

SEED, REPEATS, BATCH = 7, 3, 256


@dataclass(frozen=True)
class Plan:
    """How much is run."""

    samples: int  # rows of an epoch, or of the test set
    epochs: int  # per timed call
    calls: int  # per timed batch of calls with one row

    @staticmethod
    def of(workload: ModuleType, kind: str, quick: bool) -> Plan:
        """quick: two full batches and a ragged one."""
        if kind == "predict":
            return Plan(2 * BATCH + 5 if quick and workload.ROWS > BATCH else workload.ROWS, 0, 0)
        if quick:
            return Plan(2 * workload.BATCH + workload.BATCH // 4, 1, 3)
        return Plan(workload.SAMPLES, workload.EPOCHS, 0)


def data(workload: ModuleType, samples: int) -> tuple[list[Array], list[Array]]:
    return workload.data(np.random.default_rng(SEED), samples)


def weights(workload: ModuleType) -> dict[str, Weights]:
    return workload.init(np.random.default_rng(SEED + 1))


def loss_weights(workload: ModuleType) -> Sequence[float]:
    return getattr(workload, "LOSS_WEIGHTS", (1.0,) * len(workload.LOSSES))


def threads(workload: ModuleType | None = None) -> int:
    """Threads that may be used; for one row with `workload` as many as it asks for."""
    granted = int(os.environ["OMP_NUM_THREADS"])
    return (getattr(workload, "ROW_THREADS", 1) or granted) if workload else granted


def time_training(workload: ModuleType, plan: Plan, run: Callable[[int, bool], float]) -> dict[str, Any]:
    """`run(epochs, shuffled)` trains and returns the mean loss over the last of these epochs."""
    first = run(1, False)
    run(1, True)
    steps = plan.epochs * -(-plan.samples // workload.BATCH)
    times, last = [], first
    for _ in range(REPEATS):
        begin = time.perf_counter()
        last = run(plan.epochs, True)
        times.append((time.perf_counter() - begin) / steps * 1e6)
    return {"us": times, "loss_first": float(first), "loss_last": float(last)}


def mean_of(outputs: Any) -> float:
    """One number for all outputs together, to compare contenders: a mean with weights that tell places apart."""
    arrays = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    flat = np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])
    return float(flat @ (1 + 0.5 * np.cos(np.arange(flat.size))) / flat.size)


def time_predict(plan: Plan, predict: Callable[[], Any]) -> dict[str, Any]:
    """`predict()` is one pass over the test set."""
    predict()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        outputs = predict()
        times.append((time.perf_counter() - begin) / plan.samples * 1e6)
    return {"us": times, "check": mean_of(outputs)}


def time_row(plan: Plan, call: Callable[[], Any], seconds: float = 1.0) -> dict[str, Any]:
    """Ten batches of calls, so that one interruption does not count; as many calls as take `seconds` in all."""
    call()
    calls = plan.calls
    if not calls:
        begin, warm = time.perf_counter(), 0
        while warm < 3 or time.perf_counter() - begin < seconds / 5:
            call()
            warm += 1
        calls = max(1, int(seconds / 10 * warm / (time.perf_counter() - begin)))
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(calls):
            outputs = call()
        times.append((time.perf_counter() - begin) / calls * 1e6)
    return {"us": times, "check": mean_of(outputs)}


def in_batches(inputs: Sequence[Any], call: Callable[..., Sequence[Array]]) -> Callable[[], list[Array]]:
    """A pass over all rows in batches; the outputs of the batches are joined."""

    def predict() -> list[Array]:
        rows = len(inputs[0])
        parts = [call(*[x[i : i + BATCH] for x in inputs]) for i in range(0, rows, BATCH)]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    return predict
