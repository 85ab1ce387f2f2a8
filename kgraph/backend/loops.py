"""Loops over time steps and elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kgraph import ops
from kgraph.core import tree
from kgraph.core.dispatch import operation
from kgraph.errors import ShapeError

__all__ = [
    "foldl",
    "foldr",
    "map_fn",
    "rnn",
]


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """`fn` of each element along the first axis, stacked."""
    result = ops.map(fn, elems)
    return result if dtype is None else tree.map_structure(lambda x: ops.cast(x, dtype), result)


@operation
def _fold(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any, backwards: bool) -> Any:
    x = ops.convert_to_tensor(elems)
    if not x.dims:
        raise ShapeError("a fold needs a tensor with elements along its first axis", got="a scalar")
    if initializer is None:
        first, rest = (x[-1], x[:-1]) if backwards else (x[0], x[1:])
    else:
        first, rest = ops.convert_to_tensor(initializer), x
    return ops.scan(lambda total, element: (fn(total, element), None), first, rest, reverse=backwards)[0]


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """`fn(total, element)` over the first axis from the front; without an initializer the first element starts."""
    return _fold(fn, elems, initializer, False)


def foldr(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """`fn(total, element)` over the first axis from the end; without an initializer the last element starts."""
    return _fold(fn, elems, initializer, True)


@operation
def rnn(
    step_function: Callable[..., Any],
    inputs: Any,
    initial_states: Sequence[Any],
    go_backwards: bool = False,
    mask: Any = None,
    constants: Sequence[Any] | None = None,
    unroll: bool = False,
    input_length: Any = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, list[Any]]:
    """`step_function(x_t, states) -> (output, new states)` over the time axis.

    Args:
        step_function: gets [batch, ...] and a list of states, the constants among them at the end.
        inputs: [batch, time, ...].
        initial_states: first states.
        go_backwards: start at the last step; the outputs come in the order in which they are made.
        mask: bool[batch, time]; where it is False the states stay and the last output is repeated.
        constants: tensors that each step gets.
        unroll, input_length: not needed.
        time_major: [time, batch, ...] for inputs, mask and outputs.
        zero_output_for_mask: zeros instead of the last output where the mask is False.
        return_all_outputs: False gives the last output alone, with a time axis of size 1.

    Returns:
        (last output, outputs [batch, time, ...], states).
    """
    axis = 0 if time_major else 1
    x = ops.convert_to_tensor(inputs)
    sequences = [x] if mask is None else [x, ops.reshape(ops.cast(mask, "bool"), x.dims[:2])]
    if go_backwards:
        sequences = [ops.flip(s, axis) for s in sequences]
    states = [ops.convert_to_tensor(state) for state in initial_states]
    fixed = list(constants or [])
    # The first step only tells the shape of an output; nothing reads its values.
    output, _ = step_function(sequences[0][0] if time_major else sequences[0][:, 0], [*states, *fixed])

    def step(carried: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        made, new = step_function(slices[0], [*carried[1:], *fixed])
        if mask is not None:
            made = _where(slices[1], made, ops.zeros_like(made) if zero_output_for_mask else carried[0])
            new = [_where(slices[1], after, before) for after, before in zip(new, carried[1:])]
        return [made, *new], [made]

    final, (outputs,) = ops.scan_region(step, [ops.zeros_like(output), *states], sequences, axis=axis)
    return final[0], outputs if return_all_outputs else ops.expand_dims(final[0], axis), final[1:]


def _where(kept: Any, new: Any, old: Any) -> Any:
    extra = len(new.dims) - len(kept.dims)
    return ops.where(ops.reshape(kept, (*kept.dims, *(1,) * extra)) if extra else kept, new, old)
