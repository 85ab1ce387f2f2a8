"""Learning rates that depend on the step.  Called with the step they work on numbers, arrays and inside a trace."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kgraph import ops
from kgraph.errors import InvalidArgumentError
from kgraph.registry import Registry, serialize

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


class LearningRateSchedule:
    """Base of the schedules.  `__call__(step)` gives the learning rate of step 0, 1, 2, ..."""

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of this step."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal schedule."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_config()")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)


def _steps(value: Any, name: str) -> Any:
    if value <= 0:
        raise InvalidArgumentError(f"argument `{name}` is {value!r}", needed="more than 0")
    return value


def _float(step: Any) -> Any:
    return ops.cast(step, "float32")


class ExponentialDecay(LearningRateSchedule):
    """initial · rate^(step / decay_steps); `staircase` rounds the exponent down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(decay_steps, "decay_steps")
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of this step."""
        done = _float(step) / float(self.decay_steps)
        if self.staircase:
            done = ops.floor(done)
        return ops.power(float(self.decay_rate), done) * self.initial_learning_rate

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + rate · step / decay_steps); `staircase` rounds step / decay_steps down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(decay_steps, "decay_steps")
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of this step."""
        done = _float(step) / float(self.decay_steps)
        if self.staircase:
            done = ops.floor(done)
        return self.initial_learning_rate / (done * float(self.decay_rate) + 1.0)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and with step boundaries[i], values[-1] after the last."""

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise InvalidArgumentError(
                "argument `values` must have one entry more than `boundaries`",
                got=f"{len(boundaries)} boundaries, {len(values)} values",
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of this step."""
        step = _float(step)
        rate: Any = float(self.values[-1])
        for boundary, value in zip(reversed(self.boundaries), reversed(self.values[:-1])):
            rate = ops.where(ops.less_equal(step, float(boundary)), float(value), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal schedule."""
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) · (1 - step / decay_steps)^power + end; `cycle` stretches decay_steps instead of stopping."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(decay_steps, "decay_steps")
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of this step."""
        step, length = _float(step), float(self.decay_steps)
        if self.cycle:
            done = step / (ops.maximum(ops.ceil(step / length), 1.0) * length)
        else:
            done = ops.minimum(step, length) / length
        left = 1.0 - done
        if self.power != 1.0:
            left = ops.power(left, float(self.power))
        return left * (self.initial_learning_rate - self.end_learning_rate) + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to alpha times it, after a linear warm-up if asked.

    Loshchilov and Hutter 2017.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(decay_steps, "decay_steps")
        self.alpha, self.name, self.warmup_target, self.warmup_steps = alpha, name, warmup_target, warmup_steps

    def _decay(self, step: Any, start: float) -> Any:
        wave = (ops.cos(step * (math.pi / float(self.decay_steps))) + 1.0) * 0.5
        return (wave * (1.0 - self.alpha) + self.alpha) * start

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of this step."""
        step = _float(step)
        if self.warmup_target is None:
            return self._decay(ops.minimum(step, float(self.decay_steps)), self.initial_learning_rate)
        warm = float(self.warmup_steps)
        step = ops.minimum(step, float(self.decay_steps) + warm)
        decayed = self._decay(step - warm, self.warmup_target)
        if not warm:
            return decayed
        rising = step * ((self.warmup_target - self.initial_learning_rate) / warm) + self.initial_learning_rate
        return ops.where(ops.less(step, warm), rising, decayed)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts again, each period t_mul times longer and m_mul times lower."""

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _steps(first_decay_steps, "first_decay_steps")
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of this step."""
        done = _float(step) / float(self.first_decay_steps)
        ratio = float(self.t_mul)
        if ratio == 1.0:
            restart = ops.floor(done)
            done = done - restart
        else:
            restart = ops.floor(ops.log(1.0 - done * (1.0 - ratio)) / math.log(ratio))
            length = ops.power(ratio, restart)
            done = (done - (1.0 - length) / (1.0 - ratio)) / length
        wave = ops.power(float(self.m_mul), restart) * 0.5 * (ops.cos(done * math.pi) + 1.0)
        return (wave * (1.0 - self.alpha) + self.alpha) * self.initial_learning_rate

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


_REGISTRY = Registry("learning rate schedule")
_REGISTRY.add_all(
    (ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay, CosineDecayRestarts), {}
)
deserialize = _REGISTRY.deserialize
