"""Loops: `scan_region` writes a Python step function as the region of an IR `scan`; `scan` is its face as in JAX and
Keras.

What the step function reads from outside (tensors, Variables) becomes an invariant of the loop by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgraph.core import tree
from kgraph.core.dispatch import operation
from kgraph.core.tensors import TracedTensor, _NoValue
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.dims import DimLike
from kgraph.ops import shaping
from kgraph.ops.convert import active, as_tensor, cast_to, must_equal

__all__ = [
    "cond",
    "fori_loop",
    "map",
    "scan",
    "scan_region",
    "while_loop",
]

Step = Callable[[list[TracedTensor], list[TracedTensor]], tuple[Sequence[Any], Sequence[Any]]]


def scan_region(
    step: Step,
    inits: Sequence[Any],
    sequences: Sequence[Any],
    *,
    axis: int = 0,
    reverse: bool = False,
    length: DimLike | None = None,
) -> tuple[list[TracedTensor], list[TracedTensor]]:
    """A loop over the time axis, inside a trace.

    Args:
        step: (states, slices) -> (new states, outputs of this step); traced once.
        inits: first states.
        sequences: tensors that are walked along `axis`; a slice lacks that axis.
        axis: time axis of the sequences and of the stacked outputs.
        reverse: walk from the end; stacked outputs stay in natural order.
        length: number of steps, needed when there is no sequence.

    Returns:
        Final states, and the outputs of all steps stacked along `axis`.

    Raises:
        ShapeError: a state changes its shape or type from step to step.
    """
    trace = active("scan")
    states = [as_tensor(x) for x in inits]
    inputs = [as_tensor(x) for x in sequences]
    if inputs:
        must_equal([x.dims[axis] for x in inputs])
        length = inputs[0].dims[axis]
    if length is None:
        raise InvalidArgumentError("a scan without sequences needs a length")
    inner = trace.region("step")
    with inner:
        first = [inner.input(f"state_{i}", x.dims, x.dtype) for i, x in enumerate(states)]
        slices = [inner.input(f"slice_{i}", x.dims[:axis] + x.dims[axis + 1 :], x.dtype) for i, x in enumerate(inputs)]
        new_states, outputs = step(first, slices)
        after = [inner.capture(as_tensor(x)) for x in new_states]
        produced = [inner.capture(as_tensor(x)) for x in outputs]
        if len(after) != len(states):
            raise InvalidArgumentError(
                f"a scan of {len(states)} states got {len(after)} new states from its step function"
            )
        after = [cast_to(x, old.dtype) for x, old in zip(after, states)]
        for i, (old, new) in enumerate(zip(states, after)):
            if old.dims != new.dims:
                raise ShapeError(
                    f"scan: state {i} changes its shape from step to step",
                    where=str(trace.location()),
                    got=f"{new.shape} after a step",
                    needed=f"{old.shape}, as it starts",
                )
    inner.graph.outputs = [x.value for x in (*after, *produced)]
    invariants = [outer for outer, _ in inner.captured]
    for loss, owner in zip(inner.losses, inner.loss_owners):
        raise UnsupportedError(
            f"add_loss inside a loop body ({getattr(owner, 'name', owner)}, {loss})", fix="add it after the loop"
        )
    node = trace.emit_node(
        "scan",
        [*(x.value for x in states), *(x.value for x in inputs), *invariants],
        {"inits": len(states), "sequences": len(inputs), "axis": axis, "length": length, "reverse": bool(reverse)},
        [inner.graph],
    )
    results = [trace.tensor(value) for value in node.results]
    return results[: len(states)], results[len(states) :]


@operation
def scan(
    f: Callable[..., Any], init: Any, xs: Any = None, length: Any = None, reverse: bool = False, unroll: Any = 1
) -> Any:
    """`f(carry, x) -> (carry, y)` over the leading axis of `xs`: (last carry, stacked ys), as in JAX."""
    carry_leaves = tree.flatten(init)
    x_leaves = [] if xs is None else tree.flatten(xs)
    forms: list[Any] = []

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        x = None if xs is None else tree.pack_like(xs, slices)
        carry, y = f(tree.pack_like(init, states), x)
        forms.append(y)
        return tree.flatten(carry), [leaf for leaf in tree.flatten(y) if leaf is not None]

    final, ys = scan_region(step, carry_leaves, x_leaves, reverse=reverse, length=length)
    stacked = iter(ys)
    return tree.pack_like(init, final), tree.map_structure(
        lambda leaf: None if leaf is None else next(stacked), forms[0]
    )


@operation
def map(f: Callable[..., Any], xs: Any) -> Any:
    """`f` of each slice along the leading axis, stacked."""
    return scan(lambda carry, x: (carry, f(x)), [], xs)[1]


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """One of two functions, by a condition that is known as a Python or NumPy value.

    Raises:
        UnsupportedError: the condition is a tensor without a value.
    """
    if isinstance(pred, _NoValue):
        raise UnsupportedError(
            "ops.cond on a tensor without a value is not supported yet",
            fix="compute both results and choose with ops.where(condition, a, b)",
        )
    return true_fn() if bool(pred.numpy() if isinstance(pred, Variable) else np.asarray(pred)) else false_fn()


def while_loop(cond: Any, body: Any, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """Not there yet.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        "ops.while_loop is not supported yet", fix="use ops.scan with a fixed number of steps and ops.where"
    )


def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """`body_fun(i, value)` for i in [lower, upper), as a scan; the bounds are numbers."""
    return scan(lambda value, i: (body_fun(i, value), None), init_val, shaping.arange(int(lower), int(upper)))[0]
