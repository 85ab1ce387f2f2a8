"""Recurrent layers: the input's products for all steps at once, then one loop over the steps.

The time axis stays where it is, axis 1 of [B, T, ...]: the loop walks along it, nothing is transposed.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from kgraph import ops
from kgraph.core import InputSpec, Layer, Variable, tree
from kgraph.core.trace import eager_scope
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.recurrent_cells import Cell, GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells, initial_state
from kgraph.registry import serialize

__all__ = ["GRU", "LSTM", "RNN", "SimpleRNN"]

Tensors = list[Any]
Self = TypeVar("Self", bound="RNN")


class _Kept:
    """States between batches; in an object of their own because they are not weights of the layer (as in Keras)."""

    def __init__(self, variables: list[Variable]) -> None:
        self.variables = variables


class RNN(Layer):
    """A cell applied to the steps of a sequence.  x: f32[B, T, N] -> f32[B, units], or f32[B, T, units].

    Args:
        cell: a cell of ours, any layer with `state_size` and `call(inputs, states)`, or a list of cells.
        return_sequences: return the output of every step, not of the last alone.
        return_state: return the final states too.
        go_backwards: walk from the end; outputs stand in the order in which they were computed.
        stateful: start each batch where the last one ended; the batch size must be fixed.
        unroll: accepted; the loop is compiled either way.
        zero_output_for_mask: masked steps give zeros instead of the output before.
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        kind = type(self).__name__
        if not callable(cell) or not hasattr(cell, "state_size"):
            raise InvalidArgumentError(f"{kind}: argument `cell` is {cell!r}", needed="a callable with `state_size`")
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.unroll, self.zero_output_for_mask = stateful, unroll, zero_output_for_mask
        self.supports_masking = True
        self._kept: _Kept | None = None

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell for one step."""
        shape = sequences_shape[0] if isinstance(sequences_shape[0], (list, tuple)) else sequences_shape
        if len(shape) < 3:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs a sequence",
                got=f"input shape {tuple(shape)}",
                needed="(batch, steps, features)",
                fix="add an axis for the steps, or return_sequences=True in the recurrent layer before this one",
            )
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((shape[0], *shape[2:]))
        if self.stateful:
            self._make_states(shape[0])
        if not isinstance(sequences_shape[0], (list, tuple)):
            self.input_spec = [InputSpec(ndim=len(shape), axes={-1: shape[-1]})]

    def _make_states(self, batch_size: Any) -> None:
        if batch_size is None:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} is stateful and needs a fixed batch size",
                got="None as the first size of the input",
                fix="give Input(batch_shape=(batch, steps, features)), or batch_size= with input_shape=",
            )
        with eager_scope():
            values = [np.asarray(state) for state in tree.flatten(self.get_initial_state(int(batch_size)))]
        self._kept = _Kept(
            [
                Variable(value, dtype=value.dtype.name, trainable=False, name="state", path=f"{self.name}/state_{i}")
                for i, value in enumerate(values)
            ]
        )

    @property
    def states(self) -> list[Variable] | None:
        """The states kept between batches, with `stateful`."""
        return self._kept.variables if self._kept is not None else None

    def get_initial_state(self, batch_size: Any) -> Tensors:
        """The states that a sequence starts with."""
        return initial_state(self.cell, batch_size)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = False) -> Any:
        """Walk along the sequence."""
        if isinstance(sequences, (list, tuple)):  # Keras 2: [x, *states]
            sequences, *given = sequences
            initial_state = given or initial_state
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        states = self._initial(sequences, initial_state)
        leaves = tree.flatten(states)
        if isinstance(self.cell, Cell):
            inputs, step = self._own_step(self.cell, sequences, leaves, training)
        elif isinstance(self.cell, StackedRNNCells) and self._output_state() is not None:
            inputs, step = self._stacked_step(list(self.cell.cells), sequences, states, training)
        else:
            inputs, step = self._foreign_step(sequences, states, training)
        final, stacked = self._loop(step, leaves, inputs, mask)
        output = self._output(final, stacked, mask)
        for variable, state in zip(self.states or [], final):
            variable.assign(ops.cast(state, variable.dtype))
        return (output, *tree.pack_like(states, final)) if self.return_state else output

    def _initial(self, sequences: Any, given: Any) -> Any:
        states = self.get_initial_state(ops.shape(sequences)[0])
        if given is None and self.states is None:
            return states
        if given is None:
            batch, fixed = ops.shape(sequences)[0], (self.states or [])[0].shape[0]
            if batch != fixed:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r} is stateful and was built for batches of {fixed}",
                    got=f"a batch of {batch}",
                    fix="give Input(batch_shape=...) the size of all batches",
                )
            return tree.pack_like(states, [ops.convert_to_tensor(state) for state in self.states or []])
        have = tree.flatten(list(given) if isinstance(given, (list, tuple)) else [given])
        want = tree.flatten(states)
        if len(have) != len(want):
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: argument `initial_state` has {len(have)} tensors",
                needed=f"{len(want)}, of sizes {', '.join(str(state.shape[-1]) for state in want)}",
            )
        for x, state in zip(have, want):
            if len(x.shape) != len(state.shape) or x.shape[-1] != state.shape[-1]:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: a tensor of `initial_state` does not fit",
                    got=f"shape {tuple(x.shape)}",
                    needed=f"(batch, {state.shape[-1]})",
                )
        return tree.pack_like(states, [ops.cast(x, state.dtype) for x, state in zip(have, want)])

    def _own_step(self, cell: Cell, sequences: Any, states: Tensors, training: Any) -> tuple[Tensors, Any]:
        """The inputs of the loop and its body, for a cell whose input products need no loop."""
        template = (sequences[:, 0] if cell.dropout else None, states[0])
        of_input, of_state = cell.masks(template, training)
        projected, constants = cell.project(sequences, of_input), cell.constants(of_state)

        def step(now: Tensors, slices: Tensors) -> tuple[Any, Tensors]:
            new = cell.step(slices, now, of_state, constants)
            return new[0], new

        return projected, step

    def _stacked_step(
        self, cells: list[Cell], sequences: Any, states: list[Tensors], training: Any
    ) -> tuple[Tensors, Any]:
        """The same for cells of ours one on top of another: the lowest one's input products need no loop."""
        templates = [sequences[:, 0] if cells[0].dropout else None, *(own[0] for own in states)]
        masks = [cell.masks((below, own[0]), training) for cell, below, own in zip(cells, templates, states)]
        projected = cells[0].project(sequences, masks[0][0])
        constants = [cell.constants(of_state) for cell, (_, of_state) in zip(cells, masks)]

        def step(now: Tensors, slices: Tensors) -> tuple[Any, Tensors]:
            rest, new, output = list(now), [], None
            for cell, (of_input, of_state), fixed, own in zip(cells, masks, constants, states):
                before, rest = rest[: len(own)], rest[len(own) :]
                after = cell.step(slices if output is None else cell.project(output, of_input), before, of_state, fixed)
                output = after[0]
                new += after
            return output, new

        return projected, step

    def _foreign_step(self, sequences: Any, states: Any, training: Any) -> tuple[Tensors, Any]:
        """The inputs of the loop and its body, for any cell."""
        takes_training = isinstance(self.cell, Layer)

        def step(now: Tensors, slices: Tensors) -> tuple[Any, Tensors]:
            kwargs = {"training": training} if takes_training else {}
            output, new = self.cell(slices[0], tree.pack_like(states, now), **kwargs)
            return output, tree.flatten(new)

        return [sequences], step

    def _output_state(self) -> int | None:
        """Which of the states is the output too, with cells of ours; then it need not be carried along as well."""
        if isinstance(self.cell, Cell):
            return 0
        if isinstance(self.cell, StackedRNNCells) and all(isinstance(cell, Cell) for cell in self.cell.cells):
            return sum(len(cell.state_size) for cell in self.cell.cells[:-1])
        return None

    def _loop(self, step: Any, states: Tensors, inputs: Tensors, mask: Any) -> tuple[Tensors, Tensors]:
        own = self._output_state()
        carried = [] if own is not None or self.return_sequences else [self._first_output(states)]
        masked = mask is not None
        before_at = 0 if own is None else own
        if own is None and isinstance(self.cell, StackedRNNCells):
            before_at = len(states) - len(tree.flatten([self.cell.cells[-1].state_size]))

        def body(now: Tensors, slices: Tensors) -> tuple[Tensors, Tensors]:
            now = now[: len(states)]
            row = None
            if masked:
                *slices, row = slices
            output, new = step(now, slices)
            if row is not None:
                output_new = _where(row, output, 0.0 if self.zero_output_for_mask else now[before_at])
                new = [_where(row, after, old) for after, old in zip(new, now)]
                # One tensor for output and state lets the loop store it once.
                output = new[own] if own is not None and not self.zero_output_for_mask else output_new
            outputs = [output] if self.return_sequences else []
            return (new + [output] if carried else new), outputs

        sequences = [*inputs, ops.cast(mask, "bool")] if masked else inputs
        final, stacked = ops.scan_region(body, [*states, *carried], sequences, axis=1, reverse=self.go_backwards)
        return final, stacked

    def _first_output(self, states: Tensors) -> Any:
        size = getattr(self.cell, "output_size", None) or states[0].shape[-1]
        return ops.zeros((ops.shape(states[0])[0], size), dtype=states[0].dtype)

    def _output(self, final: Tensors, stacked: Tensors, mask: Any) -> Any:
        own = self._output_state()
        if self.return_sequences:
            return ops.flip(stacked[0], axis=1) if self.go_backwards else stacked[0]
        output = final[own] if own is not None else final.pop()
        if own is not None and mask is not None and self.zero_output_for_mask:
            output = _where(mask[:, 0] if self.go_backwards else mask[:, -1], output, 0.0)
        return output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the steps, if all outputs are returned."""
        if isinstance(previous_mask, (list, tuple)):
            previous_mask = previous_mask[0]
        mask = previous_mask if self.return_sequences else None
        if self.return_state:
            return [mask, *(None for _ in tree.flatten(self.cell.state_size))]
        return mask

    def reset_state(self) -> None:
        """Set the kept states to zeros; without `stateful` there are none."""
        for state in self.states or []:
            state.assign(np.zeros(state.shape, state.dtype))

    def reset_states(self, states: Any = None) -> None:
        """Keras 2's name of `reset_state`; also sets the kept states to given arrays.

        Raises:
            InvalidArgumentError: states are given and the layer keeps another number of them.
        """
        if states is None:
            self.reset_state()
            return
        given = tree.flatten(list(states) if isinstance(states, (list, tuple)) else [states])
        kept = self.states or []
        if len(given) != len(kept):
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: argument `states` has {len(given)} arrays",
                needed=f"{len(kept)}" if self.stateful else "a layer with stateful=True that was built",
            )
        for variable, value in zip(kept, given):
            variable.assign(np.asarray(value))

    def _own_config(self) -> dict[str, Any]:
        return {
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
        }

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), **self._own_config(), "cell": serialize(self.cell)}

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """A new layer from `get_config()`."""
        config = dict(config)
        if isinstance(config.get("cell"), dict):
            from kgraph.layers import deserialize

            config["cell"] = deserialize(config["cell"])
        return cls(**config)


def _where(row: Any, x: Any, other: Any) -> Any:
    """`x` in the rows of a batch that the mask bool[B] (or bool[B, 1, ...]) keeps, else `other`."""
    for _ in range(len(x.shape) - len(row.shape)):
        row = ops.expand_dims(row, -1)
    return ops.where(row, x, other)


_LOOP_ARGUMENTS = (
    "return_sequences return_state go_backwards stateful unroll zero_output_for_mask name trainable dtype input_shape "
    "input_dim input_length batch_input_shape batch_shape batch_size weights activity_regularizer autocast"
).split()


class _Builtin(RNN):
    """An `RNN` around a cell of ours, with the cell's arguments as its own."""

    cell_type: type[Cell] = SimpleRNNCell

    def __init__(self, units: int, *args: Any, **kwargs: Any) -> None:
        own = {key: kwargs.pop(key) for key in _LOOP_ARGUMENTS if key in kwargs}
        # Keras 1 and 2: how to compute, not what; cuDNN is no matter here.
        for ignored in ("implementation", "consume_less", "use_cudnn"):
            kwargs.pop(ignored, None)
        length = own.pop("input_length", None)
        if "input_dim" in own:
            own["input_shape"] = (length, own.pop("input_dim"))
        cell = self.cell_type(units, *args, dtype=own.get("dtype"), trainable=own.get("trainable", True), **kwargs)
        super().__init__(cell, **own)

    @property
    def units(self) -> int:
        """Size of the state and of the output."""
        return int(self.cell.units)

    @property
    def activation(self) -> Any:
        """Of the candidate and the output."""
        return self.cell.activation

    @property
    def recurrent_activation(self) -> Any:
        """Of the gates."""
        return self.cell.recurrent_activation

    @property
    def use_bias(self) -> bool:
        """Whether there is a bias."""
        return bool(self.cell.use_bias)

    @property
    def dropout(self) -> float:
        """Share of inputs to drop."""
        return float(self.cell.dropout)

    @property
    def recurrent_dropout(self) -> float:
        """Share of the state to drop."""
        return float(self.cell.recurrent_dropout)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        cell = self.cell.get_config()
        inner = {key: value for key, value in cell.items() if key not in ("name", "trainable", "dtype")}
        return {**Layer.get_config(self), **self._own_config(), **inner}

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """A new layer from `get_config()`."""
        return cls(**config)


class SimpleRNN(_Builtin):
    """h = activation(x · kernel + h · recurrent_kernel + bias) along a sequence.

    Args:
        units: size of the state.
        args, kwargs: those of `SimpleRNNCell`, then those of `RNN`.
    """

    cell_type = SimpleRNNCell


class LSTM(_Builtin):
    """Long short-term memory along a sequence; see `LSTMCell` and `RNN` for the arguments.

    Weights: kernel (N, 4 · units), recurrent_kernel (units, 4 · units), bias (4 · units), gates i, f, c, o.
    """

    cell_type = LSTMCell

    @property
    def unit_forget_bias(self) -> bool:
        """Whether the forget gate's bias starts at 1."""
        return bool(self.cell.unit_forget_bias)


class GRU(_Builtin):
    """Gated recurrent unit along a sequence; see `GRUCell` and `RNN` for the arguments.

    Weights: kernel (N, 3 · units), recurrent_kernel (units, 3 · units), bias (2, 3 · units), gates z, r, h.
    """

    cell_type = GRUCell

    @property
    def reset_after(self) -> bool:
        """Whether the reset gate is applied after the matrix product."""
        return bool(self.cell.reset_after)
