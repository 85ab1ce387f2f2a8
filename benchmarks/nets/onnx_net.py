"""Layers as nodes of an ONNX graph, for prediction: values are names.  Pictures are NCHW."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.nets import onnx_file
from benchmarks.workloads.arrays import Array, Weights


def model(workload: ModuleType, weights: dict[str, Weights], inputs: list[Array]) -> bytes:
    """The file of a workload's network; inputs are named x0, x1, ..., outputs y0, y1, ..."""
    net = OnnxNet(weights)
    names = [f"x{i}" for i in range(len(inputs))]
    logits = workload.network(net, *names)
    ends = b""
    for i, (kind, logit) in enumerate(zip(workload.LOSSES, logits, strict=True)):
        activation = {"binary": "Sigmoid", "mse": "Identity"}.get(kind, "Softmax")
        net.emit(activation, [logit], f"y{i}", **({"axis": -1} if activation == "Softmax" else {}))
        ends += onnx_file.value(12, f"y{i}", np.dtype("float32"), ("B", workload.WIDTHS[i]))
    for name, array in zip(names, inputs, strict=True):
        ends += onnx_file.value(11, name, array.dtype, ("B", *array.shape[1:]))
    return onnx_file.model(net.nodes + net.constants + ends)


class OnnxNet:
    """Collects nodes and constants."""

    def __init__(self, weights: dict[str, Weights]):
        self.weights, self.nodes, self.constants = weights, b"", b""
        self.count = 0
        self.pictures: dict[str, tuple[int, int, int]] = {}  # flattened value -> (H, W, C)

    def emit(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        self.count += 1
        output = output or f"v{self.count}"
        self.nodes += onnx_file.node(op, inputs, [output], attributes)
        return output

    def constant(self, name: str, array: Array) -> str:
        self.constants += onnx_file.tensor(name, array)
        return name

    def activated(self, x, activation):
        return x if activation is None else getattr(self, activation)(x)

    def image(self, x):
        return self.emit("Transpose", [x], perm=[0, 3, 1, 2])

    def dense(self, x, name, activation=None):
        w = self.weights[name].arrays
        kernel = w["kernel"]
        if x in self.pictures:  # flattened with channels first here: the rows of the kernel follow
            kernel = kernel.reshape(*self.pictures[x], -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        inputs = [x, self.constant(f"{name}/kernel", kernel), self.constant(f"{name}/bias", w["bias"])]
        return self.activated(self.emit("Gemm", inputs), activation)

    def conv(self, x, name, activation=None, stride=1, pad=0):
        w = self.weights[name].arrays
        kernel = w["kernel"].transpose(3, 2, 0, 1)
        sides: dict[str, Any] = {"auto_pad": "SAME_UPPER"} if pad == "same" else {"pads": [pad] * 4}
        inputs = [x, self.constant(f"{name}/kernel", kernel), self.constant(f"{name}/bias", w["bias"])]
        x = self.emit("Conv", inputs, kernel_shape=list(kernel.shape[2:]), strides=[stride, stride], **sides)
        return self.activated(x, activation)

    def batch_norm(self, x, name, momentum=0.99, epsilon=1e-3):
        parts = [self.constant(f"{name}/{part}", array) for part, array in self.weights[name].arrays.items()]
        return self.emit("BatchNormalization", [x, *parts], epsilon=float(epsilon))

    def max_pool(self, x, size, stride=None, pad=0):
        stride = stride or size
        return self.emit("MaxPool", [x], kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4)

    def global_average(self, x):
        return self.emit("ReduceMean", [x], axes=[2, 3], keepdims=0)

    def flatten(self, x, shape):
        flat = self.emit("Flatten", [x], axis=1)
        self.pictures[flat] = shape
        return flat

    def embedding(self, x, name):
        return self.emit("Gather", [self.constant(f"{name}/table", self.weights[name].arrays["table"]), x], axis=0)

    def lstm(self, x, name):
        """ONNX wants time first, gates in the order i, o, f, c, and a bias for the state too."""
        w = self.weights[name].arrays
        units = w["recurrent"].shape[0]
        i, f, c, o = np.split(np.arange(4 * units), 4)
        gates = np.concatenate([i, o, f, c])
        bias = np.concatenate([w["bias"][gates], np.zeros_like(w["bias"])])
        parts = {"kernel": w["kernel"].T[gates], "recurrent": w["recurrent"].T[gates], "bias": bias}
        inputs = [self.constant(f"{name}/{part}", array[None]) for part, array in parts.items()]
        x = self.emit("Transpose", [x], perm=[1, 0, 2])
        self.nodes += onnx_file.node("LSTM", [x, *inputs], ["", f"{name}/h"], {"hidden_size": units})
        return self.emit("Squeeze", [f"{name}/h", self.constant(f"{name}/axes", np.array([0]))])

    def add(self, a, b):
        return self.emit("Add", [a, b])

    def concat(self, a, b):
        return self.emit("Concat", [a, b], axis=-1)

    def relu(self, x):
        return self.emit("Relu", [x])

    def sigmoid(self, x):
        return self.emit("Sigmoid", [x])

    def dropout(self, x, rate):
        return x
