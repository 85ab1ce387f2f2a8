"""The learning phase, and functions and gradients made of recorded graphs."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core import tree
from kgraph.core.dispatch import has_symbolic, record
from kgraph.core.node import origin
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.trace import current_trace
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = [
    "function",
    "get_session",
    "gradients",
    "in_test_phase",
    "in_train_phase",
    "learning_phase",
    "print_tensor",
    "set_learning_phase",
    "set_session",
    "switch",
]

_PHASE: dict[str, int | None] = {"phase": None}


def learning_phase() -> Any:
    """1 in training, 0 in inference: that of the trace around, else what `set_learning_phase` said."""
    from kgraph.core.scope import call_training
    from kgraph.core.trace import current_trace

    if _PHASE["phase"] is not None:
        return _PHASE["phase"]
    trace = current_trace()
    training = call_training()
    if training is None and trace is not None:
        training = trace.training
    return int(bool(training))


def set_learning_phase(value: Any) -> None:
    """Fix the learning phase: 0, 1, or None to follow the call.

    Raises:
        InvalidArgumentError: another value.
    """
    if value not in (0, 1, None):
        raise InvalidArgumentError("the learning phase is 0 or 1", got=repr(value))
    _PHASE["phase"] = None if value is None else int(value)


def _result(x: Any) -> Any:
    return x() if callable(x) else x


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, else alt (tensors, or functions without arguments)."""
    phase = learning_phase() if training is None else training
    return _result(x) if phase else _result(alt)


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in inference, else alt."""
    return in_train_phase(alt, x, training)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """Element by element one of two tensors; a condition of lower rank is taken along the first axes."""
    chosen, other = _result(then_expression), _result(else_expression)
    missing = ops.ndim(chosen) - ops.ndim(condition)
    if missing > 0 and ops.ndim(condition):
        condition = ops.expand_dims(condition, list(range(ops.ndim(condition), ops.ndim(chosen))))
    return ops.where(condition, chosen, other)


def function(
    inputs: Any, outputs: Any, updates: Any = None, name: str | None = None, **kwargs: Any
) -> Callable[[Any], Any]:
    """A function from arrays to arrays, made of a functional graph: `f([x]) -> [y]`.

    Args:
        inputs: symbolic tensors; entries that are no tensors (`K.learning_phase()`) take 0 or 1 for `training`.
        outputs: one or a list.
    """
    from kgraph.models import Model

    if updates:
        raise UnsupportedError("K.function with updates is not supported", fix="use a custom layer, or trainer.step")
    entries = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    tensors = [x for x in entries if isinstance(x, SymbolicTensor)]
    model = Model(tensors, outputs)

    def run(values: Any) -> Any:
        given = list(values) if isinstance(values, (list, tuple)) else [values]
        arrays = [np.asarray(v) for v, x in zip(given, entries) if isinstance(x, SymbolicTensor)]
        phase = [bool(v) for v, x in zip(given[: len(entries)], entries) if not isinstance(x, SymbolicTensor)]
        results = model(arrays, training=bool(phase and phase[0]))
        return tree.map_structure(np.asarray, results)

    return run


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _sources(tensors: Sequence[SymbolicTensor]) -> list[SymbolicTensor]:
    """The inputs that tensors were computed from, in the order in which they are met."""
    found: dict[int, SymbolicTensor] = {}
    seen: set[int] = set()
    waiting = list(reversed(tensors))
    while waiting:
        tensor = waiting.pop()
        node = origin(tensor)
        if node is None or node.is_input:
            found.setdefault(id(tensor), tensor)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.extend(reversed(node.input_tensors))
    return list(found.values())


def gradients(loss: Any, variables: Any) -> list[Any]:
    """The gradient of the sum of `loss` for each tensor or Variable, as tensors of the same graph.

        grads = K.gradients(loss, model.input)[0]
        f = K.function([model.input], [loss, grads])

    Args:
        loss: a symbolic tensor, or a list of them.
        variables: symbolic tensors that the loss was computed from, or Variables; one or a list.

    Returns:
        A list: a symbolic tensor for each, None where the loss does not depend on it.

    Raises:
        InvalidArgumentError: the loss is no tensor of a functional graph, or a variable is neither.
    """
    from kgraph.models.graph import FunctionGraph

    losses, targets = _listed(loss), _listed(variables)
    if not losses or not builtins.all(isinstance(x, SymbolicTensor) for x in losses):
        raise InvalidArgumentError(
            "K.gradients needs a loss that was computed from the inputs of a model",
            got=", ".join(type(x).__name__ for x in losses) or "no loss",
            fix="compute it from model.input and model.output with functions of the backend",
        )
    for x in targets:
        if not isinstance(x, (SymbolicTensor, Variable)):
            raise InvalidArgumentError(
                "K.gradients differentiates for tensors of a functional graph and for Variables",
                got=type(x).__name__,
                needed="e.g. model.input, layer.output or layer.kernel",
            )
    inner = [x for x in targets if isinstance(x, SymbolicTensor)]
    roots = _sources([*losses, *inner])
    graph = FunctionGraph(roots, [*losses, *inner], "gradients")

    def gradients(*entries: Any) -> list[Any]:
        # Fresh values, or the entries of one tensor given for two inputs would share their gradients.
        outs = graph.run([ops.convert_to_tensor(x) for x in entries])
        tops, found = outs[: len(losses)], iter(outs[len(losses) :])
        wrt = [next(found) if isinstance(x, SymbolicTensor) else ops.convert_to_tensor(x) for x in targets]
        return list(ops.linalg.pull_back(tops, [ops.ones_like(y) for y in tops], wrt))

    result: list[Any] = record(gradients, "gradients", tuple(roots), {})
    return result


def print_tensor(x: Any, message: str = "") -> Any:
    """`x`; on an array its value is printed too.

    A compiled model prints nothing: there a warning says so, and how to see the values.
    """
    if isinstance(x, (SymbolicTensor, TracedTensor)) or has_symbolic(x) or current_trace() is not None:
        warnings.warn(
            "K.print_tensor prints nothing inside a model; to see values make them an output: "
            "K.function([model.input], [tensor])",
            stacklevel=2,
        )
    else:
        print(message, np.asarray(x))
    return x


def get_session() -> Any:
    """There are no sessions.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        "K.get_session: there are no sessions", fix="use K.function, K.eval or K.get_value to compute values"
    )


def set_session(session: Any) -> None:
    """Nothing: there are no sessions, and what they configure does not apply here."""
