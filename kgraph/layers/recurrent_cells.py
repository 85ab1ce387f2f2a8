"""One step of a recurrent layer: `LSTMCell`, `GRUCell`, `SimpleRNNCell`, `StackedRNNCells`.

A cell of ours is cut in two, so that a layer can do the first part for all steps at once:
`project(x)` is everything that depends on the input alone (x · kernel + bias), `step(projected, states)` the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph import activations, ops, random
from kgraph.core import Layer, Variable
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import add_weight, known_size, positive, set_weight_settings, weight_config

__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"]

Tensors = list[Any]


class Cell(Layer):
    """What our cells share: kernel, recurrent kernel, bias, and dropout on both products.

    Args:
        units: size of the state and of the output.
        activation: of the candidate and the output.
        recurrent_activation: of the gates.
        use_bias: whether to add a bias.
        dropout: share of inputs to drop; one mask serves all steps of a sequence.
        recurrent_dropout: share of the state to drop, likewise.
    """

    gates = 1
    takes_recurrent_activation = True

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        recurrent_activation: Any = "sigmoid",
        **kwargs: Any,
    ) -> None:
        kwargs.pop("implementation", None)
        super().__init__(**kwargs)
        self.units = positive(self, "units", units)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = use_bias
        set_weight_settings(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_weight_settings(self, "recurrent", recurrent_initializer, recurrent_regularizer, recurrent_constraint)
        set_weight_settings(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.dropout = min(1.0, max(0.0, float(dropout)))
        self.recurrent_dropout = min(1.0, max(0.0, float(recurrent_dropout)))
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.bias: Variable | None = None

    @property
    def state_size(self) -> list[int]:
        """Size of each state."""
        return [self.units]

    @property
    def output_size(self) -> int:
        """Size of the output."""
        return self.units

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        inputs = known_size(self, input_shape, -1, "the last size of the input")
        self.kernel = add_weight(self, "kernel", (inputs, self.gates * self.units))
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.gates * self.units),
            name="recurrent_kernel",
            **{key: getattr(self, f"recurrent_{key}") for key in ("initializer", "regularizer", "constraint")},
        )
        if self.use_bias:
            self._build_bias()

    def _build_bias(self) -> None:
        self.bias = add_weight(self, "bias", (self.gates * self.units,))

    # -- the two halves of a step -------------------------------------------------------------------------------------
    def masks(self, template: Any, training: Any) -> tuple[Tensors, Tensors]:
        """Dropout masks for inputs and states, drawn once per sequence: none, one, or one per gate.

        Args:
            template: (inputs [B, N], state [B, units]): tensors of these shapes.
            training: masks are drawn in training only.
        """
        if not training:
            return [], []
        inputs, state = template
        # As in Keras: recurrent dropout goes with masks of their own for every gate.
        count = self.gates if 0.0 < self.recurrent_dropout < 1.0 else 1
        return self._draw(inputs, self.dropout, count), self._draw(state, self.recurrent_dropout, count)

    def _draw(self, like: Any, rate: float, count: int) -> Tensors:
        if not 0.0 < rate < 1.0:
            return []
        ones = ops.ones_like(like)
        return [random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count)]

    def input_bias(self) -> Any:
        """The bias that is added to the projected input, or None."""
        return self.bias

    def project(self, inputs: Any, masks: Tensors) -> Tensors:
        """`x` · kernel + bias; one tensor for all gates, or one per gate with several masks.

        x: f32[B, N] or f32[B, T, N].
        """
        if len(masks) <= 1:
            return [
                self._affine(inputs * _steps(masks[0], inputs) if masks else inputs, self.kernel, self.input_bias())
            ]
        kernels = ops.split(self.kernel, self.gates, axis=1)
        bias = self.input_bias()
        biases = [None] * self.gates if bias is None else ops.split(bias, self.gates, axis=0)
        return [self._affine(inputs * _steps(m, inputs), k, b) for m, k, b in zip(masks, kernels, biases)]

    def _affine(self, x: Any, kernel: Any, bias: Any) -> Any:
        if len(x.shape) == 2:
            y = ops.matmul(x, kernel)
            return y if bias is None else ops.add(y, bias)
        lead = tuple(ops.shape(x))[:-1]
        y = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel)
        return ops.reshape(y if bias is None else ops.add(y, bias), (*lead, kernel.shape[-1]))

    def constants(self, masks: Tensors) -> dict[str, Any]:
        """What every step needs of the weights; made once, before the loop."""
        if len(masks) > 1:
            return {"kernels": ops.split(self.recurrent_kernel, self.gates, axis=1)}
        return {"kernel": self.recurrent_kernel}

    def _gates(self, projected: Tensors, state: Any, masks: Tensors, constants: dict[str, Any]) -> Tensors:
        """`x` · kernel + bias + h · recurrent_kernel, one tensor per gate."""
        if len(masks) > 1:
            inner = [ops.matmul(ops.multiply(state, m), k) for m, k in zip(masks, constants["kernels"])]
            outer = projected if len(projected) > 1 else self._split(projected[0])
            return [ops.add(x, h) for x, h in zip(outer, inner)]
        if masks:
            state = ops.multiply(state, masks[0])
        return self._split(ops.add(projected[0], ops.matmul(state, constants["kernel"])))

    def _split(self, x: Any) -> Tensors:
        return [x] if self.gates == 1 else list(ops.split(x, self.gates, axis=-1))

    def step(self, projected: Tensors, states: Tensors, masks: Tensors, constants: dict[str, Any]) -> Tensors:
        """New states from the projected input of a step; the first one is the output."""
        raise NotImplementedError

    # -- as a layer of its own ----------------------------------------------------------------------------------------
    def call(self, inputs: Any, states: Any, training: Any = False) -> Any:
        """One step: (output, new states)."""
        nested = isinstance(states, (list, tuple))
        states = list(states) if nested else [states]
        of_input, of_state = self.masks((inputs, states[0]), training)
        new = self.step(self.project(inputs, of_input), states, of_state, self.constants(of_state))
        return new[0], (new if nested else new[0])

    def get_initial_state(self, batch_size: Any = None) -> Tensors:
        """Zeros for each state.

        Args:
            batch_size: an integer or a symbolic size.
        """
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "use_bias": self.use_bias,
            **weight_config(self, "kernel", "recurrent", "bias"),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }
        if not self.takes_recurrent_activation:
            del config["recurrent_activation"]
        return config


def _steps(mask: Any, inputs: Any) -> Any:
    """A mask [B, N] in a shape that serves all steps of [B, T, N]."""
    return ops.expand_dims(mask, 1) if len(inputs.shape) == 3 else mask


class SimpleRNNCell(Cell):
    """h = activation(x · kernel + h · recurrent_kernel + bias)."""

    takes_recurrent_activation = False

    def step(self, projected: Tensors, states: Tensors, masks: Tensors, constants: dict[str, Any]) -> Tensors:
        """The new state."""
        (z,) = self._gates(projected, states[0], masks, constants)
        return [self.activation(z)]


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997); gates in the order input, forget, candidate, output.

    Args:
        unit_forget_bias: start the forget gate's bias at 1.
    """

    gates = 4

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", **kwargs: Any
    ) -> None:
        unit_forget_bias = kwargs.pop("unit_forget_bias", True)
        super().__init__(units, activation, recurrent_activation=recurrent_activation, **kwargs)
        self.unit_forget_bias = unit_forget_bias

    @property
    def state_size(self) -> list[int]:
        """Size of h and of c."""
        return [self.units, self.units]

    def _build_bias(self) -> None:
        units = self.units
        initializer: Any = getattr(self, "bias_initializer")  # noqa: B009  (set by set_weight_settings)

        def forget_one(shape: Any, dtype: Any = None) -> Any:
            parts = [
                initializer((units,), dtype=dtype),
                np.ones((units,), dtype),
                initializer((2 * units,), dtype=dtype),
            ]
            return np.concatenate([np.asarray(part) for part in parts])

        chosen = forget_one if self.unit_forget_bias else initializer
        self.bias = add_weight(self, "bias", (4 * units,), chosen)

    def step(self, projected: Tensors, states: Tensors, masks: Tensors, constants: dict[str, Any]) -> Tensors:
        """The new h and c."""
        h, c = states
        i, f, g, o = self._gates(projected, h, masks, constants)
        i, f, o = self.recurrent_activation(i), self.recurrent_activation(f), self.recurrent_activation(o)
        c = ops.multiply(f, c) + i * self.activation(g)
        return [o * self.activation(c), c]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014); gates in the order update, reset, candidate.

    Args:
        reset_after: apply the reset gate after the matrix product; the bias then has a row for each product.
    """

    gates = 3

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", **kwargs: Any
    ) -> None:
        reset_after = kwargs.pop("reset_after", True)
        super().__init__(units, activation, recurrent_activation=recurrent_activation, **kwargs)
        self.reset_after = reset_after

    def _build_bias(self) -> None:
        shape = (2, 3 * self.units) if self.reset_after else (3 * self.units,)
        self.bias = add_weight(self, "bias", shape)

    def _bias_row(self, row: int) -> Any:
        if self.bias is None:
            return None
        return ops.reshape(ops.split(self.bias, 2, axis=0)[row], (3 * self.units,))

    def input_bias(self) -> Any:
        """The bias that is added to the projected input, or None."""
        return self._bias_row(0) if self.reset_after else self.bias

    def constants(self, masks: Tensors) -> dict[str, Any]:
        """What every step needs of the weights; made once, before the loop."""
        bias = self._bias_row(1) if self.reset_after else None
        if len(masks) > 1:
            return {**super().constants(masks), "biases": None if bias is None else ops.split(bias, 3, axis=0)}
        if self.reset_after:
            return {"kernel": self.recurrent_kernel, "bias": bias}
        return {"parts": ops.split(self.recurrent_kernel, [2 * self.units], axis=1)}

    def step(self, projected: Tensors, states: Tensors, masks: Tensors, constants: dict[str, Any]) -> Tensors:
        """The new state."""
        (h,) = states
        x_z, x_r, x_h = projected if len(projected) > 1 else self._split(projected[0])
        # States as the gates see them: one for all, or one per gate with dropout.
        seen = [ops.multiply(h, mask) for mask in masks] if masks else [h]
        h_z, h_r, h_c = seen if len(seen) > 1 else seen * 3
        i_h: Any = None
        if len(seen) > 1:
            k_z, k_r, k_h = constants["kernels"]
            i_z, i_r = ops.matmul(h_z, k_z), ops.matmul(h_r, k_r)
            if self.reset_after:
                i_h = ops.matmul(h_c, k_h)
                if constants["biases"] is not None:
                    i_z, i_r, i_h = (ops.add(i, b) for i, b in zip((i_z, i_r, i_h), constants["biases"]))
        elif self.reset_after:
            inner, bias = ops.matmul(h, constants["kernel"]), constants["bias"]
            i_z, i_r, i_h = self._split(inner if bias is None else ops.add(inner, bias))
        else:
            k_zr, k_h = constants["parts"]
            i_z, i_r = ops.split(ops.matmul(h, k_zr), 2, axis=-1)
        z = self.recurrent_activation(ops.add(x_z, i_z))
        r = self.recurrent_activation(ops.add(x_r, i_r))
        i_h = r * i_h if self.reset_after else ops.matmul(ops.multiply(r, h_c), k_h)
        candidate = self.activation(ops.add(x_h, i_h))
        return [z * h + (1.0 - z) * candidate]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "reset_after": self.reset_after}


class StackedRNNCells(Layer):
    """Several cells as one: the output of each is the input of the next."""

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = list(cells)
        for cell in self.cells:
            if not hasattr(cell, "state_size") or not callable(cell):
                raise InvalidArgumentError(
                    f"StackedRNNCells: {cell!r} is no cell", needed="a callable with `state_size`"
                )

    @property
    def state_size(self) -> list[Any]:
        """Sizes of the states of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """Size of the last cell's output."""
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Tensors]:
        """Zeros for each state of each cell."""
        return [initial_state(cell, batch_size) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        """Build the cells one behind the other."""
        shape = tuple(input_shape)
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(shape)
            shape = (shape[0], _output_size(cell))

    def call(self, inputs: Any, states: Any, training: Any = False) -> Any:
        """One step: (output, new states per cell)."""
        new_states = []
        for cell, own in zip(self.cells, states):
            inputs, new = cell(inputs, list(own) if isinstance(own, (list, tuple)) else [own])
            new_states.append(list(new) if isinstance(new, (list, tuple)) else [new])
        return inputs, new_states

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        from kgraph.registry import serialize

        return {**super().get_config(), "cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StackedRNNCells:
        """A new layer from `get_config()`."""
        from kgraph.layers import deserialize

        config = dict(config)
        cells = [deserialize(cell) if isinstance(cell, dict) else cell for cell in config.pop("cells")]
        return cls(cells, **config)


def _output_size(cell: Any) -> int:
    size = getattr(cell, "output_size", None)
    if size is None:
        first = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
        size = first
    return int(size)


def initial_state(cell: Any, batch_size: Any) -> Tensors:
    """The states that a sequence starts with: what the cell says, or zeros."""
    if hasattr(cell, "get_initial_state"):
        state = cell.get_initial_state(batch_size=batch_size)
        return list(state) if isinstance(state, (list, tuple)) else [state]
    sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    return [ops.zeros((batch_size, size), dtype=getattr(cell, "compute_dtype", "float32")) for size in sizes]
