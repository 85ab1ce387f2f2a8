"""Optimizers that look at a whole weight at once: norms, factored moments, orthogonal updates; and `Ftrl`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kgraph import ops
from kgraph.core import Variable
from kgraph.errors import InvalidArgumentError
from kgraph.initializers import Constant
from kgraph.optimizers.optimizer import Optimizer

__all__ = ["Adafactor", "Ftrl", "Lamb", "Muon", "ScheduleFreeAdamW"]


class Ftrl(Optimizer):
    """Follow the regularised leader (McMahan et al. 2013), with L1, L2 and shrinking L2.

    Raises:
        InvalidArgumentError: a strength is negative, or `learning_rate_power` is positive.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        positive = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }
        for name, value in positive.items():
            if value < 0.0:
                raise InvalidArgumentError(f"Ftrl: argument `{name}` is {value!r}", needed="0 or more")
        if learning_rate_power > 0.0:
            raise InvalidArgumentError(
                f"Ftrl: argument `learning_rate_power` is {learning_rate_power!r}", needed="0 or less"
            )
        self.learning_rate_power, self.beta = learning_rate_power, beta
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self._accumulators: list[Variable] = []
        self._linears: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the two sums of each weight."""
        if self.built:
            return
        super().build(variables)
        start = Constant(self.initial_accumulator_value)
        self._accumulators, self._linears = [], []
        for variable in variables:  # in the order of Keras: both of a weight together
            self._accumulators.append(self.add_variable_from_reference(variable, "accumulator", start))
            self._linears.append(self.add_variable_from_reference(variable, "linear"))

    def _root(self, total: Any) -> Any:
        power = -self.learning_rate_power
        return ops.sqrt(total) if power == 0.5 else ops.power(total, float(power))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        index = self._get_variable_index(variable)
        slot, linear = self._accumulators[index], self._linears[index]
        total = ops.add(slot, ops.square(gradient))
        weight = ops.convert_to_tensor(variable)
        shrunk = gradient + weight * (2.0 * self.l2_shrinkage_regularization_strength)
        slope = (self._root(total) - self._root(ops.convert_to_tensor(slot))) / learning_rate
        pull = ops.add(linear, shrunk - slope * weight)
        l2 = self.beta / (learning_rate * 2.0) + self.l2_regularization_strength
        quadratic = self._root(total) / learning_rate + l2 * 2.0
        bound = float(self.l1_regularization_strength)
        variable.assign((ops.minimum(ops.maximum(pull, -bound), bound) - pull) / quadratic)
        linear.assign(pull)
        slot.assign(total)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        own = {
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }
        return {**super().get_config(), **own}


class _Moments(Optimizer):
    """Running means of g and g² for each weight."""

    def __init__(
        self, learning_rate: Any, beta_1: float, beta_2: float, epsilon: float | None, default: float, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.epsilon = default if epsilon is None else float(epsilon)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the two slots of each weight."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class Lamb(_Moments):
    """The step of Adam, scaled by |w| / |step| of each weight (You et al. 2019)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, 1e-7, **kwargs)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        t = self.step_number()
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        momentum = ops.add(m, ops.subtract(gradient, m) * (1.0 - self.beta_1))
        velocity = ops.add(v, ops.subtract(ops.square(gradient), v) * (1.0 - self.beta_2))
        m.assign(momentum)
        v.assign(velocity)
        root = ops.sqrt(velocity / (1.0 - ops.power(self.beta_2, t))) + self.epsilon
        step = momentum / (1.0 - ops.power(self.beta_1, t)) / root
        of_weight, of_step = _norm(ops.convert_to_tensor(variable)), _norm(step)
        both = ops.logical_and(ops.greater(of_weight, 0.0), ops.greater(of_step, 0.0))
        ratio = ops.where(both, of_weight / ops.where(both, of_step, 1.0), 1.0)
        variable.assign(ops.subtract(variable, step * (ratio * learning_rate)))


def _norm(tensor: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(tensor)))


class ScheduleFreeAdamW(_Moments):
    """Adam on an iterate z, and weights between z and the mean of all z (Defazio et al. 2024)."""

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = 1e-8,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, 1e-8, **kwargs)
        self.warmup_steps = warmup_steps

    def build(self, variables: Sequence[Variable]) -> None:
        """Make z, which starts as the weight, and the mean of g²."""
        if self.built:
            return
        super().build(variables)
        for slot, variable in zip(self._momentums, variables):
            slot.array[...] = variable.array

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        t = self.step_number()
        if self.warmup_steps > 0:
            learning_rate = learning_rate * ops.minimum(t / float(self.warmup_steps), 1.0)
        index = self._get_variable_index(variable)
        z, v = self._momentums[index], self._velocities[index]
        before = ops.convert_to_tensor(z)
        velocity = ops.add(v, ops.subtract(ops.square(gradient), v) * (1.0 - self.beta_2))
        v.assign(velocity)
        root = ops.sqrt(velocity / (1.0 - ops.power(self.beta_2, t))) + self.epsilon
        after = before - gradient * learning_rate / root
        mean = ops.subtract(variable, before * (1.0 - self.beta_1)) / self.beta_1
        share = 1.0 / t
        mean = mean * (1.0 - share) + after * share
        variable.assign(after * (1.0 - self.beta_1) + mean * self.beta_1)
        z.assign(after)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        return {**super().get_config(), "warmup_steps": self.warmup_steps}


class Adafactor(Optimizer):
    """Adam with the second moment of a matrix kept as row and column means (Shazeer and Stern 2018)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step
        self._rows: list[Variable | None] = []
        self._columns: list[Variable | None] = []
        self._velocities: list[Variable] = []

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots of each weight; those of vectors are not factored."""
        if self.built:
            return
        super().build(variables)
        self._rows, self._columns, self._velocities = [], [], []
        for variable in variables:
            shape = tuple(variable.shape)
            factored = len(shape) >= 2
            label = variable.path.replace("/", "_")
            self._rows.append(self.add_variable(shape[:-1], name=f"{label}_row") if factored else None)
            column = (*shape[:-2], shape[-1]) if factored else ()
            self._columns.append(self.add_variable(column, name=f"{label}_column") if factored else None)
            self._velocities.append(self.add_variable_from_reference(variable, "velocity"))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        t = self.step_number()
        index = self._get_variable_index(variable)
        rows, columns, slot = self._rows[index], self._columns[index], self._velocities[index]
        rate = ops.minimum(learning_rate, 1.0 / ops.sqrt(t))
        rate = rate * ops.maximum(_rms(ops.convert_to_tensor(variable)), self.epsilon_2)
        keep = 1.0 - ops.power(t, float(self.beta_2_decay))
        squares = ops.square(gradient) + self.epsilon_1
        if rows is None or columns is None:
            velocity = ops.multiply(slot, keep) + squares * (1.0 - keep)
        else:
            row = ops.multiply(rows, keep) + ops.mean(squares, axis=-1) * (1.0 - keep)
            column = ops.multiply(columns, keep) + ops.mean(squares, axis=-2) * (1.0 - keep)
            rows.assign(row)
            columns.assign(column)
            share = row / ops.mean(row, axis=-1, keepdims=True)
            velocity = ops.expand_dims(share, -1) * ops.expand_dims(column, -2)
        slot.assign(velocity)
        step = gradient / ops.sqrt(velocity)
        step = step / ops.maximum(_rms(step) / self.clip_threshold, 1.0)
        variable.assign(ops.subtract(variable, step * rate))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        own = {
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }
        return {**super().get_config(), **own}


def _rms(tensor: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(tensor)))


class Muon(Optimizer):
    """Momentum made orthogonal by Newton-Schulz steps for matrices, Adam for all else (Jordan et al. 2024).

    Args:
        learning_rate: of the matrices; Adam's is `adam_lr_ratio` times it.
        adam_beta_1: of Adam.
        adam_beta_2: of Adam.
        adam_weight_decay: of weights that Adam moves.
        epsilon: of Adam.
        weight_decay: of the matrices.
        exclude_layers: patterns of paths whose matrices Adam moves.
        exclude_embeddings: Adam moves embeddings.
        muon_a: coefficient of x in a Newton-Schulz step.
        muon_b: coefficient of (x xᵀ) x.
        muon_c: coefficient of (x xᵀ)² x.
        adam_lr_ratio: see `learning_rate`.
        momentum: of the matrices.
        ns_steps: Newton-Schulz steps.
        nesterov: look ahead by the momentum.
        rms_rate: the update is multiplied by it and by the root of the longer side; None: not.
        kwargs: of every optimizer.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.adam_beta_1, self.adam_beta_2, self.adam_weight_decay = adam_beta_1, adam_beta_2, adam_weight_decay
        self.epsilon, self.exclude_layers, self.exclude_embeddings = (
            epsilon,
            list(exclude_layers or []),
            exclude_embeddings,
        )
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.adam_lr_ratio, self.momentum, self.ns_steps = adam_lr_ratio, momentum, ns_steps
        self.nesterov, self.rms_rate = nesterov, rms_rate
        self.momentums: list[Variable] = []
        self.adam_velocities: list[Variable | None] = []

    def _by_adam(self, variable: Variable) -> bool:
        path = variable.path
        if len(variable.shape) != 2 or (self.exclude_embeddings and "embedding" in path.lower()):
            return True
        return any(re.search(pattern, path) for pattern in self.exclude_layers)

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the momentum of each weight, and the mean of g² where Adam moves it."""
        if self.built:
            return
        super().build(variables)
        self.momentums, self.adam_velocities = [], []
        for variable in variables:
            self.momentums.append(self.add_variable_from_reference(variable, "momentum"))
            adam = self._by_adam(variable)
            self.adam_velocities.append(self.add_variable_from_reference(variable, "velocity") if adam else None)

    def decay_weights(self, variables: Sequence[Variable], learning_rate: Any) -> None:
        """W -= w · decay · learning rate, with the decay of Adam or of Muon."""
        for variable in variables:
            decay = self.adam_weight_decay if self._by_adam(variable) else self.weight_decay
            if decay is not None and self._decays(variable):
                value = ops.convert_to_tensor(variable)
                variable.assign(value - value * (learning_rate * decay))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        index = self._get_variable_index(variable)
        slot, v = self.momentums[index], self.adam_velocities[index]
        if v is None:
            momentum = ops.multiply(slot, self.momentum) + gradient
            slot.assign(momentum)
            step = self._orthogonal(gradient + momentum * self.momentum if self.nesterov else momentum)
            scale = 1.0 if self.rms_rate is None else float(max(variable.shape)) ** 0.5 * self.rms_rate
            variable.assign(ops.subtract(variable, step * (learning_rate * scale)))
            return
        t = self.step_number()
        rate = learning_rate * self.adam_lr_ratio
        rate = rate * ops.sqrt(1.0 - ops.power(self.adam_beta_2, t)) / (1.0 - ops.power(self.adam_beta_1, t))
        momentum = ops.add(slot, ops.subtract(gradient, slot) * (1.0 - self.adam_beta_1))
        velocity = ops.add(v, ops.subtract(ops.square(gradient), v) * (1.0 - self.adam_beta_2))
        slot.assign(momentum)
        v.assign(velocity)
        variable.assign(ops.subtract(variable, momentum * rate / (ops.sqrt(velocity) + self.epsilon)))

    def _orthogonal(self, x: Any) -> Any:
        """Singular values brought near 1 by an odd polynomial, `ns_steps` times."""
        tall = x.shape[0] > x.shape[1]
        if tall:
            x = ops.transpose(x)
        x = x / (_norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = ops.matmul(x, ops.transpose(x))
            mixed = square * self.muon_b + ops.matmul(square * self.muon_c, square)
            x = x * self.muon_a + ops.matmul(mixed, x)
        return ops.transpose(x) if tall else x

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        names = (
            "adam_beta_1 adam_beta_2 epsilon exclude_layers muon_a muon_b muon_c adam_lr_ratio momentum ns_steps "
            "nesterov exclude_embeddings adam_weight_decay rms_rate"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
