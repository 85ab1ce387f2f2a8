"""Two inputs, two outputs, an embedding of 10,000 words and an LSTM over 100 of them: gather, scan, scatter."""

from __future__ import annotations

import numpy as np

from benchmarks.workloads.arrays import dense, glorot

BATCH, SAMPLES, EPOCHS, OPTIMIZER = 32, 640, 3, "rmsprop"
WORDS, LENGTH, WIDTH, UNITS = 10_000, 100, 512, 32
AUX_WEIGHT = 0.2


def data(rng, samples):
    words = rng.integers(1, WORDS, (samples, LENGTH), dtype=np.int32)
    extra = rng.standard_normal((samples, 5)).astype(np.float32)
    y = rng.integers(0, 2, (samples, 1)).astype(np.float32)
    return [words, extra], [y, y]


def build_keras(keras):
    main_input = keras.layers.Input(shape=(LENGTH,), dtype="int32", name="main_input")
    x = keras.layers.Embedding(output_dim=WIDTH, input_dim=WORDS)(main_input)
    lstm = keras.layers.LSTM(UNITS)(x)
    aux_output = keras.layers.Dense(1, activation="sigmoid", name="aux_output")(lstm)
    aux_input = keras.layers.Input(shape=(5,), name="aux_input")
    x = keras.layers.concatenate([lstm, aux_input])
    for _ in range(3):
        x = keras.layers.Dense(64, activation="relu")(x)
    main_output = keras.layers.Dense(1, activation="sigmoid", name="main_output")(x)
    model = keras.Model([main_input, aux_input], [main_output, aux_output])
    losses = ["binary_crossentropy", "binary_crossentropy"]
    model.compile(optimizer="rmsprop", loss=losses, loss_weights=[1.0, AUX_WEIGHT])
    return model


def init_jax(rng):
    bias = np.zeros(4 * UNITS, np.float32)
    bias[UNITS : 2 * UNITS] = 1.0  # forget gate
    recurrent, _ = np.linalg.qr(rng.standard_normal((4 * UNITS, UNITS)))
    return {
        "table": rng.uniform(-0.05, 0.05, (WORDS, WIDTH)).astype(np.float32),
        "lstm": {"w": glorot(rng, WIDTH, 4 * UNITS), "u": recurrent.T.astype(np.float32).copy(), "b": bias},
        "aux": dense(rng, UNITS, 1),
        "dense": [dense(rng, UNITS + 5, 64), dense(rng, 64, 64), dense(rng, 64, 64)],
        "main": dense(rng, 64, 1),
    }


def _lstm(params, x):
    """x: f32[B, T, F] -> f32[B, UNITS]; the product with the inputs is taken out of the loop."""
    import jax
    import jax.numpy as jnp

    gates_x = jnp.swapaxes(x @ params["w"] + params["b"], 0, 1)

    def cell(state, gates_in):
        h, c = state
        i, f, g, o = jnp.split(gates_in + h @ params["u"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((x.shape[0], UNITS), x.dtype)
    (h, _), _ = jax.lax.scan(cell, (zeros, zeros), gates_x)
    return h


def forward_jax(params, inputs, targets, key):
    import jax
    import jax.numpy as jnp

    words, extra = inputs
    h = _lstm(params["lstm"], params["table"][words])
    aux = h @ params["aux"]["w"] + params["aux"]["b"]
    x = jnp.concatenate([h, extra], axis=1)
    for layer in params["dense"]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    main = x @ params["main"]["w"] + params["main"]["b"]

    def loss(z, y):
        return jnp.mean(jax.nn.softplus(z) - y * z)

    return loss(main, targets[0]) + AUX_WEIGHT * loss(aux, targets[1]), None


def build_torch(torch):
    nn = torch.nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(WORDS, WIDTH)
            self.lstm = nn.LSTM(WIDTH, UNITS, batch_first=True)
            self.aux = nn.Linear(UNITS, 1)
            sizes = [(UNITS + 5, 64), (64, 64), (64, 64)]
            self.dense = nn.ModuleList(nn.Linear(*size) for size in sizes)
            self.main = nn.Linear(64, 1)
            nn.init.uniform_(self.table.weight, -0.05, 0.05)

        def forward(self, words, extra):
            _, (h, _) = self.lstm(self.table(words))
            h = h[0]
            x = torch.cat([h, extra], dim=1)
            for layer in self.dense:
                x = torch.relu(layer(x))
            return self.main(x), self.aux(h)

    def loss(outputs, targets):
        bce = nn.functional.binary_cross_entropy_with_logits
        return bce(outputs[0], targets[0]) + AUX_WEIGHT * bce(outputs[1], targets[1]), None

    return Network(), loss
