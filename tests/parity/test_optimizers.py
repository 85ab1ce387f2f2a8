"""Optimizers and schedules against Keras on JAX: twenty steps on given gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import assert_close, keras, kgraph

pytestmark = pytest.mark.parity

Make = Callable[[Any], Any]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda m: m.SGD(),
    "sgd_momentum": lambda m: m.SGD(0.05, momentum=0.9),
    "sgd_nesterov": lambda m: m.SGD(0.05, momentum=0.8, nesterov=True),
    "sgd_decay": lambda m: m.SGD(0.1, weight_decay=0.1),
    "rmsprop": lambda m: m.RMSprop(0.01),
    "rmsprop_momentum": lambda m: m.RMSprop(0.01, rho=0.8, momentum=0.9),
    "rmsprop_centered": lambda m: m.RMSprop(0.01, centered=True, epsilon=1e-3),
    "adagrad": lambda m: m.Adagrad(0.1),
    "adagrad_start": lambda m: m.Adagrad(0.1, initial_accumulator_value=0.5, epsilon=1e-2),
    "adadelta": lambda m: m.Adadelta(1.0),
    "adam": lambda m: m.Adam(0.01),
    "adam_betas": lambda m: m.Adam(0.01, beta_1=0.7, beta_2=0.95, epsilon=1e-3),
    "adam_amsgrad": lambda m: m.Adam(0.01, amsgrad=True),
    "adamw": lambda m: m.AdamW(0.01, weight_decay=0.1),
    "adamax": lambda m: m.Adamax(0.01),
    "nadam": lambda m: m.Nadam(0.01),
    "lion": lambda m: m.Lion(0.01),
    "clipnorm": lambda m: m.SGD(0.1, clipnorm=0.5),
    "clipvalue": lambda m: m.Adam(0.1, clipvalue=0.1),
    "global_clipnorm": lambda m: m.SGD(0.1, momentum=0.5, global_clipnorm=0.7),
    "schedule": lambda m: m.SGD(m.schedules.ExponentialDecay(0.1, 5, 0.5)),
    "schedule_adam": lambda m: m.Adam(m.schedules.PiecewiseConstantDecay([3, 9], [0.1, 0.02, 0.001])),
    "accumulate": lambda m: m.Adam(0.05, gradient_accumulation_steps=3, clipnorm=0.9),
    "accumulate_schedule": lambda m: m.SGD(
        m.schedules.ExponentialDecay(0.1, 5, 0.5), momentum=0.9, gradient_accumulation_steps=4, weight_decay=0.1
    ),
    "ema": lambda m: m.RMSprop(0.05, use_ema=True, ema_momentum=0.8),
    "ema_overwrite": lambda m: m.Adam(0.05, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "ema_accumulate": lambda m: m.SGD(0.05, use_ema=True, ema_momentum=0.7, gradient_accumulation_steps=2),
    "nadam_accumulate": lambda m: m.Nadam(0.05, gradient_accumulation_steps=2),
    "ftrl": lambda m: m.Ftrl(0.1),
    "ftrl_strengths": lambda m: m.Ftrl(
        0.1,
        learning_rate_power=-0.4,
        l1_regularization_strength=0.05,
        l2_regularization_strength=0.1,
        l2_shrinkage_regularization_strength=0.2,
        beta=0.3,
    ),
    "lamb": lambda m: m.Lamb(0.01, weight_decay=0.1),
    "adafactor": lambda m: m.Adafactor(0.1),
    "adafactor_absolute": lambda m: m.Adafactor(0.1, relative_step=False, clip_threshold=0.5, weight_decay=0.1),
    "muon": lambda m: m.Muon(0.01),
    "muon_plain": lambda m: m.Muon(0.01, nesterov=False, rms_rate=None, weight_decay=None, adam_lr_ratio=0.5),
    "schedule_free": lambda m: m.ScheduleFreeAdamW(0.05),
    "schedule_free_warmup": lambda m: m.ScheduleFreeAdamW(0.05, warmup_steps=7, weight_decay=0.1),
    "loss_scale": lambda m: m.SGD(0.1, loss_scale_factor=4.0),
}


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_twenty_steps(case: str, rng: np.random.Generator) -> None:
    first = [rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=(4,)).astype("float32")]
    ours, theirs = OPTIMIZERS[case](kgraph.optimizers), OPTIMIZERS[case](keras.optimizers)
    mine = [kgraph.optimizers.optimizer.Variable(value, name=f"w{i}") for i, value in enumerate(first)]
    other = [keras.Variable(value) for value in first]
    ours.build(mine)
    theirs.build(other)
    for _ in range(20):
        gradients = [rng.normal(size=value.shape).astype("float32") for value in first]
        ours.apply(gradients, mine)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients], other)
    assert int(ours.iterations) == int(theirs.iterations)
    for a, b in zip(mine, other, strict=True):
        assert_close(a.numpy(), b.numpy(), rtol=1e-4, atol=2e-5)


def test_constraints_run_after_the_step(rng: np.random.Generator) -> None:
    weight = kgraph.optimizers.optimizer.Variable(
        rng.normal(size=(5, 3)).astype("float32"), name="w", constraint=kgraph.constraints.UnitNorm()
    )
    kgraph.optimizers.SGD(0.3).apply([rng.normal(size=(5, 3)).astype("float32")], [weight])
    assert_close(np.linalg.norm(weight.numpy(), axis=0), np.ones(3, "float32"))


def test_learning_rate_can_be_assigned(rng: np.random.Generator) -> None:
    ours, theirs = kgraph.optimizers.SGD(0.1, momentum=0.9), keras.optimizers.SGD(0.1, momentum=0.9)
    start = rng.normal(size=3).astype("float32")
    mine, other = kgraph.optimizers.optimizer.Variable(start, name="w"), keras.Variable(start)
    for rate in (0.1, 0.01, 1.0):
        ours.learning_rate = rate
        theirs.learning_rate = rate
        gradient = rng.normal(size=3).astype("float32")
        ours.apply([gradient], [mine])
        theirs.apply([keras.ops.convert_to_tensor(gradient)], [other])
    assert_close(mine.numpy(), other.numpy())
    assert float(ours.learning_rate) == 1.0


def test_decay_of_keras_2() -> None:
    weight = kgraph.optimizers.optimizer.Variable(np.zeros(1, "float32"), name="w")
    optimizer = kgraph.optimizers.SGD(lr=0.5, decay=1.0)
    for _ in range(3):
        optimizer.apply([np.ones(1, "float32")], [weight])
    assert_close(weight.numpy(), np.array([-(0.5 + 0.25 + 0.5 / 3)], "float32"))


SCHEDULES: dict[str, Make] = {
    "exponential": lambda s: s.ExponentialDecay(0.1, 7, 0.6),
    "exponential_staircase": lambda s: s.ExponentialDecay(0.1, 7, 0.6, staircase=True),
    "inverse": lambda s: s.InverseTimeDecay(0.1, 7, 0.6),
    "inverse_staircase": lambda s: s.InverseTimeDecay(0.1, 7, 0.6, staircase=True),
    "piecewise": lambda s: s.PiecewiseConstantDecay([5, 12], [0.1, 0.05, 0.01]),
    "polynomial": lambda s: s.PolynomialDecay(0.1, 10, power=2.0),
    "polynomial_linear": lambda s: s.PolynomialDecay(0.1, 10, 0.01),
    "polynomial_cycle": lambda s: s.PolynomialDecay(0.1, 7, 0.01, cycle=True),
    "cosine": lambda s: s.CosineDecay(0.1, 15, alpha=0.1),
    "cosine_warmup": lambda s: s.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=5),
    "cosine_restarts": lambda s: s.CosineDecayRestarts(0.1, 5, t_mul=2.0, m_mul=0.8, alpha=0.01),
    "cosine_restarts_equal": lambda s: s.CosineDecayRestarts(0.1, 5, t_mul=1.0),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_schedule(case: str) -> None:
    ours, theirs = SCHEDULES[case](kgraph.optimizers.schedules), SCHEDULES[case](keras.optimizers.schedules)
    for step in (0, 1, 4, 5, 6, 7, 11, 12, 13, 14, 20):
        assert_close(ours(np.int64(step)), theirs(step), rtol=1e-5, atol=1e-7)
    config = ours.get_config()
    again = kgraph.optimizers.schedules.deserialize(kgraph.optimizers.schedules.serialize(ours))
    assert again.get_config() == config
    assert {key: config[key] for key in theirs.get_config()} == theirs.get_config()


def test_config_makes_an_equal_optimizer() -> None:
    for make in OPTIMIZERS.values():
        optimizer = make(kgraph.optimizers)
        again = kgraph.optimizers.deserialize(kgraph.optimizers.serialize(optimizer))
        assert again.get_config() == optimizer.get_config()
