"""Two convolutions, pooling, dropout and two dense layers on 28x28 pictures: arithmetic counts here, not overhead."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, one_hot

BATCH, SAMPLES, EPOCHS, OPTIMIZER = 128, 1280, 2, "adam"
SCAN = False  # inside a loop XLA runs convolutions on the CPU some twenty times slower: one call per step is JAX's best


def data(rng, samples):
    x = rng.random((samples, 28, 28, 1), dtype=np.float32)
    return [x], [one_hot(rng.integers(0, 10, samples), 10)]


def build_keras(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def init_jax(rng):
    return [dense(rng, 3, 3, 1, 32), dense(rng, 3, 3, 32, 64), dense(rng, 12 * 12 * 64, 128), dense(rng, 128, 10)]


def forward_jax(params, inputs, targets, key):
    import jax
    import jax.numpy as jnp
    from jax import lax

    x, y = inputs[0], targets[0]
    conv1, conv2, hidden, head = params
    first, second = jax.random.split(key)
    for layer in (conv1, conv2):
        x = lax.conv_general_dilated(x, layer["w"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + layer["b"])
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jnp.where(jax.random.bernoulli(first, 0.75, x.shape), x / 0.75, 0.0)
    x = jax.nn.relu(x.reshape(x.shape[0], -1) @ hidden["w"] + hidden["b"])
    x = jnp.where(jax.random.bernoulli(second, 0.5, x.shape), x / 0.5, 0.0)
    z = x @ head["w"] + head["b"]
    loss = -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), axis=1))
    return loss, jnp.mean(jnp.argmax(z, 1) == jnp.argmax(y, 1))


def build_torch(torch):
    nn = torch.nn

    class ToChannelsFirst(nn.Module):
        def forward(self, x):
            return x.permute(0, 3, 1, 2)

    model = nn.Sequential(
        ToChannelsFirst(),
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )

    def loss(z, targets):
        value = nn.functional.cross_entropy(z, targets[0])
        return value, (z.argmax(1) == targets[0].argmax(1)).float().mean()

    return model, loss
