"""Steps that a model writes itself, against the same arithmetic written for JAX and differentiated by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph import layers, metrics, ops, optimizers

jax = pytest.importorskip("jax")
jnp = jax.numpy

RATE = 0.1


def dense(units: int, activation: str | None = None) -> Any:
    return layers.Dense(units, activation=activation)


def net(inputs: int, *sizes: int, last: str | None = None) -> Any:
    """A small network with tanh between its layers."""
    return kgraph.Sequential(
        [kgraph.Input((inputs,)), *(dense(size, "tanh") for size in sizes[:-1]), dense(sizes[-1], last)]
    )


def apply(weights: list[Any], x: Any, last: Callable[[Any], Any] = lambda x: x) -> Any:
    """What `net` computes, for JAX."""
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2]):
        x = jnp.tanh(x @ kernel + bias)
    return last(x @ weights[-2] + weights[-1])


def descend(loss: Callable[..., Any], weights: list[Any], *args: Any) -> tuple[float, list[Any]]:
    value, grads = jax.value_and_grad(loss)(weights, *args)
    return float(value), [w - RATE * g for w, g in zip(weights, grads)]


def arrays(model: Any) -> list[Any]:
    return [jnp.asarray(weight) for weight in model.get_weights()]


def agree(model: Any, weights: list[Any], tolerance: float = 2e-5) -> None:
    for have, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance)


# -- GAN: two optimizers, two backward passes, the second through weights that the first has moved --------------------
class Gan(kgraph.Model):
    def __init__(self, discriminator: Any, generator: Any) -> None:
        super().__init__()
        self.discriminator, self.generator = discriminator, generator

    def compile(self, d_optimizer: Any, g_optimizer: Any, loss_fn: Any) -> None:
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn
        self.d_loss_metric, self.g_loss_metric = metrics.Mean(name="d_loss"), metrics.Mean(name="g_loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.d_loss_metric, self.g_loss_metric]

    def train_step(self, data: Any) -> dict[str, Any]:
        real, noise = data
        count = ops.shape(real)[0]
        labels = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))], axis=0)
        with kgraph.GradientTape() as tape:
            combined = ops.concatenate([self.generator(noise), real], axis=0)
            d_loss = self.loss_fn(labels, self.discriminator(combined))
        grads = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(zip(grads, self.discriminator.trainable_weights))
        with kgraph.GradientTape() as tape:
            g_loss = self.loss_fn(ops.zeros((count, 1)), self.discriminator(self.generator(noise)))
        grads = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(grads, self.generator.trainable_weights))
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


def test_gan(rng: np.random.Generator) -> None:
    real = rng.normal(size=(24, 3)).astype("float32")
    noise = rng.normal(size=(24, 2)).astype("float32")
    gan = Gan(net(3, 8, 1, last="sigmoid"), net(2, 8, 3))
    d, g = arrays(gan.discriminator), arrays(gan.generator)
    gan.compile(optimizers.SGD(RATE), optimizers.SGD(RATE), kgraph.losses.BinaryCrossentropy())
    history = gan.fit(real, noise, batch_size=8, epochs=3, shuffle=False, verbose=0).history

    def bce(target: Any, p: Any) -> Any:
        return -jnp.mean(target * jnp.log(p) + (1 - target) * jnp.log(1 - p))

    def d_loss(d: Any, g: Any, real: Any, noise: Any) -> Any:
        both = jnp.concatenate([apply(g, noise), real])
        target = jnp.concatenate([jnp.ones((len(real), 1)), jnp.zeros((len(real), 1))])
        return bce(target, apply(d, both, jax.nn.sigmoid))

    def g_loss(g: Any, d: Any, noise: Any) -> Any:
        return bce(jnp.zeros((len(noise), 1)), apply(d, apply(g, noise), jax.nn.sigmoid))

    for epoch in range(3):
        d_values, g_values = [], []
        for k in range(0, 24, 8):
            value, d = descend(d_loss, d, g, real[k : k + 8], noise[k : k + 8])
            d_values.append(value)
            value, g = descend(g_loss, g, d, noise[k : k + 8])
            g_values.append(value)
        np.testing.assert_allclose(history["d_loss"][epoch], np.mean(d_values), rtol=1e-4)
        np.testing.assert_allclose(history["g_loss"][epoch], np.mean(g_values), rtol=1e-4)
    agree(gan.discriminator, d)
    agree(gan.generator, g)
    assert list(history) == ["d_loss", "g_loss"]


# -- VAE: a loss of its own, kept in metrics that the model's attributes hold ------------------------------------------
class Vae(kgraph.Model):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = net(6, 8, 4), net(2, 8, 6)
        self.total = metrics.Mean(name="loss")
        self.kl = metrics.Mean(name="kl_loss")

    def call(self, inputs: Any) -> Any:
        return self.decoder(self.encoder(inputs)[:, :2])

    def train_step(self, data: Any) -> dict[str, Any]:
        x, noise = data
        with kgraph.GradientTape() as tape:
            mean, log_var = ops.split(self.encoder(x), 2, axis=-1)
            z = mean + ops.exp(0.5 * log_var) * noise
            reconstruction = ops.mean(ops.sum(ops.square(x - self.decoder(z)), axis=-1))
            kl = -0.5 * ops.mean(ops.sum(1 + log_var - ops.square(mean) - ops.exp(log_var), axis=1))
            loss = reconstruction + kl
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights))
        self.total.update_state(loss)
        self.kl.update_state(kl)
        return {metric.name: metric.result() for metric in (self.total, self.kl)}


def test_vae(rng: np.random.Generator) -> None:
    x, noise = rng.normal(size=(16, 6)).astype("float32"), rng.normal(size=(16, 2)).astype("float32")
    vae = Vae()
    weights = arrays(vae.encoder) + arrays(vae.decoder)
    vae.compile(optimizers.SGD(RATE))
    history = vae.fit(x, noise, batch_size=8, epochs=2, shuffle=False, verbose=0).history

    def loss(weights: Any, x: Any, noise: Any) -> Any:
        mean, log_var = jnp.split(apply(weights[:4], x), 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_var) * noise
        reconstruction = jnp.mean(jnp.sum((x - apply(weights[4:], z)) ** 2, axis=-1))
        return reconstruction - 0.5 * jnp.mean(jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var), axis=1))

    for epoch in range(2):
        values = []
        for k in (0, 8):
            value, weights = descend(loss, weights, x[k : k + 8], noise[k : k + 8])
            values.append(value)
        np.testing.assert_allclose(history["loss"][epoch], np.mean(values), rtol=1e-4)
    agree(vae, weights)


# -- gradient penalty: a derivative with respect to a tensor, inside a loss --------------------------------------------
class Penalised(kgraph.Model):
    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with kgraph.GradientTape() as outer:
            middle = 0.5 * (x + y)
            with kgraph.GradientTape() as inner:
                inner.watch(middle)
                score = self(middle)
            (slope,) = inner.gradient(score, [middle])
            norm = ops.sqrt(ops.sum(ops.square(slope), axis=1))
            loss = ops.mean(self(y)) - ops.mean(self(x)) + 10.0 * ops.mean(ops.square(norm - 1.0))
        grads = outer.gradient(loss, self.trainable_variables)
        self.optimizer.apply(grads, self.trainable_variables)
        return {"loss": loss}


def test_gradient_penalty(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(8, 3)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    inputs = kgraph.Input((3,))
    model = Penalised(inputs, dense(1)(dense(8, "tanh")(inputs)))
    weights = arrays(model)
    model.compile(optimizers.SGD(RATE * 0.1))
    got = [model.train_on_batch(x, y) for _ in range(3)]

    def loss(weights: Any, x: Any, y: Any) -> Any:
        slope = jax.grad(lambda each: jnp.sum(apply(weights, each)))(0.5 * (x + y))
        norm = jnp.sqrt(jnp.sum(slope**2, axis=1))
        return jnp.mean(apply(weights, y)) - jnp.mean(apply(weights, x)) + 10.0 * jnp.mean((norm - 1.0) ** 2)

    for value in got:
        want, grads = jax.value_and_grad(loss)(weights, x, y)
        np.testing.assert_allclose(value, want, rtol=1e-4)
        weights = [w - RATE * 0.1 * g for w, g in zip(weights, grads)]
    agree(model, weights)


# -- contrastive: both views of a batch against each other -------------------------------------------------------------
class Contrastive(kgraph.Model):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = net(4, 8, 5)

    def train_step(self, data: Any) -> dict[str, Any]:
        (first, second), _, _ = kgraph.utils.unpack_x_y_sample_weight(data)
        a, b = ops.normalize(self.encoder(first), axis=1), ops.normalize(self.encoder(second), axis=1)
        scores = ops.matmul(a, ops.transpose(b)) / 0.2
        row = ops.arange(ops.shape(a)[0])
        same = ops.cast(ops.equal(ops.expand_dims(row, 1), ops.expand_dims(row, 0)), "float32")
        loss = -ops.mean(ops.sum(same * ops.log_softmax(scores), axis=1))
        self.optimizer.apply(kgraph.gradients(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss}


def test_contrastive(rng: np.random.Generator) -> None:
    first = rng.normal(size=(8, 4)).astype("float32")
    second = (first + 0.1 * rng.normal(size=(8, 4))).astype("float32")
    model = Contrastive()
    weights = arrays(model.encoder)
    model.compile(optimizers.SGD(RATE))
    history = model.fit([first, second], batch_size=8, epochs=4, verbose=0, shuffle=False).history["loss"]

    def loss(weights: Any) -> Any:
        a, b = apply(weights, first), apply(weights, second)
        a, b = a / jnp.linalg.norm(a, axis=1, keepdims=True), b / jnp.linalg.norm(b, axis=1, keepdims=True)
        return -jnp.mean(jnp.diag(jax.nn.log_softmax(a @ b.T / 0.2)))

    for value in history:
        want, weights = descend(loss, weights)
        np.testing.assert_allclose(value, want, rtol=1e-4)
    agree(model.encoder, weights, 1e-4)


# -- a derivative in `call`: the residual of a differential equation --------------------------------------------------
class Residual(kgraph.Model):
    def __init__(self) -> None:
        super().__init__()
        self.u = net(1, 8, 1)

    def call(self, x: Any) -> Any:
        u = self.u(x)
        slope = kgraph.gradients(u, x)
        return kgraph.gradients(slope, x) + u


def test_second_derivative_in_call(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, size=(16, 1)).astype("float32")
    model = Residual()
    weights = arrays(model.u)

    def residual(weights: Any, x: Any) -> Any:
        u = lambda each: apply(weights, each.reshape(1, 1))[0, 0]  # noqa: E731
        return jax.vmap(lambda each: jax.grad(jax.grad(u))(each) + u(each))(x[:, 0])[:, None]

    np.testing.assert_allclose(model(x), residual(weights, x), rtol=1e-4, atol=1e-5)
    model.compile(optimizers.SGD(RATE), "mse")
    np.testing.assert_allclose(model.predict(x, verbose=0), residual(weights, x), rtol=1e-4, atol=1e-5)
    history = model.fit(x, np.zeros_like(x), batch_size=16, epochs=3, verbose=0, shuffle=False).history["loss"]
    for value in history:
        want, weights = descend(lambda weights: jnp.mean(residual(weights, x) ** 2), weights)
        np.testing.assert_allclose(value, want, rtol=1e-3)
    agree(model.u, weights, 1e-4)
