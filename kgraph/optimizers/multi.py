"""`MultiOptimizer`: several optimizers move the weights of one model; `OptimizerMap` chooses them by path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NoReturn

from kgraph import ops
from kgraph.core import Variable
from kgraph.errors import InvalidArgumentError, LayerAttributeError
from kgraph.optimizers.loss_scale import LossScaleOptimizer
from kgraph.optimizers.optimizer import Optimizer
from kgraph.registry import serialize

__all__ = ["MultiOptimizer", "OptimizerMap"]


class OptimizerMap(MutableMapping[str, Optimizer]):
    """Paths of weights, or regular expressions that match whole paths, to optimizers.

    Args:
        default_optimizer: for weights that nothing matches.
        optimizer_map: path or expression -> optimizer.

    Raises:
        InvalidArgumentError: a value is no optimizer, or one that wraps others.

    Example:
        >>> OptimizerMap(optimizers.SGD(0.1), {"encoder/.*": optimizers.Adam()})
    """

    def __init__(self, default_optimizer: Any, optimizer_map: Mapping[str, Any] | None = None) -> None:
        self.default_optimizer: Optimizer = _plain(default_optimizer, "the default")
        self._optimizers: dict[str, Optimizer] = {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._optimizers:
            return self._optimizers[key]
        found = [pattern for pattern in self._optimizers if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise InvalidArgumentError(
                f"OptimizerMap has several optimizers for the weight {key!r}",
                got=", ".join(map(repr, found)),
                fix="make the expressions narrower, so that one of them matches",
            )
        return self._optimizers[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Any) -> None:
        if not isinstance(key, str):
            raise InvalidArgumentError(f"OptimizerMap: the key {key!r} is no string", needed="a path or an expression")
        if key in self._optimizers:
            raise InvalidArgumentError(f"OptimizerMap has an optimizer for {key!r} already", fix="delete it first")
        self._optimizers[key] = _plain(optimizer, repr(key))

    def __delitem__(self, key: str) -> None:
        del self._optimizers[key]

    def __len__(self) -> int:
        return len(self._optimizers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizers)

    def __call__(self, variable: Variable) -> Optimizer:
        """The optimizer of a weight."""
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal map."""
        return {
            "default_optimizer": serialize(self.default_optimizer),
            "optimizer_map": {key: serialize(optimizer) for key, optimizer in self._optimizers.items()},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> OptimizerMap:
        """The map that `get_config` described."""
        from kgraph.optimizers import deserialize

        made = {key: deserialize(each, custom_objects) for key, each in config["optimizer_map"].items()}
        return cls(deserialize(config["default_optimizer"], custom_objects), made)


def _plain(optimizer: Any, what: str) -> Optimizer:
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise InvalidArgumentError(
            f"MultiOptimizer cannot use {optimizer!r} for {what}",
            needed="an Optimizer that moves weights itself",
            fix="give loss_scale_factor= to the MultiOptimizer" if isinstance(optimizer, LossScaleOptimizer) else "",
        )
    return optimizer


class MultiOptimizer(Optimizer):
    """Several optimizers, each for some of the weights; one step moves all of them.

    Args:
        optimizer_map: an `OptimizerMap`, or a function from a weight to its optimizer (the same object for weights that
            share one).
        loss_scale_factor: for all of them.
        name: prefix of its variables.

    Raises:
        InvalidArgumentError: the map is neither.
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(0.0, name=name, loss_scale_factor=loss_scale_factor)
        if not callable(optimizer_map):
            raise InvalidArgumentError(
                f"MultiOptimizer cannot use {optimizer_map!r}",
                needed="an OptimizerMap, or a function from a weight to its optimizer",
                fix="write MultiOptimizer(OptimizerMap(default_optimizer, {...}))",
            )
        self._optimizer_map = optimizer_map
        self.optimizers: list[Optimizer] = []
        self._chosen: dict[int, Optimizer] = {}
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in [*optimizer_map.values(), optimizer_map.default_optimizer]:
                self._know(optimizer)

    def _know(self, optimizer: Optimizer) -> None:
        if all(optimizer is not known for known in self.optimizers):
            optimizer.loss_scale_factor = self.loss_scale_factor
            self.optimizers.append(optimizer)

    @property
    def learning_rate(self) -> NoReturn:
        """Not there: each of `optimizers` has its own.

        Raises:
            AttributeError: always.
        """
        raise LayerAttributeError(
            "a MultiOptimizer has no learning rate of its own", fix="read or set that of each of its `optimizers`"
        )

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise LayerAttributeError(
            "a MultiOptimizer has no learning rate of its own", fix="read or set that of each of its `optimizers`"
        )

    @property
    def variables(self) -> list[Variable]:
        """Its own count of steps, then those of the optimizers."""
        return [*self._variables, *(variable for each in self.optimizers for variable in each.variables)]

    def _groups(self, variables: Sequence[Variable]) -> list[tuple[Optimizer, list[Variable]]]:
        """The weights of each optimizer that has some."""
        for variable in variables:
            if id(variable) not in self._chosen:
                self._chosen[id(variable)] = _plain(self._optimizer_map(variable), f"the weight {variable.path!r}")
                self._know(self._chosen[id(variable)])
        groups = [(each, [v for v in variables if self._chosen[id(v)] is each]) for each in self.optimizers]
        return [(optimizer, own) for optimizer, own in groups if own]

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots of each optimizer for its weights."""
        if self.built:
            return
        for optimizer, own in self._groups(variables):
            optimizer.build(own)
        super().build(variables)

    def extend(self, variables: Sequence[Variable]) -> bool:
        """Make slots for weights that were released after `build`."""
        new = [variable for variable in variables if id(variable) not in self._index]
        if not self.built or not new:
            return False
        for variable in new:
            self._index[id(variable)] = len(self._trainable_variables)
            self._trainable_variables.append(variable)
        for optimizer, own in self._groups(self._trainable_variables):
            if optimizer.built:
                optimizer.extend(own)
            else:
                optimizer.build(own)
        self.generation += 1
        return True

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Let each optimizer update its weights."""
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        self.build(variables)
        pairs = self._checked_pairs(grads, variables)
        gradients = {id(variable): gradient for gradient, variable in pairs}
        for optimizer, own in self._groups([variable for _, variable in pairs]):
            optimizer.apply([gradients[id(variable)] for variable in own], own)
        self._iterations.assign(ops.add(self._iterations, 1))

    def finalize_variable_values(self, var_list: Sequence[Variable] | None = None) -> None:
        """As each optimizer does."""
        for optimizer in self.optimizers:
            optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal optimizer."""
        return {
            "optimizer_map": serialize(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
        """The optimizer that `get_config` described."""
        from kgraph.saving.objects import deserialize_keras_object

        values = dict(config)
        described = values.pop("optimizer_map")
        if isinstance(described, Mapping) and described.get("class_name") == "OptimizerMap":
            chosen: Any = OptimizerMap.from_config(described["config"], custom_objects)
        else:
            chosen = deserialize_keras_object(described, custom_objects)
        return cls(chosen, **values)
