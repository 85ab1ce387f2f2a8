"""JAX written by hand for speed: one jitted call per epoch, `lax.scan` over its batches, donated state.

A workload with `SCAN = False` gets one jitted call per step instead.
Optimizers follow Keras 3, so that losses can be compared.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.contenders import common
from benchmarks.contenders.common import Plan
from benchmarks.nets import jax_net
from benchmarks.nets.jax_net import MOVING, JaxNet

Tree = dict[str, dict[str, Any]]


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


UPDATES = {"rmsprop": _rmsprop, "adam": _adam}


def _weights(workload: ModuleType) -> Tree:
    return {
        name: {part: jnp.asarray(array) for part, array in layer.arrays.items()}
        for name, layer in common.weights(workload).items()
    }


def start(workload: ModuleType) -> tuple[Any, ...]:
    """(params, moving averages, slots of the optimizer, step, key)."""
    weights = _weights(workload)
    params = {name: {k: v for k, v in layer.items() if k not in MOVING} for name, layer in weights.items()}
    moving = {name: {k: layer[k] for k in MOVING} for name, layer in weights.items() if MOVING[0] in layer}
    slots: Any = jax.tree.map(jnp.zeros_like, params)
    if workload.OPTIMIZER == "adam":
        slots = (slots, jax.tree.map(jnp.zeros_like, params))
    return params, moving, slots, jnp.int32(0), jax.random.key(common.SEED)


def make_step(workload: ModuleType):
    """Return the step: (state, x, y) -> state, loss, accuracy."""
    update, weighting = UPDATES[workload.OPTIMIZER], common.loss_weights(workload)

    def loss_of(params, moving, key, x, y):
        weights = {name: {**layer, **moving.get(name, {})} for name, layer in params.items()}
        net = JaxNet(weights, True, key)
        logits = workload.network(net, *x)
        losses = [jax_net.loss(*entry) for entry in zip(workload.LOSSES, logits, y, strict=True)]
        total = sum(weight * loss for weight, loss in zip(weighting, losses, strict=True))
        right = jax_net.accuracy(workload.LOSSES[0], logits[0], y[0]) if workload.ACCURACY else jnp.float32(0)
        return total, (right, net.moved)

    def step(state, x, y):
        params, moving, slots, count, key = state
        key, drop = jax.random.split(key)
        (loss, (right, moved)), grads = jax.value_and_grad(loss_of, has_aux=True)(params, moving, drop, x, y)
        params, slots = update(params, slots, grads, count)
        return (params, moved, slots, count + 1, key), loss, right

    return step


def make_epoch(workload: ModuleType, samples: int):
    """Return the epoch: (state, order of the rows, inputs, targets) -> state, mean loss, mean accuracy."""
    step, batch = make_step(workload), workload.BATCH
    full = samples // batch
    scanned = getattr(workload, "SCAN", True)

    def one(carry, rows, inputs, targets):
        state, loss_sum, right_sum = carry
        state, loss, right = step(state, [a[rows] for a in inputs], [a[rows] for a in targets])
        return state, loss_sum + loss * rows.shape[0], right_sum + right * rows.shape[0]

    jitted_one = jax.jit(one, donate_argnums=0)

    def epoch(state, order, inputs, targets):
        batches, rest = order[: full * batch].reshape(full, batch), order[full * batch :]
        carry = (state, jnp.float32(0), jnp.float32(0))
        if scanned:
            carry, _ = lax.scan(lambda c, rows: (one(c, rows, inputs, targets), None), carry, batches)
        else:
            for rows in batches:
                carry = jitted_one(carry, rows, inputs, targets)
        if len(rest):
            carry = (one if scanned else jitted_one)(carry, rest, inputs, targets)
        state, loss, right = carry
        return state, loss / samples, right / samples

    return jax.jit(epoch, donate_argnums=0) if scanned else epoch


def train(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, y = common.data(workload, plan.samples)
    inputs, targets = [jnp.asarray(a) for a in x], [jnp.asarray(a) for a in y]
    epoch = make_epoch(workload, plan.samples)
    permutation = jax.jit(lambda key: jax.random.permutation(key, plan.samples))
    state, number = start(workload), 0

    def run(epochs: int, shuffled: bool) -> float:
        nonlocal state, number
        for _ in range(epochs):
            number += 1
            order = permutation(jax.random.key(number)) if shuffled else jnp.arange(plan.samples)
            state, loss, accuracy = epoch(state, order, inputs, targets)
            last, _ = float(loss), float(accuracy)  # a user sees the metrics after each epoch
        jax.block_until_ready(state[0])
        return last

    return common.time_training(workload, plan, run)


def _predictor(workload: ModuleType):
    """One jitted call: inputs -> activated outputs as NumPy arrays."""

    @jax.jit
    def forward(weights, *x):
        net = JaxNet(weights)
        finish = {"binary": net.sigmoid, "mse": lambda z: z}
        return [
            finish.get(kind, net.softmax)(z) for kind, z in zip(workload.LOSSES, workload.network(net, *x), strict=True)
        ]

    weights = _weights(workload)
    return lambda *x: [np.asarray(output) for output in forward(weights, *x)]


def predict(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, plan.samples)
    return common.time_predict(plan, common.in_batches(x, _predictor(workload)))


def row(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, 1)
    call = _predictor(workload)
    return common.time_row(plan, lambda: call(*x))


def first_step(contender: str, workload: ModuleType) -> None:
    x, y = common.data(workload, workload.BATCH)
    jax.block_until_ready(jax.jit(make_step(workload), donate_argnums=0)(start(workload), x, y))
