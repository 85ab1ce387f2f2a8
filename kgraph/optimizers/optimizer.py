"""`Optimizer`: from gradients to new weights, as expressions of `kgraph.ops` in the one training graph.

A subclass says how one variable moves in `update_step`; what depends on the step alone is computed once in `prepare`,
as scalars, so that the update of a weight is a single elementwise chain.  The order within a step is that of Keras 3:
scale, accumulate, clip, decoupled weight decay, update, moving average, constraints, iterations + 1.

The graph has no branches: a step that only accumulates gradients computes the update too, and `select`s the old values.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from kgraph import ops
from kgraph.core import Variable, current_trace
from kgraph.core.session import unique_name
from kgraph.errors import InvalidArgumentError
from kgraph.optimizers.schedules import LearningRateSchedule
from kgraph.optimizers.schedules import deserialize as deserialize_schedule
from kgraph.registry import serialize

__all__ = ["Optimizer"]


class Optimizer:
    """Base of the optimizers.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function of the step (or of nothing).
        weight_decay: decoupled decay: w -= w · weight_decay · learning rate before each update.
        clipnorm: largest L2 norm of one gradient.
        clipvalue: largest absolute entry of a gradient.
        global_clipnorm: largest L2 norm of all gradients together.
        use_ema: keep a moving average of every weight; training ends with the averages in place of the weights.
        ema_momentum: weight of the old average.
        ema_overwrite_frequency: copy the averages into the weights every so many updates.
        loss_scale_factor: the loss is multiplied, the gradients are divided by it.
        gradient_accumulation_steps: update every so many steps, with the mean of their gradients.
        name: prefix of its variables.
        lr: Keras 2's name of `learning_rate`.
        decay: Keras 2: the rate is divided by (1 + decay · iterations).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        lr: Any = None,
        decay: float | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        if kwargs:
            known = [name for cls in type(self).__mro__[:-1] for name in inspect.signature(cls).parameters]
            near = get_close_matches(next(iter(kwargs)), known, 1)
            raise InvalidArgumentError(
                f"{kind} has no argument {', '.join(map(repr, kwargs))}", fix=f"write {near[0]}=" if near else ""
            )
        if lr is not None:
            learning_rate = lr
        if use_ema and not 0.0 <= ema_momentum <= 1.0:
            raise InvalidArgumentError(f"{kind}: ema_momentum={ema_momentum!r}", needed="a number from 0 to 1")
        _check_count(kind, "ema_overwrite_frequency", ema_overwrite_frequency, 1)
        _check_count(kind, "gradient_accumulation_steps", gradient_accumulation_steps, 2)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [key for key, value in clips.items() if value is not None]
        if len(given) > 1:
            raise InvalidArgumentError(
                f"{kind}: only one of clipnorm, clipvalue and global_clipnorm can be given", got=", ".join(given)
            )
        self.name = name or unique_name(kind)
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.loss_scale_factor = loss_scale_factor
        self.decay = float(decay or 0.0)
        self.use_ema, self.ema_momentum, self.ema_overwrite_frequency = use_ema, ema_momentum, ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._index: dict[int, int] = {}
        self._undecayed: set[int] = set()
        self._undecayed_names: list[str] = []
        self.generation = 0
        self._averages_of_weights: list[Variable] = []
        self._accumulated: list[Variable] = []
        self._iterations = self._track(
            Variable(0, shape=(), dtype="int64", trainable=False, name="iteration", path=f"{self.name}/iteration")
        )
        self._learning_rate: Any = None
        self._set_learning_rate(learning_rate)

    # -- learning rate ------------------------------------------------------------------------------------------------
    def _set_learning_rate(self, value: Any) -> None:
        if isinstance(value, Mapping):
            value = deserialize_schedule(value)
        if isinstance(value, LearningRateSchedule) or (callable(value) and not isinstance(value, Variable)):
            self._learning_rate = value
            return
        try:
            number = math.nan if isinstance(value, str) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number < 0.0:
            raise InvalidArgumentError(
                f"{type(self).__name__}: argument `learning_rate` is {value!r}",
                needed="a number of 0 or more, a LearningRateSchedule, or a function of the step",
            )
        if isinstance(self._learning_rate, Variable):
            self._learning_rate.assign(number)
            return
        self._learning_rate = self._track(
            Variable(
                number,
                shape=(),
                dtype="float32",
                trainable=False,
                name="learning_rate",
                path=f"{self.name}/learning_rate",
            )
        )

    @property
    def learning_rate(self) -> Any:
        """The rate now: a float32 Variable that may be assigned, or the schedule's value at `iterations`."""
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return self._scheduled()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._learning_rate, LearningRateSchedule) and not callable(value):
            raise InvalidArgumentError(
                f"{type(self).__name__} was made with a schedule, so its learning rate cannot be set",
                fix="make it with a number, or assign another schedule",
            )
        self._set_learning_rate(value)

    @property
    def lr(self) -> Any:
        """Keras 2's name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    def _scheduled(self) -> Any:
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations)
        try:
            return self._learning_rate(self._iterations)
        except TypeError:
            return self._learning_rate()

    def current_learning_rate(self) -> Any:
        """The float32 scalar that multiplies this step's update, Keras 2's `decay` included."""
        rate = self._learning_rate if isinstance(self._learning_rate, Variable) else self._scheduled()
        rate = ops.cast(rate, "float32")
        if self.decay:
            rate = rate / (ops.cast(self._iterations, "float32") * self.decay + 1.0)
        return rate

    @property
    def iterations(self) -> Any:
        """Updates done: an int64 Variable; a number when gradients are accumulated over several steps."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    # -- variables ----------------------------------------------------------------------------------------------------
    @property
    def variables(self) -> list[Variable]:
        """Iterations, learning rate, then the slots."""
        return list(self._variables)

    def _track(self, variable: Variable) -> Variable:
        self._variables.append(variable)
        return variable

    def add_variable(
        self, shape: Sequence[int], initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a variable of the optimizer's own."""
        name = name or "variable"
        return self._track(
            Variable(
                initializer,
                shape=tuple(shape),
                dtype=dtype or "float32",
                trainable=False,
                name=name,
                path=f"{self.name}/{name}",
            )
        )

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A slot of the shape and type of a weight."""
        label = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, label)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """One slot per weight; for several names a tuple of such lists."""
        if isinstance(name, str):
            return [self.add_variable_from_reference(v, name, initializer) for v in trainable_variables]
        slots: tuple[list[Variable], ...] = tuple([] for _ in name)
        for variable in trainable_variables:
            for position, label in enumerate(name):
                slots[position].append(self.add_variable_from_reference(variable, label, initializer))
        return slots

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots for these weights; a second call does nothing."""
        if self.built:
            return
        self._trainable_variables = list(variables)
        self._index = {id(variable): position for position, variable in enumerate(self._trainable_variables)}
        self.built = True
        if self.use_ema:
            self._averages_of_weights = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulated = self.add_optimizer_variables(variables, "gradient_accumulator")

    def extend(self, variables: Sequence[Variable]) -> bool:
        """Make slots for weights that were released after `build`, and keep the slots there are.

        Returns:
            Whether there were new weights.  Steps compiled before then hold slots that are no longer in use.
        """
        new = [variable for variable in variables if id(variable) not in self._index]
        if not self.built or not new:
            return False
        old = {variable.path: variable for variable in self.variables}
        self._variables = [v for v in self._variables if v is self._iterations or v is self._learning_rate]
        self.built = False
        self.build([*self._trainable_variables, *new])
        for variable in self.variables:
            kept = old.get(variable.path)
            if kept is not None and kept is not variable and kept.array.shape == variable.array.shape:
                variable.array[...] = kept.array
        self.generation += 1
        return True

    def _get_variable_index(self, variable: Variable) -> int:
        return self._index[id(variable)]

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave these weights, or those with one of these words in their path, out of the weight decay."""
        self._undecayed.update(id(variable) for variable in var_list or ())
        self._undecayed_names.extend(var_names or ())

    def _decays(self, variable: Variable) -> bool:
        return id(variable) not in self._undecayed and not any(word in variable.path for word in self._undecayed_names)

    # -- a step -------------------------------------------------------------------------------------------------------
    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """Update weights from (gradient, weight) pairs."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self.iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Update weights; inside a trace this records the updates, outside it computes them.

        Args:
            grads: one gradient per weight, or None where none flows.
            trainable_variables: the weights; those it was built with if not given.

        Raises:
            InvalidArgumentError: counts differ, a weight is unknown, or no weight has a gradient.
        """
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        if not self.built:
            self.build(variables)
        pairs = self._checked_pairs(grads, variables)
        gradients, variables = [g for g, _ in pairs], [v for _, v in pairs]
        if self.loss_scale_factor is not None:
            gradients = [gradient / self.loss_scale_factor for gradient in gradients]
        if self.gradient_accumulation_steps:
            self._accumulate(gradients, variables)
        else:
            self._move(gradients, variables)
        if self.use_ema:
            self._average()
        for variable in variables:
            constraint: Callable[[Any], Any] | None = variable.constraint
            if constraint is not None:
                variable.assign(constraint(ops.convert_to_tensor(variable)))
        self._iterations.assign(ops.add(self._iterations, 1))

    def _checked_pairs(self, grads: Sequence[Any], variables: Sequence[Variable]) -> list[tuple[Any, Variable]]:
        """(gradient, weight) where a gradient flows; errors as of `apply`."""
        if len(grads) != len(variables):
            raise InvalidArgumentError(
                f"{self.name}: the gradients do not match the weights",
                got=f"{len(grads)} gradients for {len(variables)} weights",
            )
        for variable in variables:
            if id(variable) not in self._index:
                raise InvalidArgumentError(
                    f"{self.name} does not know the weight {variable.path!r}",
                    needed="the weights it was built with",
                    fix="make a new optimizer for a new set of weights",
                )
        pairs = [(g, v) for g, v in zip(grads, variables) if g is not None]
        if variables and not pairs:
            raise InvalidArgumentError(
                f"{self.name}: no weight has a gradient",
                fix="check that the loss depends on the outputs and that the layers are trainable",
            )
        return pairs

    def _move(self, gradients: list[Any], variables: Sequence[Variable]) -> None:
        """Clip, decay and update."""
        gradients = self._clip(gradients)
        rate = self.current_learning_rate()
        self.decay_weights(variables, rate)
        self.prepare(rate)
        for gradient, variable in zip(gradients, variables):
            self.update_step(gradient, variable, rate)

    def decay_weights(self, variables: Sequence[Variable], learning_rate: Any) -> None:
        """W -= w · weight_decay · learning rate."""
        if self.weight_decay is None:
            return
        shrink = learning_rate * self.weight_decay
        for variable in variables:
            if self._decays(variable):
                value = ops.convert_to_tensor(variable)
                variable.assign(value - value * shrink)

    def _accumulate(self, gradients: list[Any], variables: Sequence[Variable]) -> None:
        """Add the gradients up; on the last step of a round move the weights by their mean."""
        steps = int(self.gradient_accumulation_steps or 1)
        due = ops.equal(ops.mod(ops.add(self._iterations, 1), steps), 0)
        slots = [self._accumulated[self._get_variable_index(variable)] for variable in variables]
        sums = [ops.add(slot, gradient) for slot, gradient in zip(slots, gradients)]
        for slot, total in zip(slots, sums):
            slot.assign(ops.where(due, 0.0, total))
        own = [variable for variable in self.variables if all(variable is not slot for slot in slots)]
        before = snapshot([*variables, *own])
        self._move([total / float(steps) for total in sums], variables)
        keep_unless(due, before)

    def _average(self) -> None:
        """Move the average of each weight; from time to time make it the weight."""
        done = self.iterations
        keep = ops.cast(ops.not_equal(done, 0), "float32") * self.ema_momentum
        overwrite = None
        if self.ema_overwrite_frequency:
            overwrite = ops.equal(ops.mod(ops.add(done, 1), self.ema_overwrite_frequency), 0)
        for variable, slot in zip(self._trainable_variables, self._averages_of_weights):
            average = ops.multiply(slot, keep) + ops.multiply(variable, 1.0 - keep)
            slot.assign(average)
            if overwrite is not None:
                variable.assign(ops.where(overwrite, average, variable))

    def finalize_variable_values(self, var_list: Sequence[Variable] | None = None) -> None:
        """Put the moving averages in place of the weights, as training ends; only with `use_ema`."""
        for variable, average in zip(self._trainable_variables, self._averages_of_weights):
            variable.assign(average.array)

    def swap_averages(self) -> None:
        """Exchange the weights and their moving averages; before the first step there are none."""
        for variable, average in zip(self._trainable_variables, self._averages_of_weights):
            weight = variable.array.copy()
            variable.assign(average.array)
            average.assign(weight)

    def keep_weights_as_averages(self) -> None:
        """Set the moving averages to the weights."""
        for variable, average in zip(self._trainable_variables, self._averages_of_weights):
            average.assign(variable.array)

    def scale_loss(self, loss: Any) -> Any:
        """The loss whose gradients `apply` takes."""
        return loss if self.loss_scale_factor is None else loss * float(self.loss_scale_factor)

    def _clip(self, gradients: list[Any]) -> list[Any]:
        if self.clipnorm:
            return [g * (self.clipnorm / ops.maximum(_norm([g]), float(self.clipnorm))) for g in gradients]
        if self.global_clipnorm:
            factor = self.global_clipnorm / ops.maximum(_norm(gradients), float(self.global_clipnorm))
            return [g * factor for g in gradients]
        if self.clipvalue:
            return [ops.minimum(ops.maximum(g, -self.clipvalue), self.clipvalue) for g in gradients]
        return gradients

    def step_number(self) -> Any:
        """1, 2, 3, ...: float32 scalar t of the formulas."""
        return ops.cast(self.iterations, "float32") + 1.0

    def prepare(self, learning_rate: Any) -> None:
        """Compute the scalars of this step that all weights share."""

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Move one weight."""
        raise NotImplementedError(
            f"{type(self).__name__} does not define update_step(gradient, variable, learning_rate)"
        )

    # -- configuration ------------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer (without its slots)."""
        rate = self._learning_rate
        config: dict[str, Any] = {
            "name": self.name,
            "learning_rate": float(rate.array) if isinstance(rate, Variable) else serialize(rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }
        if self.decay:
            config["decay"] = self.decay
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
        """The optimizer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _check_count(kind: str, name: str, value: Any, least: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise InvalidArgumentError(f"{kind}: {name}={value!r}", needed=f"None, or a whole number, {least} or more")


def snapshot(variables: Sequence[Variable]) -> list[tuple[Variable, Any]]:
    """Each variable with its present value."""
    trace = current_trace()
    if trace is not None:
        return [(variable, trace.value_of(variable)) for variable in variables]
    return [(variable, variable.array.copy()) for variable in variables]


def keep_unless(condition: Any, before: Sequence[tuple[Variable, Any]]) -> None:
    """Give variables their value of a `snapshot` back, unless `condition` holds."""
    trace = current_trace()
    for variable, value in before:
        if trace is None:
            variable.assign(ops.where(condition, variable, value))
        elif trace.value_of(variable).value is not value.value:
            variable.assign(ops.where(condition, trace.value_of(variable), value))


def _norm(tensors: Sequence[Any]) -> Any:
    """L2 norm of all entries of all tensors."""
    total: Any = None
    for tensor in tensors:
        squares = ops.sum(ops.square(tensor))
        total = squares if total is None else total + squares
    return ops.sqrt(total)
