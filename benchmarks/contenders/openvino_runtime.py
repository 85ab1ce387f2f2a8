"""OpenVINO, prediction only, on a file written by `nets.onnx_net`, in f32 as all others."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import openvino

from benchmarks.contenders import common
from benchmarks.contenders.common import Plan
from benchmarks.nets import onnx_net


def _predictor(workload: ModuleType, limit: int):
    core = openvino.Core()
    file = onnx_net.model(workload, common.weights(workload), common.data(workload, 1)[0])
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": limit,
    }
    compiled = core.compile_model(core.read_model(file), "CPU", options)
    request = compiled.create_infer_request()
    outputs = range(len(workload.LOSSES))

    def call(*x):
        result = request.infer(dict(enumerate(x)), share_inputs=True, share_outputs=True)
        return [result[i].copy() for i in outputs]

    return call


def predict(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, plan.samples)
    return common.time_predict(plan, common.in_batches(x, _predictor(workload, common.threads())))


def row(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, 1)
    call = _predictor(workload, common.threads(workload))
    return common.time_row(plan, lambda: call(*x))
