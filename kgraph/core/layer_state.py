"""What a layer owns: weights, sub-layers, random states, regularisation losses; found by walking its attributes.

Sub-layers count wherever they are kept: as attribute, or inside lists, tuples and dicts of attributes.  Order is the
order in which attributes were first set; own weights come before those of sub-layers, trainable before
non-trainable, as in Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgraph.core.budget import check_weight
from kgraph.core.dtypes import is_float_dtype, standardize_dtype
from kgraph.core.operation import Operation
from kgraph.core.scope import current_path
from kgraph.core.tensors import SymbolicTensor
from kgraph.core.trace import current_trace
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, ShapeError

if TYPE_CHECKING:
    from kgraph.core.layer import Layer

__all__ = ["LayerState"]

_BOOKKEEPING = frozenset({"_inbound_nodes", "_outbound_nodes", "_own_weights", "_init_arguments", "trainer", "_graph"})

_KERAS3_WEIGHT = (
    "shape", "initializer", "dtype", "trainable", "autocast", "regularizer", "constraint", "aggregation",
    "overwrite_with_gradient", "name",
)  # fmt: skip
_KERAS2_WEIGHT = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")
_WEIGHT_ARGUMENTS = frozenset({*_KERAS3_WEIGHT, "synchronization", "layout", "use_resource", "experimental_autocast"})


def _found(value: Any, kinds: tuple[type, ...]) -> Iterator[Any]:
    """Objects of `kinds` in a value: itself, or inside lists, tuples and dicts."""
    if isinstance(value, kinds):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _found(item, kinds)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _found(item, kinds)


def _unique(items: Iterator[Any]) -> list[Any]:
    return list({id(item): item for item in items}.values())


class LayerState(Operation):
    """The part of `Layer` that keeps weights and sub-layers."""

    def __init__(self, name: str | None, trainable: bool, variable_dtype: str) -> None:
        super().__init__(name)
        self._own_weights: list[Variable] = []
        self._trainable = bool(trainable)
        self._variable_dtype = variable_dtype
        self._eager_losses: list[Any] = []

    # -- what there is --------------------------------------------------------------------------------------------
    def _attribute_values(self) -> Iterator[Any]:
        for key, value in list(self.__dict__.items()):
            if key not in _BOOKKEEPING:
                yield value

    def _sublayers(self) -> list[Layer]:
        """Layers kept directly by this one, each once, in order."""
        from kgraph.core.layer import Layer

        found = (layer for value in self._attribute_values() for layer in _found(value, (Layer,)))
        return [layer for layer in _unique(found) if layer is not self]

    def _flatten_layers(self, include_self: bool = True) -> list[Layer]:
        """This layer and all below it, each once, parents first."""
        seen: dict[int, Any] = {}

        def visit(layer: Any) -> None:
            if id(layer) not in seen:
                seen[id(layer)] = layer
                for child in layer._sublayers():
                    visit(child)

        visit(self)
        layers = list(seen.values())
        return layers if include_self else layers[1:]

    def _direct_weights(self) -> list[Variable]:
        """Variables made by `add_weight` or set as attributes: trainable ones first."""
        found = (v for value in self._attribute_values() for v in _found(value, (Variable,)))
        every: list[Variable] = list({id(v): v for v in [*self._own_weights, *found]}.values())
        # "Trainable" as it was created: freezing a layer must not change the order of its weights.
        return [v for v in every if v.created_trainable] + [v for v in every if not v.created_trainable]

    @property
    def weights(self) -> list[Variable]:
        """All weights: own ones (trainable first), then those of the sub-layers in order."""
        result: dict[int, Variable] = {}

        def visit(layer: Any, seen: set[int]) -> None:
            seen.add(id(layer))
            for variable in layer._direct_weights():
                result.setdefault(id(variable), variable)
            for child in layer._sublayers():
                if id(child) not in seen:
                    visit(child, seen)

        visit(self, set())
        return list(result.values())

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes; none when the layer is frozen."""
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves to the layer's own updates, or alone."""
        return [v for v in self.weights if not v.trainable] if self.trainable else self.weights

    @property
    def variables(self) -> list[Variable]:
        """Weights, and the states of random generators."""
        extra: dict[int, Variable] = {}
        for layer in self._flatten_layers():
            for value in layer._attribute_values():
                for generator in _found(value, (_generator_class(),)):
                    extra[id(generator.state)] = generator.state
        return [*self.weights, *extra.values()]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training changes."""
        return [v for v in self.variables if v.trainable] if self.trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All other variables."""
        return [v for v in self.variables if not v.trainable] if self.trainable else self.variables

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it reaches all sub-layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        self._trainable = value
        for variable in self._direct_weights():
            if variable.created_trainable:
                variable.trainable = value
        for layer in self._sublayers():
            layer.trainable = value

    # -- making weights -------------------------------------------------------------------------------------------
    def add_weight(self, *args: Any, **kwargs: Any) -> Variable:
        """Create a weight of this layer.

        Both orders are understood: Keras 3 `(shape, initializer, dtype, trainable, autocast, regularizer, constraint,
            aggregation,
        overwrite_with_gradient, name)` and Keras 2 `(name, shape, dtype, initializer, regularizer, trainable,
        constraint)`.

        Args:
            shape: sizes; `()` when not given.
            initializer: name, object, function `f(shape, dtype)` or array; glorot_uniform for floats, zeros else.
            dtype: the layer's type when not given.
            trainable: whether training changes it.
            regularizer: function or name; adds to the loss.
            constraint: function or name; applied after each optimizer step.
            name: last part of its path.

        Raises:
            InvalidArgumentError: an argument is unknown or given twice.
            ShapeError: a size is not known.
        """
        order = _KERAS2_WEIGHT if args and isinstance(args[0], str) else _KERAS3_WEIGHT
        given = dict(zip(order, args))
        wrong = [key for key in kwargs if key in given or key not in _WEIGHT_ARGUMENTS]
        if wrong or len(args) > len(order):
            raise InvalidArgumentError(f"add_weight of layer {self.name!r} cannot take {wrong or args}")
        given.update(kwargs)
        return self._add_weight(
            given.get("shape"),
            given.get("initializer"),
            given.get("dtype"),
            given.get("trainable", True),
            given.get("regularizer"),
            given.get("constraint"),
            given.get("name"),
        )

    def _add_weight(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any,
        trainable: bool | None,
        regularizer: Any,
        constraint: Any,
        name: str | None,
    ) -> Variable:
        sizes = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(shape or ())
        if any(size is None for size in sizes):
            raise ShapeError(
                f"weight {name!r} of layer {self.name!r} would have an unknown size",
                got=str(sizes),
                needed="numbers for all axes; the last axis of the input must be known",
            )
        element = standardize_dtype(dtype) if dtype is not None else self._variable_dtype
        check_weight(self.name, str(name), sizes, np.dtype(element).itemsize)
        from kgraph import constraints, initializers, regularizers

        if initializer is None:
            initializer = "glorot_uniform" if is_float_dtype(element) else "zeros"
        if name is None:
            name = f"variable_{len(self._own_weights)}" if self._own_weights else "variable"
        path = "/".join(part for part in (current_path(self.name), name) if part)
        variable = Variable(
            initializers.get(initializer) if isinstance(initializer, (str, dict)) else initializer,
            shape=sizes,
            dtype=element,
            trainable=trainable is not False,
            name=name,
            path=path,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        if not self.trainable:
            variable.trainable = False
        self._own_weights.append(variable)
        return variable

    # -- values ---------------------------------------------------------------------------------------------------
    def get_weights(self) -> list[npt.NDArray[Any]]:
        """Copies of the values of `weights`."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the values of `weights`, in the order of `get_weights`.

        Raises:
            ShapeError: another number of arrays, or a shape that does not fit.
        """
        own = self.weights
        arrays = [np.asarray(value) for value in weights]
        if len(arrays) != len(own):
            raise ShapeError(
                f"You called `set_weights(weights)` on layer {self.name!r} with a weight list of length "
                f"{len(arrays)}, but the "
                f"layer was expecting {len(own)} weights.",
                needed=", ".join(f"{v.path} {v.shape}" for v in own[:8]) + (" ..." if len(own) > 8 else ""),
                fix="" if own else "build the layer first, by calling it or by build(input_shape)",
            )
        for variable, array in zip(own, arrays):
            if variable.shape != array.shape:
                raise ShapeError(
                    f"Layer {self.name!r} weight shape {variable.shape} is not compatible with provided weight shape "
                    f"{array.shape}.",
                    where=variable.path,
                )
        for variable, array in zip(own, arrays):
            variable.assign(array)

    def count_params(self) -> int:
        """Number of elements of all weights."""
        return sum(variable.size for variable in self.weights)

    # -- losses ---------------------------------------------------------------------------------------------------
    def add_loss(self, loss: Any) -> None:
        """Add a scalar (or several) to the loss; inside `call` it is part of the traced step."""
        trace = current_trace()
        for term in loss if isinstance(loss, (list, tuple)) else [loss]:
            if term is None:
                continue
            if callable(term):
                term = term()
            if isinstance(term, SymbolicTensor):
                raise InvalidArgumentError(
                    f"add_loss of layer {self.name!r} got a tensor of a functional model",
                    got=repr(term),
                    fix="call add_loss on the model itself, or inside the layer's call()",
                )
            if trace is not None:
                from kgraph import ops

                term = ops.convert_to_tensor(term)
                trace.add_loss(ops.mean(term) if term.shape else term, self)
            else:
                self._eager_losses.append(term)

    def regularization_losses(self) -> list[Any]:
        """One scalar per trainable weight with a regularizer; traced inside a trace, else values."""
        return [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]

    @property
    def losses(self) -> list[Any]:
        """What `add_loss` collected (in the active trace, or in the last eager call), then regularisation terms."""
        trace = current_trace()
        layers = self._flatten_layers()
        if trace is None:
            collected = [term for layer in layers for term in layer._eager_losses]
        else:
            own = {id(layer) for layer in layers}
            collected = [term for term, owner in zip(trace.losses, trace.loss_owners) if id(owner) in own]
        return [*collected, *self.regularization_losses()]


def _generator_class() -> type:
    from kgraph.random import SeedGenerator

    return SeedGenerator


def forbid_unknown(kind: str, kwargs: dict[str, Any], known: Sequence[str] = ()) -> None:
    """Raise for keyword arguments that nobody took."""
    if kwargs:
        near = get_close_matches(next(iter(kwargs)), known, 1)
        raise InvalidArgumentError(
            f"Unrecognized keyword arguments passed to {kind}: {kwargs}", fix=f"write {near[0]}=" if near else ""
        )
