"""JAX written by hand for speed: one jitted call per epoch, `lax.scan` over its batches, donated state.

A workload with `SCAN = False` gets one jitted call per step instead.
Optimizers follow Keras 3, so that losses can be compared.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.contenders import common


def _rmsprop(params, state, grads, step):
    state = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g * g, state, grads)
    return jax.tree.map(lambda p, g, v: p - 1e-3 * g / jnp.sqrt(v + 1e-7), params, grads, state), state


def _adam(params, state, grads, step):
    m, v = state
    t = (step + 1).astype(jnp.float32)
    rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), params, m, v), (m, v)


def make_epoch(workload: ModuleType, samples: int):
    """Return the epoch: (params, slots, step, key, inputs, targets) -> the same four, mean loss, mean accuracy."""
    update = {"rmsprop": _rmsprop, "adam": _adam}[workload.OPTIMIZER]
    batch = workload.BATCH
    full = samples // batch
    scanned = getattr(workload, "SCAN", True)

    def one(carry, rows, inputs, targets):
        params, slots, step, key, loss_sum, right = carry
        key, drop = jax.random.split(key)
        x, y = [a[rows] for a in inputs], [a[rows] for a in targets]
        value = jax.value_and_grad(lambda p: workload.forward_jax(p, x, y, drop), has_aux=True)
        (loss, accuracy), grads = value(params)
        params, slots = update(params, slots, grads, step)
        size = rows.shape[0]
        right = right if accuracy is None else right + accuracy * size
        return (params, slots, step + 1, key, loss_sum + loss * size, right)

    def shuffled(key):
        key, shuffle = jax.random.split(key)
        order = jax.random.permutation(shuffle, samples)
        return key, order[: full * batch].reshape(full, batch), order[full * batch :]

    def epoch(params, slots, step, key, inputs, targets):
        key, batches, rest = shuffled(key)
        carry = (params, slots, step, key, jnp.float32(0), jnp.float32(0))
        if scanned:
            carry, _ = lax.scan(lambda c, r: (one(c, r, inputs, targets), None), carry, batches)
        else:
            for rows in batches:
                carry = jitted_one(carry, rows, inputs, targets)
        if len(rest):
            last = one if scanned else jitted_one
            carry = last(carry, rest, inputs, targets)
        params, slots, step, key, loss, right = carry
        return params, slots, step, key, loss / samples, right / samples

    jitted_one = jax.jit(one, donate_argnums=0)
    return jax.jit(epoch, donate_argnums=(0, 1)) if scanned else epoch


def start(workload: ModuleType):
    params = jax.tree.map(jnp.asarray, workload.init_jax(np.random.default_rng(common.SEED)))
    zeros = jax.tree.map(jnp.zeros_like, params)
    slots = (zeros, jax.tree.map(jnp.zeros_like, params)) if workload.OPTIMIZER == "adam" else zeros
    return params, slots, jnp.int32(0), jax.random.key(common.SEED)


def train(workload: ModuleType, epochs: int, samples: int) -> dict[str, Any]:
    x, y = common.data(workload, samples)
    inputs, targets = [jnp.asarray(a) for a in x], [jnp.asarray(a) for a in y]
    epoch = make_epoch(workload, samples)
    *state, first, _ = epoch(*start(workload), inputs, targets)
    jax.block_until_ready(state[0])
    begin = time.perf_counter()
    for _ in range(epochs):
        *state, last, accuracy = epoch(*state, inputs, targets)
        float(last), float(accuracy)  # a user sees the metrics after each epoch
    jax.block_until_ready(state[0])
    seconds = time.perf_counter() - begin
    return common.report(first, last, seconds, epochs * common.steps(workload, samples))


def predict_one(workload: ModuleType, calls: int) -> dict[str, Any]:
    params = jax.tree.map(jnp.asarray, workload.init_jax(np.random.default_rng(common.SEED)))
    predict = jax.jit(workload.predict_jax)
    (x,), _ = common.data(workload, 1)
    return common.time_calls(lambda: np.asarray(predict(params, x)), calls)
