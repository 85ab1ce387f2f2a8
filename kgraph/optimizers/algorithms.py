"""The optimizers themselves, with the conventions of Keras 3 (where epsilon stands, what is bias-corrected)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph import ops
from kgraph.core import Variable
from kgraph.errors import InvalidArgumentError
from kgraph.initializers import Constant
from kgraph.optimizers.optimizer import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop"]

_EPSILON = 1e-7


def _epsilon(value: float | None) -> float:
    """Keras 2 writes `epsilon=None` for the default."""
    return _EPSILON if value is None else float(value)


class SGD(Optimizer):
    """w += m with m = momentum · m - lr · g; with `nesterov` w += momentum · m - lr · g."""

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        if isinstance(momentum, bool) or not 0.0 <= momentum <= 1.0:
            raise InvalidArgumentError(f"SGD: argument `momentum` is {momentum!r}", needed="a number from 0 to 1")
        self.momentum, self.nesterov = float(momentum), nesterov
        self.momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the momentum of each weight, if there is momentum."""
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(ops.subtract(variable, step))
            return
        slot = self.momentums[self._get_variable_index(variable)]
        momentum = ops.multiply(slot, self.momentum) - step
        slot.assign(momentum)
        variable.assign(ops.add(variable, momentum * self.momentum - step if self.nesterov else momentum))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """w -= lr · g / sqrt(v + epsilon), v the running mean of g² (Hinton 2012); epsilon stands inside the root."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float | None = _EPSILON,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, _epsilon(epsilon), centered
        self._velocities: list[Variable] = []
        self._momentums: list[Variable] = []
        self._averages: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots of each weight."""
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._averages = self.add_optimizer_variables(variables, "average_gradient")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        index = self._get_variable_index(variable)
        velocity = ops.multiply(self._velocities[index], self.rho) + ops.square(gradient) * (1.0 - self.rho)
        self._velocities[index].assign(velocity)
        if self.centered:
            average = ops.multiply(self._averages[index], self.rho) + gradient * (1.0 - self.rho)
            self._averages[index].assign(average)
            velocity = velocity - ops.square(average)
        step = gradient * learning_rate * ops.rsqrt(velocity + self.epsilon)
        if self.momentum > 0:
            step = ops.multiply(self._momentums[index], self.momentum) + step
            self._momentums[index].assign(step)
        variable.assign(ops.subtract(variable, step))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return {**super().get_config(), **own}


class Adagrad(Optimizer):
    """w -= lr · g / sqrt(a + epsilon), a the sum of g² from `initial_accumulator_value` on (Duchi et al. 2011)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float | None = _EPSILON,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, _epsilon(epsilon)
        self._accumulators: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the sums of each weight."""
        if self.built:
            return
        super().build(variables)
        start = Constant(self.initial_accumulator_value)
        self._accumulators = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        slot = self._accumulators[self._get_variable_index(variable)]
        total = ops.add(slot, ops.square(gradient))
        slot.assign(total)
        variable.assign(ops.subtract(variable, gradient * learning_rate / ops.sqrt(total + self.epsilon)))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        own = {"initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Adadelta(Optimizer):
    """w -= lr · g · rms(Δ) / rms(g), rms(x) = sqrt(running mean of x² + epsilon) (Zeiler 2012)."""

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float | None = _EPSILON, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.epsilon = rho, _epsilon(epsilon)
        self._accumulated_grads: list[Variable] = []
        self._accumulated_deltas: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the two running means of each weight."""
        if self.built:
            return
        super().build(variables)
        self._accumulated_grads, self._accumulated_deltas = self.add_optimizer_variables(
            variables, ["accumulated_grad", "accumulated_delta_var"]
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        index = self._get_variable_index(variable)
        grads, deltas = self._accumulated_grads[index], self._accumulated_deltas[index]
        squares = ops.multiply(grads, self.rho) + ops.square(gradient) * (1.0 - self.rho)
        delta = gradient * ops.sqrt(ops.add(deltas, self.epsilon)) / ops.sqrt(squares + self.epsilon)
        grads.assign(squares)
        deltas.assign(ops.multiply(deltas, self.rho) + ops.square(delta) * (1.0 - self.rho))
        variable.assign(ops.subtract(variable, delta * learning_rate))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


class Adam(Optimizer):
    """w -= α · m / (sqrt(v) + epsilon) with α = lr · sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) (Kingma and Ba 2014).

    Epsilon stands outside the root and is not bias-corrected: the paper's "epsilon hat".
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = _EPSILON,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, _epsilon(epsilon), amsgrad
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []
        self._velocity_hats: list[Variable] = []
        self._alpha: Any = None

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the two running means of each weight, and the largest second one for `amsgrad`."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def prepare(self, learning_rate: Any) -> None:
        """Compute α."""
        t = self.step_number()
        first, second = ops.power(self.beta_1, t), ops.power(self.beta_2, t)
        self._alpha = learning_rate * ops.sqrt(1.0 - second) / (1.0 - first)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        momentum = ops.add(m, ops.subtract(gradient, m) * (1.0 - self.beta_1))
        velocity = ops.add(v, ops.subtract(ops.square(gradient), v) * (1.0 - self.beta_2))
        m.assign(momentum)
        v.assign(velocity)
        if self.amsgrad:
            velocity = ops.maximum(self._velocity_hats[index], velocity)
            self._velocity_hats[index].assign(velocity)
        variable.assign(ops.subtract(variable, momentum * self._alpha / (ops.sqrt(velocity) + self.epsilon)))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return {**super().get_config(), **own}


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 unless given (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = _EPSILON,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise InvalidArgumentError("AdamW: argument `weight_decay` is None", needed="a number; or use Adam")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)


class Adamax(Optimizer):
    """w -= lr · m / ((1 - β₁ᵗ) · (u + epsilon)), u = max(β₂ · u, |g|) (Kingma and Ba 2014, section 7)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = _EPSILON,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, _epsilon(epsilon)
        self._m: list[Variable] = []
        self._u: list[Variable] = []
        self._alpha: Any = None

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the running mean and the norm of each weight."""
        if self.built:
            return
        super().build(variables)
        self._m, self._u = self.add_optimizer_variables(variables, ["momentum", "norm"])

    def prepare(self, learning_rate: Any) -> None:
        """Compute lr / (1 - β₁ᵗ)."""
        self._alpha = learning_rate / (1.0 - ops.power(self.beta_1, self.step_number()))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        index = self._get_variable_index(variable)
        m, u = self._m[index], self._u[index]
        momentum = ops.add(m, ops.subtract(gradient, m) * (1.0 - self.beta_1))
        norm = ops.maximum(ops.multiply(u, self.beta_2), ops.abs(gradient))
        m.assign(momentum)
        u.assign(norm)
        variable.assign(ops.subtract(variable, momentum * self._alpha / (norm + self.epsilon)))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Nadam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016); μ_t = β₁ · (1 - ½ · 0.96ᵗ)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = _EPSILON,
        schedule_decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        # Keras 2's `schedule_decay` (0.004) is the exponent's factor: 0.96^(250 · 0.004 · t); others are not kept.
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, _epsilon(epsilon)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []
        self._u_product = Variable(
            1.0, shape=(), dtype="float32", trainable=False, name="u_product", path=f"{self.name}/u_product"
        )
        self._scalars: tuple[Any, Any, Any] = (None, None, None)

    @property
    def variables(self) -> list[Variable]:
        """Iterations, learning rate, the slots, and the running product of the momenta."""
        return [*super().variables, self._u_product]

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the two running means of each weight."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def prepare(self, learning_rate: Any) -> None:
        """Compute the factors of m and g and the bias correction of v."""
        t = self.step_number()
        decay = ops.power(0.96, t)
        now = (1.0 - decay * 0.5) * self.beta_1
        following = (1.0 - decay * (0.5 * 0.96)) * self.beta_1
        product = ops.multiply(self._u_product, now)
        self._u_product.assign(product)
        of_momentum = learning_rate * following / (1.0 - product * following)
        of_gradient = learning_rate * (1.0 - now) / (1.0 - product)
        self._scalars = (of_momentum, of_gradient, 1.0 / (1.0 - ops.power(self.beta_2, t)))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        of_momentum, of_gradient, correction = self._scalars
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        momentum = ops.add(m, ops.subtract(gradient, m) * (1.0 - self.beta_1))
        velocity = ops.add(v, ops.subtract(ops.square(gradient), v) * (1.0 - self.beta_2))
        m.assign(momentum)
        v.assign(velocity)
        step = (momentum * of_momentum + gradient * of_gradient) / (ops.sqrt(velocity * correction) + self.epsilon)
        variable.assign(ops.subtract(variable, step))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Lion(Optimizer):
    """w -= lr · sign(β₁ · m + (1 - β₁) · g), m = β₂ · m + (1 - β₂) · g (Chen et al. 2023)."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0.0 < beta_1 <= 1.0:
            raise InvalidArgumentError(f"Lion: argument `beta_1` is {beta_1!r}", needed="more than 0, at most 1")
        self.beta_1, self.beta_2 = beta_1, beta_2
        self._momentums: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the momentum of each weight."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        slot = self._momentums[self._get_variable_index(variable)]
        direction = ops.sign(ops.multiply(slot, self.beta_1) + gradient * (1.0 - self.beta_1))
        variable.assign(ops.subtract(variable, direction * learning_rate))
        slot.assign(ops.multiply(slot, self.beta_2) + gradient * (1.0 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
