"""Derivatives inside a traced function: `gradients`, and `GradientTape` in the spelling of TensorFlow.

Both append one IR node; the pass `expand-gradients` writes the derivative in its place, so a step with several of them
is still one program.  A variable has one value before each assignment and one after; its gradient is the sum over all
of them, and none flows through an assignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph.core import tree
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.tensors import TracedTensor
from kgraph.core.trace import Trace, current_trace
from kgraph.core.variable import Variable
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.ir.graph import Literal, Value
from kgraph.ir.passes.autodiff import reached_by_gradient

__all__ = ["GradientTape", "gradients"]

_WHERE_IT_WORKS = (
    "write it into train_step(self, data) of a Model and call fit() or train_on_batch(), or into call() of a layer"
)


def gradients(loss: Any, sources: Any, output_gradients: Any = None) -> Any:
    """D loss / d source, inside `train_step`, `call` or another traced function.

    Args:
        loss: a float tensor of the step, or several; tensors with axes are summed.
        sources: variables and tensors of the step: one, or a list, tuple or dict of them.
        output_gradients: weights of the entries of `loss`, of its shape.

    Returns:
        Gradients in the form of `sources`, each of the shape of its source; None where `loss` does not depend on one.

    Raises:
        InvalidArgumentError: nothing is being traced, or a source is no tensor.
        UnsupportedError: inside a loop body, or an op on the way has no derivative (when the step is compiled).

    Example:
        >>> grads = kgraph.gradients(loss, self.trainable_variables)
        >>> self.optimizer.apply(grads, self.trainable_variables)
    """
    trace = _traced("gradients")
    target = _scalar(loss, output_gradients)
    flat = tree.flatten(sources)
    versions = [_versions(trace, source) for source in flat]
    value = trace.operand(target)
    reached = set() if isinstance(value, Literal) else reached_by_gradient(value)
    wanted = list(dict.fromkeys(v for values in versions for v in values if v in reached))
    if not wanted:
        return tree.map_structure(lambda _: None, sources)
    watched = {each: trace.watched(each) for each in wanted}
    # A loss that is a source itself is read through its mark.
    node = trace.emit_node("gradients", [watched.get(value, value), *watched.values()], {})
    found = {each: TracedTensor(result, trace) for each, result in zip(wanted, node.results)}
    grads = [_sum([found[v] for v in values if v in found]) for values in versions]
    return tree.pack_like(sources, grads)


def _traced(what: str) -> Trace:
    trace = current_trace()
    if trace is None:
        raise InvalidArgumentError(
            f"kgraph.{what} was used outside a traced function: values there do not know how they were made",
            needed="a step that is traced and compiled as a whole",
            fix=_WHERE_IT_WORKS,
        )
    if trace.parent is not None:
        raise UnsupportedError(f"kgraph.{what} is not supported inside the body of a loop", fix="call it on the result")
    return trace


def _scalar(loss: Any, weights: Any) -> Any:
    """One number: the sum of all entries of all losses, each times its weight."""
    from kgraph import ops

    losses = [ops.convert_to_tensor(each) for each in tree.flatten(loss)]
    if weights is not None:
        factors = [None if each is None else ops.stop_gradient(each) for each in tree.flatten(weights)]
        losses = [each if factor is None else each * factor for each, factor in zip(losses, factors, strict=True)]
    for each in losses:
        if not is_float_dtype(each.dtype):
            raise InvalidArgumentError(
                "a gradient was asked for of a loss that is no float",
                got=repr(each),
                fix="cast it: ops.cast(loss, ...)",
            )
    total = None
    for each in losses:
        one = ops.sum(each) if len(each.shape) else each
        total = one if total is None else total + one
    return total


def _versions(trace: Trace, source: Any) -> list[Value]:
    """The IR values that `source` stands for."""
    if isinstance(source, Variable):
        return trace.versions_of(source)
    if isinstance(source, TracedTensor):
        return [trace.operand(source)]
    raise InvalidArgumentError(
        "a gradient was asked for with respect to something that is neither a variable nor a tensor of this step",
        got=repr(source)[:80],
        fix="pass self.trainable_variables, or a tensor; an array becomes one with ops.convert_to_tensor",
    )


def _sum(parts: Sequence[Any]) -> Any:
    total = None
    for part in parts:
        total = part if total is None else total + part
    return total


class GradientTape:
    """`with GradientTape() as tape: ...; grads = tape.gradient(loss, variables)`, inside `train_step` or `call`.

    The whole step is traced, so nothing has to be recorded: the block only groups lines.  What is computed outside it
    has gradients too; `ops.stop_gradient` keeps them out.  `gradient` may be called any number of times.

    Args:
        persistent: accepted; every tape is.
        watch_accessed_variables: accepted; only the sources that are asked for matter.

    Raises:
        InvalidArgumentError: entered outside a traced function.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent

    def __enter__(self) -> GradientTape:
        _traced("GradientTape")
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to do."""

    def watch(self, tensor: Any) -> None:
        """Nothing to do: every tensor of the step can be a source."""

    def reset(self) -> None:
        """Nothing to do."""

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: Any = "none"
    ) -> Any:
        """As `kgraph.gradients`; with `unconnected_gradients="zero"` zeros stand for None."""
        found = gradients(target, sources, output_gradients)
        if str(getattr(unconnected_gradients, "value", unconnected_gradients)).lower() == "none":
            return found
        from kgraph import ops

        pairs = zip(tree.flatten(sources), tree.flatten(found))
        return tree.pack_like(sources, [ops.zeros_like(source) if grad is None else grad for source, grad in pairs])

    def stop_recording(self) -> Any:
        """Not there.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "GradientTape.stop_recording is not supported: nothing is recorded",
            fix="wrap the values in ops.stop_gradient",
        )

    def jacobian(self, target: Any, sources: Any, **kwargs: Any) -> Any:
        """Not there; nor is `batch_jacobian`.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "GradientTape.jacobian is not supported",
            fix="call gradient for each entry of the target, e.g. for each column of the outputs",
        )

    batch_jacobian = jacobian
