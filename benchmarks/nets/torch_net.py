"""Layers in torch: a module whose parameters are made from Keras' arrays.

Pictures are channels-first in shape and channels-last in memory, which is what torch's convolutions prefer on a CPU.
LSTM and GRU are torch's own modules; attention is its `scaled_dot_product_attention` on one joined projection.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.workloads.arrays import Weights


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).copy())


def _conv(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """HWIO to OIHW; the kernel of a transposed convolution (HWOI in Keras) to IOHW: the same exchange of axes."""
    kernel = _tensor(arrays["kernel"].transpose(3, 2, 0, 1)).contiguous(memory_format=torch.channels_last)
    return {"kernel": kernel, "bias": _tensor(arrays["bias"])}


def _attention(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The three projections joined: [3 * heads * size, width]."""
    parts = ("query", "key", "value")
    width = arrays["query"].shape[0]
    kernel = np.concatenate([arrays[part].reshape(width, -1) for part in parts], axis=1)
    bias = np.concatenate([arrays[f"{part}_bias"].ravel() for part in parts])
    output = arrays["output"].reshape(-1, width)
    tensors = {"kernel": kernel.T, "bias": bias, "output": output.T, "output_bias": arrays["output_bias"]}
    return {name: _tensor(array) for name, array in tensors.items()}


def _plain(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: _tensor(array) for name, array in arrays.items()}


CONVERT = {
    "dense": lambda arrays: {"kernel": _tensor(arrays["kernel"].T), "bias": _tensor(arrays["bias"])},
    "conv": _conv,
    "conv_transpose": _conv,
    "attention": _attention,
}


def _recurrent(weights: Weights) -> torch.nn.Module:
    """A cell of torch with the same arithmetic as Keras'.

    LSTM: the same order of gates; of torch's two biases the second stays 0, or the bias would move twice as far.
    GRU: torch has r before z.
    """
    arrays = weights.arrays
    inputs, units = arrays["kernel"].shape[0], arrays["recurrent"].shape[0]
    if weights.kind == "lstm":
        cell: Any = torch.nn.LSTM(inputs, units, batch_first=True)
        gates, biases = slice(None), (arrays["bias"], np.zeros_like(arrays["bias"]))
        cell.bias_hh_l0.requires_grad_(False)
    else:
        cell = torch.nn.GRU(inputs, units, batch_first=True)
        z, r, h = np.split(np.arange(3 * units), 3)
        gates, biases = np.concatenate([r, z, h]), tuple(arrays["bias"])
    with torch.no_grad():
        cell.weight_ih_l0.copy_(_tensor(arrays["kernel"].T[gates]))
        cell.weight_hh_l0.copy_(_tensor(arrays["recurrent"].T[gates]))
        cell.bias_ih_l0.copy_(_tensor(biases[0][gates]))
        cell.bias_hh_l0.copy_(_tensor(biases[1][gates]))
    return cell


class TorchNet(torch.nn.Module):
    """The network of a workload; `forward` gives its logits."""

    def __init__(self, workload: ModuleType, weights: dict[str, Weights]):
        super().__init__()
        self.network = workload.network
        self.heads = {
            name: layer.arrays["query"].shape[1] for name, layer in weights.items() if layer.kind == "attention"
        }
        self.tensors: dict[str, dict[str, torch.Tensor]] = {}
        self.cells: dict[str, torch.nn.Module] = {}
        for name, layer in weights.items():
            if layer.kind in ("lstm", "gru"):
                self.cells[name] = _recurrent(layer)
                self.add_module(f"{name}_cell".replace("/", "_"), self.cells[name])
                continue
            self.tensors[name] = {}
            for part, tensor in CONVERT.get(layer.kind, _plain)(layer.arrays).items():
                self.tensors[name][part] = self._held(f"{name}_{part}".replace("/", "_"), part, tensor)

    def _held(self, name: str, part: str, tensor: torch.Tensor) -> torch.Tensor:
        if part in ("mean", "variance"):
            self.register_buffer(name, tensor)
            return tensor
        parameter = torch.nn.Parameter(tensor)
        self.register_parameter(name, parameter)
        return parameter

    def forward(self, *inputs):
        return self.network(self, *inputs)

    def activated(self, x, activation):
        return x if activation is None else getattr(self, activation)(x)

    def image(self, x):
        return x.permute(0, 3, 1, 2)

    def picture(self, x):
        return x.permute(0, 2, 3, 1)

    def dense(self, x, name, activation=None):
        w = self.tensors[name]
        return self.activated(functional.linear(x, w["kernel"], w["bias"]), activation)

    def conv(self, x, name, activation=None, stride=1, pad: Any = 0):
        w = self.tensors[name]
        if pad == "same":
            size = w["kernel"].shape[-1]
            pad = (size - 1) // 2
            if stride > 1 and size > 1:  # Keras pads more at the end than at the beginning
                total = max(size - stride, 0)  # of a side that the stride divides
                before = total // 2
                x, pad = functional.pad(x, (before, total - before, before, total - before)), 0
        return self.activated(functional.conv2d(x, w["kernel"], w["bias"], stride, pad), activation)

    def conv_transpose(self, x, name, activation=None, stride=1):
        w = self.tensors[name]
        height, width = x.shape[2] * stride, x.shape[3] * stride
        x = functional.conv_transpose2d(x, w["kernel"], w["bias"], stride)[:, :, :height, :width]
        return self.activated(x, activation)

    def batch_norm(self, x, name, momentum=0.99, epsilon=1e-3):
        w = self.tensors[name]
        moving = (w["mean"], w["variance"])
        return functional.batch_norm(x, *moving, w["gamma"], w["beta"], self.training, 1 - momentum, epsilon)

    def max_pool(self, x, size, stride=None, pad=0):
        return functional.max_pool2d(x, size, stride, pad)

    def global_average(self, x):
        return x.mean((2, 3))

    def flatten(self, x, shape):
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)

    def layer_norm(self, x, name, epsilon=1e-3):
        w = self.tensors[name]
        return functional.layer_norm(x, x.shape[-1:], w["gamma"], w["beta"], epsilon)

    def attention(self, x, name):
        w, heads = self.tensors[name], self.heads[name]
        joined = functional.linear(x, w["kernel"], w["bias"])
        batch, steps, _ = joined.shape
        query, key, value = joined.view(batch, steps, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return functional.linear(mixed.transpose(1, 2).reshape(batch, steps, -1), w["output"], w["output_bias"])

    def embedding(self, x, name):
        return functional.embedding(x, self.tensors[name]["table"])

    def tokens_and_positions(self, x, name):
        w = self.tensors[name]
        return functional.embedding(x, w["tokens"]) + w["positions"]

    def lstm(self, x, name):
        _, (h, _) = self.cells[name](x)
        return h[0]

    def gru(self, x, name):
        _, h = self.cells[name](x)
        return h[0]

    def frames(self, x):
        return x.flatten(0, 1)

    def series(self, x, steps):
        return x.unflatten(0, (-1, steps))

    def add(self, a, b):
        return a + b

    def concat(self, a, b):
        return torch.cat([a, b], -1)

    def distance(self, a, b):
        return (a - b).abs()

    def relu(self, x):
        return functional.relu(x)

    def gelu(self, x):
        return functional.gelu(x)

    def sigmoid(self, x):
        return torch.sigmoid(x)

    def softmax(self, x):
        return torch.softmax(x, -1)

    def mean_over_time(self, x):
        return x.mean(1)

    def dropout(self, x, rate):
        return functional.dropout(x, rate, self.training)


def loss(kind: str, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean loss of logits (of values for "mse")."""
    if kind == "binary":
        return functional.binary_cross_entropy_with_logits(z, y)
    if kind == "mse":
        return functional.mse_loss(z, y)
    return functional.cross_entropy(z, y.long() if kind == "sparse" else y)


def accuracy(kind: str, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Share of rows that are right."""
    if kind == "binary":
        return ((z > 0) == (y > 0.5)).float().mean()
    return (z.argmax(-1) == (y if kind == "sparse" else y.argmax(-1))).float().mean()
