"""A ten-class classifier, 784-64-64-10: small matrix products, batch 128."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, one_hot

BATCH, SAMPLES, EPOCHS, OPTIMIZER = 128, 12800, 10, "rmsprop"


def data(rng, samples):
    x = rng.random((samples, 784), dtype=np.float32)
    labels = np.argmax(x @ rng.standard_normal((784, 10)), axis=1)
    return [x], [one_hot(labels, 10)]


def build_keras(keras):
    inputs = keras.layers.Input(shape=(784,))
    x = keras.layers.Dense(64, activation="relu")(inputs)
    x = keras.layers.Dense(64, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def init_jax(rng):
    return [dense(rng, 784, 64), dense(rng, 64, 64), dense(rng, 64, 10)]


def forward_jax(params, inputs, targets, key):
    import jax
    import jax.numpy as jnp

    x, y = inputs[0], targets[0]
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    z = x @ params[-1]["w"] + params[-1]["b"]
    loss = -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), axis=1))
    return loss, jnp.mean(jnp.argmax(z, 1) == jnp.argmax(y, 1))


def build_torch(torch):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def loss(z, targets):
        value = nn.functional.cross_entropy(z, targets[0])
        return value, (z.argmax(1) == targets[0].argmax(1)).float().mean()

    return model, loss
