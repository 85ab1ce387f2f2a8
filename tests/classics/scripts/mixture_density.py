"""Several answers to one question: a mixture density network with a loss of its own (Keras 3)."""

import math

import keras
import numpy as np
from keras import layers, ops

components = 4
rng = np.random.default_rng(0)
y = rng.uniform(-1, 1, (256, 1)).astype("float32")
x = (y + 0.3 * np.sin(6 * y) + rng.normal(0, 0.03, y.shape)).astype("float32")


def mixture_nll(y_true, parameters):
    logits, means, log_scales = ops.split(parameters, 3, axis=-1)
    z = (y_true - means) / ops.exp(log_scales)
    log_normal = -0.5 * ops.square(z) - log_scales - 0.5 * math.log(2 * math.pi)
    return -ops.logsumexp(ops.log_softmax(logits, axis=-1) + log_normal, axis=-1)


def mean_error(y_true, parameters):
    logits, means, _ = ops.split(parameters, 3, axis=-1)
    return ops.abs(y_true[:, 0] - ops.sum(ops.softmax(logits) * means, axis=-1))


model = keras.Sequential(
    [keras.Input((1,)), layers.Dense(24, "tanh"), layers.Dense(24, "tanh"), layers.Dense(3 * components)]
)
model.compile(keras.optimizers.Adam(0.01), loss=mixture_nll, metrics=[mean_error])
history = model.fit(x, y, batch_size=64, epochs=5)
predictions = model.predict(x[:7])
