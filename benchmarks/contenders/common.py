"""What all contenders report, and how they time."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

SEED = 7


def data(workload: ModuleType, samples: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return workload.data(np.random.default_rng(SEED), samples)


def steps(workload: ModuleType, samples: int) -> int:
    return -(-samples // workload.BATCH)


def report(first: float, last: float, seconds: float, count: int) -> dict[str, Any]:
    """Losses: mean over the first (not timed) and over the last epoch."""
    return {"us": seconds / count * 1e6, "count": count, "loss_first": float(first), "loss_last": float(last)}


def time_calls(call: Callable[[], object], calls: int) -> dict[str, Any]:
    """Median over batches of calls, so that one interruption does not count."""
    for _ in range(min(calls, 50)):
        call()
    batches = []
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        batches.append((time.perf_counter() - begin) / calls)
    return {"us": sorted(batches)[5] * 1e6, "count": calls * 10}
