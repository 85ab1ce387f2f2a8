"""Layers in JAX, as one writes them by hand: pictures are NHWC, the products with the inputs of a scan are hoisted."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

LAYOUT = ("NHWC", "HWIO", "NHWC")
MOVING = ("mean", "variance")  # not trained


class JaxNet:
    """One call of a network.

    weights: {layer: {name: array}}.  With `training`, dropout draws from `key`, and `moved` collects the new moving
    averages.
    """

    def __init__(self, weights: dict[str, dict[str, Any]], training: bool = False, key: Any = None):
        self.weights, self.training, self.key = weights, training, key
        self.moved: dict[str, dict[str, Any]] = {}

    def activated(self, x, activation):
        return x if activation is None else getattr(self, activation)(x)

    def image(self, x):
        return x

    def picture(self, x):
        return x

    def dense(self, x, name, activation=None):
        w = self.weights[name]
        return self.activated(x @ w["kernel"] + w["bias"], activation)

    def conv(self, x, name, activation=None, stride=1, pad: Any = 0):
        w = self.weights[name]
        padding = "SAME" if pad == "same" else ((pad, pad), (pad, pad))
        x = lax.conv_general_dilated(x, w["kernel"], (stride, stride), padding, dimension_numbers=LAYOUT)
        return self.activated(x + w["bias"], activation)

    def conv_transpose(self, x, name, activation=None, stride=1):
        w, strides = self.weights[name], (stride, stride)
        x = lax.conv_transpose(x, w["kernel"], strides, "SAME", dimension_numbers=LAYOUT, transpose_kernel=True)
        return self.activated(x + w["bias"], activation)

    def batch_norm(self, x, name, momentum=0.99, epsilon=1e-3):
        w = self.weights[name]
        mean, variance = w["mean"], w["variance"]
        if self.training:
            axes = tuple(range(x.ndim - 1))
            mean, square = jnp.mean(x, axes), jnp.mean(x * x, axes)
            variance = square - mean * mean
            old = (w["mean"], w["variance"])
            new = (momentum * a + (1 - momentum) * b for a, b in zip(old, (mean, variance), strict=True))
            self.moved[name] = dict(zip(MOVING, new, strict=True))
        scale = w["gamma"] * lax.rsqrt(variance + epsilon)
        return x * scale + (w["beta"] - mean * scale)

    def max_pool(self, x, size, stride=None, pad=0):
        stride = stride or size
        padding = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), padding)

    def global_average(self, x):
        return jnp.mean(x, (1, 2))

    def flatten(self, x, shape):
        return x.reshape(x.shape[0], -1)

    def layer_norm(self, x, name, epsilon=1e-3):
        w = self.weights[name]
        mean = jnp.mean(x, -1, keepdims=True)
        centred = x - mean
        variance = jnp.mean(centred * centred, -1, keepdims=True)
        return centred * lax.rsqrt(variance + epsilon) * w["gamma"] + w["beta"]

    def attention(self, x, name):
        w = self.weights[name]
        query, key, value = (
            jnp.einsum("btd,dhk->bthk", x, w[which]) + w[f"{which}_bias"] for which in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhk,bthk->bhqt", query * (query.shape[-1] ** -0.5), key)
        mixed = jnp.einsum("bhqt,bthk->bqhk", jax.nn.softmax(scores), value)
        return jnp.einsum("bqhk,hkd->bqd", mixed, w["output"]) + w["output_bias"]

    def embedding(self, x, name):
        return self.weights[name]["table"][x]

    def tokens_and_positions(self, x, name):
        w = self.weights[name]
        return w["tokens"][x] + w["positions"]

    def lstm(self, x, name):
        w = self.weights[name]
        units = w["recurrent"].shape[0]

        def cell(state, gates_in):
            h, c = state
            i, f, g, o = jnp.split(gates_in + h @ w["recurrent"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = jnp.zeros((x.shape[0], units), x.dtype)
        (h, _), _ = lax.scan(cell, (start, start), jnp.swapaxes(x @ w["kernel"] + w["bias"], 0, 1))
        return h

    def gru(self, x, name):
        w = self.weights[name]
        units = w["recurrent"].shape[0]

        def cell(h, gates_in):
            xz, xr, xh = jnp.split(gates_in, 3, axis=-1)
            hz, hr, hh = jnp.split(h @ w["recurrent"] + w["bias"][1], 3, axis=-1)
            z, r = jax.nn.sigmoid(xz + hz), jax.nn.sigmoid(xr + hr)
            return z * h + (1 - z) * jnp.tanh(xh + r * hh), None

        start = jnp.zeros((x.shape[0], units), x.dtype)
        h, _ = lax.scan(cell, start, jnp.swapaxes(x @ w["kernel"] + w["bias"][0], 0, 1))
        return h

    def frames(self, x):
        return x.reshape(-1, *x.shape[2:])

    def series(self, x, steps):
        return x.reshape(-1, steps, *x.shape[1:])

    def add(self, a, b):
        return a + b

    def concat(self, a, b):
        return jnp.concatenate([a, b], axis=-1)

    def distance(self, a, b):
        return jnp.abs(a - b)

    def relu(self, x):
        return jax.nn.relu(x)

    def gelu(self, x):
        return jax.nn.gelu(x, approximate=False)

    def sigmoid(self, x):
        return jax.nn.sigmoid(x)

    def softmax(self, x):
        return jax.nn.softmax(x)

    def mean_over_time(self, x):
        return jnp.mean(x, 1)

    def dropout(self, x, rate):
        if not self.training:
            return x
        self.key, key = jax.random.split(self.key)
        return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0.0)


def loss(kind: str, z: Any, y: Any) -> Any:
    """Mean loss of logits (of values for "mse")."""
    if kind == "binary":
        return jnp.mean(jax.nn.softplus(z) - y * z)
    if kind == "categorical":
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), axis=-1))
    if kind == "sparse":
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=-1))
    return jnp.mean((z - y) ** 2)


def accuracy(kind: str, z: Any, y: Any) -> Any:
    """Share of rows that are right."""
    if kind == "binary":
        return jnp.mean((z > 0) == (y > 0.5))
    return jnp.mean(jnp.argmax(z, -1) == (y if kind == "sparse" else jnp.argmax(y, -1)))
