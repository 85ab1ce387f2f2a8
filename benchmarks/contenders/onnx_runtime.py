"""ONNX Runtime, prediction only.  The model is written as protobuf by hand, so the package `onnx` is not needed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.contenders import common


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _node(op: str, inputs: list[str], output: str) -> bytes:
    return _field(1, b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, op))


def _tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(_field(1, size) for size in array.shape)
    return _field(5, dims + _field(2, 1) + _field(8, name) + _field(9, array.astype("<f4").tobytes()))


def _value(number: int, name: str, width: int) -> bytes:
    shape = _field(1, _field(2, "B")) + _field(1, _field(1, width))
    return _field(number, _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape))))


def mlp_model(weights: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Write a model with relu between the layers and sigmoid at the end.

    weights: kernel f32[in, out] and bias f32[out] of each layer.
    """
    graph, name = b"", "x"
    for i in range(len(weights)):
        graph += _node("Gemm", [name, f"w{i}", f"b{i}"], f"z{i}")
        name = "y" if i + 1 == len(weights) else f"h{i}"
        graph += _node("Sigmoid" if name == "y" else "Relu", [f"z{i}"], name)
    graph += _field(2, "mlp")
    for i, (kernel, bias) in enumerate(weights):
        graph += _tensor(f"w{i}", kernel) + _tensor(f"b{i}", bias)
    graph += _value(11, "x", weights[0][0].shape[0]) + _value(12, "y", weights[-1][0].shape[1])
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))


def predict_one(workload: ModuleType, calls: int) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    weights = [(w["w"], w["b"]) for w in workload.init_jax(np.random.default_rng(common.SEED))]
    session = onnxruntime.InferenceSession(mlp_model(weights), options, providers=["CPUExecutionProvider"])
    (x,), _ = common.data(workload, 1)
    hidden = np.maximum(x @ weights[0][0] + weights[0][1], 0)
    expected = 1 / (1 + np.exp(-(hidden @ weights[1][0] + weights[1][1])))
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-4)
    return common.time_calls(lambda: session.run(None, {"x": x}), calls)
