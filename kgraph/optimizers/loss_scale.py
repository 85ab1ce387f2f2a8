"""`LossScaleOptimizer`: another optimizer behind a loss scale that follows what float16 can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kgraph import ops
from kgraph.core import Variable
from kgraph.errors import InvalidArgumentError
from kgraph.initializers import Constant
from kgraph.optimizers.optimizer import Optimizer, keep_unless, snapshot

__all__ = ["LossScaleOptimizer"]


class LossScaleOptimizer(Optimizer):
    """Multiply the loss by a scale and divide the gradients by it; skip steps whose gradients are not finite.

    A skipped step halves the scale, `dynamic_growth_steps` good ones in a row double it.

    Args:
        inner_optimizer: does the updates.
        initial_scale: to begin with.
        dynamic_growth_steps: see above.
        name: prefix of its variables.

    Raises:
        InvalidArgumentError: an argument belongs to the inner optimizer.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("dynamic", None)
        if kwargs:
            raise InvalidArgumentError(
                f"LossScaleOptimizer has no argument {next(iter(kwargs))!r}", fix="give it to the inner optimizer"
            )
        super().__init__(0.0, name=name)
        self._variables.clear()
        self.inner_optimizer: Optimizer = inner_optimizer
        self.initial_scale, self.dynamic_growth_steps = initial_scale, dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None
        self.step_counter: Variable
        self.dynamic_scale: Variable

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots of the inner optimizer, the scale, and the count of good steps."""
        if self.built:
            return
        self.step_counter = self.add_variable((), "zeros", "int32", "step_counter")
        self.dynamic_scale = self.add_variable((), Constant(self.initial_scale), "float32", "dynamic_scale")
        self.inner_optimizer.build(variables)
        super().build(variables)

    def extend(self, variables: Sequence[Variable]) -> bool:
        """Make slots for weights that were released after `build`."""
        if not self.built or not self.inner_optimizer.extend(variables):
            return False
        self._trainable_variables = list(self.inner_optimizer._trainable_variables)
        self._index = dict(self.inner_optimizer._index)
        self.generation += 1
        return True

    @property
    def variables(self) -> list[Variable]:
        """The scale and the count, then those of the inner optimizer."""
        return [*self._variables, *self.inner_optimizer.variables]

    @property
    def iterations(self) -> Any:
        """Updates done."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """That of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def scale_loss(self, loss: Any) -> Any:
        """The loss whose gradients `apply` takes."""
        return ops.multiply(loss, self.dynamic_scale if self.built else self.initial_scale)

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Update the weights, unless a gradient is not finite."""
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        if not self.built:
            self.build(variables)
        finite: Any = None
        for gradient in grads:
            if gradient is not None:
                all_finite = ops.all(ops.isfinite(gradient))
                finite = all_finite if finite is None else ops.logical_and(finite, all_finite)
        if finite is None:
            raise InvalidArgumentError(f"{self.name}: no weight has a gradient")
        before = snapshot([*variables, *self.inner_optimizer.variables])
        scale = ops.convert_to_tensor(self.dynamic_scale)
        scale = scale + 0.0 if not hasattr(scale, "value") else scale  # outside a trace: a copy, it is assigned below
        self.inner_optimizer.apply([None if g is None else g / scale for g in grads], variables)
        keep_unless(finite, before)
        grow = ops.logical_and(finite, ops.equal(self.step_counter, self.dynamic_growth_steps - 1))
        count = ops.where(ops.logical_and(finite, ops.logical_not(grow)), ops.add(self.step_counter, 1), 0)
        self.step_counter.assign(ops.cast(count, "int32"))
        self.dynamic_scale.assign(scale * ops.where(grow, 2.0, ops.where(finite, 1.0, 0.5)))

    def finalize_variable_values(self, var_list: Sequence[Variable] | None = None) -> None:
        """As the inner optimizer does."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        from kgraph.registry import serialize

        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
        """The optimizer that `get_config` described."""
        from kgraph.optimizers import deserialize

        values = dict(config)
        inner = deserialize(values.pop("inner_optimizer"), custom_objects)
        return cls(inner, **values)
