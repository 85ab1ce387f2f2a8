"""A small binary classifier, 100-32-1: here a step is a few microseconds of arithmetic, the rest is overhead."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense

BATCH, SAMPLES, EPOCHS, OPTIMIZER = 32, 1000, 100, "rmsprop"


def data(rng, samples):
    x = rng.standard_normal((samples, 100)).astype(np.float32)
    y = (x @ rng.standard_normal((100, 1)) > 0).astype(np.float32)
    return [x], [y]


def build_keras(keras):
    model = keras.Sequential(
        [
            keras.layers.Input(shape=(100,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def init_jax(rng):
    return [dense(rng, 100, 32), dense(rng, 32, 1)]


def _logits(params, x):
    import jax

    hidden, head = params
    return jax.nn.relu(x @ hidden["w"] + hidden["b"]) @ head["w"] + head["b"]


def predict_jax(params, x):
    import jax

    return jax.nn.sigmoid(_logits(params, x))


def forward_jax(params, inputs, targets, key):
    import jax
    import jax.numpy as jnp

    z, y = _logits(params, inputs[0]), targets[0]
    loss = jnp.mean(jax.nn.softplus(z) - y * z)
    return loss, jnp.mean((z > 0) == (y > 0.5))


def build_torch(torch):
    model = torch.nn.Sequential(torch.nn.Linear(100, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))

    def loss(z, targets):
        value = torch.nn.functional.binary_cross_entropy_with_logits(z, targets[0])
        return value, ((z > 0) == (targets[0] > 0.5)).float().mean()

    return model, loss
