"""torch, eager, as its own tutorials write it; the data are tensors in memory, shuffled and indexed."""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any

import torch

from benchmarks.contenders import common


def train(workload: ModuleType, epochs: int, samples: int) -> dict[str, Any]:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(common.SEED)
    x, y = common.data(workload, samples)
    inputs, targets = [torch.from_numpy(a) for a in x], [torch.from_numpy(a) for a in y]
    model, loss_of = workload.build_torch(torch)
    if workload.OPTIMIZER == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    else:
        optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)

    def epoch() -> float:
        order = torch.randperm(samples)
        loss_sum, right = torch.zeros(()), torch.zeros(())
        for begin in range(0, samples, workload.BATCH):
            rows = order[begin : begin + workload.BATCH]
            outputs = model(*[a[rows] for a in inputs])
            loss, accuracy = loss_of(outputs, [a[rows] for a in targets])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(rows)
            if accuracy is not None:
                right += accuracy.detach() * len(rows)
        return float(loss_sum) / samples

    first = epoch()
    begin = time.perf_counter()
    for _ in range(epochs):
        last = epoch()
    seconds = time.perf_counter() - begin
    return common.report(first, last, seconds, epochs * common.steps(workload, samples))


def predict_one(workload: ModuleType, calls: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    model, _ = workload.build_torch(torch)
    (x,), _ = common.data(workload, 1)
    row = torch.from_numpy(x)

    def call():
        with torch.inference_mode():
            return torch.sigmoid(model(row)).numpy()

    return common.time_calls(call, calls)
