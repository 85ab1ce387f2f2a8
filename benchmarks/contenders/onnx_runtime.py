"""ONNX Runtime, prediction only, on a file written by `nets.onnx_net`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import onnxruntime

from benchmarks.contenders import common
from benchmarks.contenders.common import Plan
from benchmarks.nets import onnx_net


def _predictor(workload: ModuleType, limit: int):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = limit, 1
    file = onnx_net.model(workload, common.weights(workload), common.data(workload, 1)[0])
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    return lambda *x: session.run(None, dict(zip(names, x, strict=True)))


def predict(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, plan.samples)
    return common.time_predict(plan, common.in_batches(x, _predictor(workload, common.threads())))


def row(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, 1)
    call = _predictor(workload, common.threads(workload))
    return common.time_row(plan, lambda: call(*x))
