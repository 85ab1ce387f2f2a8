"""Losses of single elements or rows, as functions; `kgraph.losses` has the ones that are reduced and named.

`ctc_loss` is in `kgraph.ops.ctc`.
"""

from __future__ import annotations

from typing import Any

from kgraph.core.dispatch import operation
from kgraph.core.session import epsilon
from kgraph.core.tensors import TracedTensor
from kgraph.errors import ShapeError
from kgraph.ops import making, math, nn, reduction, shaping, taking
from kgraph.ops.convert import active, as_tensor, cast_to, must_equal, normal_axis
from kgraph.ops.operands import as_float

__all__ = ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]


def _same_shape(name: str, target: TracedTensor, output: TracedTensor) -> None:
    if len(target.dims) == len(output.dims):
        for pair in zip(target.dims, output.dims):
            must_equal(list(pair))
    if target.dims != output.dims:
        raise ShapeError(
            f"{name} needs a target of the shape of the output",
            where=str(active().location()),
            got=f"target {target.shape}, output {output.shape}",
        )


def _log_probabilities(output: TracedTensor, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return nn.log_softmax(output, axis=axis)
    shares = math.divide(output, reduction.sum(output, axis, keepdims=True))
    return math.log(math.clip(shares, epsilon(), 1.0 - epsilon()))


@operation
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-target * log(output) - (1 - target) * log(1 - output), element by element.

    Args:
        target: 0 to 1.
        output: probabilities, kept away from 0 and 1 by 1e-7; or, with `from_logits`, any numbers.
        from_logits: whether a sigmoid is still to be applied to the output.
    """
    guess = as_float(output)
    truth = cast_to(as_tensor(target), guess.dtype)
    _same_shape("binary_crossentropy", truth, guess)
    rest = math.subtract(1.0, truth)
    if from_logits:
        yes, no = nn.log_sigmoid(guess), nn.log_sigmoid(math.negative(guess))
    else:
        clipped = math.clip(guess, epsilon(), 1.0 - epsilon())
        yes, no = math.log(clipped), math.log(math.subtract(1.0, clipped))
    return math.negative(math.add(math.multiply(truth, yes), math.multiply(rest, no)))


@operation
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(target * log(output)) along an axis.

    Args:
        target: probabilities of the classes, of the shape of the output.
        output: probabilities (scaled to sum 1), or, with `from_logits`, any numbers.
        from_logits: whether a softmax is still to be applied to the output.
        axis: the axis of the classes.
    """
    guess = as_float(output)
    truth = cast_to(as_tensor(target), guess.dtype)
    _same_shape("categorical_crossentropy", truth, guess)
    log_share = _log_probabilities(guess, from_logits, axis)
    return math.negative(reduction.sum(math.multiply(truth, log_share), axis))


@operation
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-log(output of the target class).

    Args:
        target: classes, i32[*S] or i32[*S, 1].
        output: [*S, classes]: probabilities (scaled to sum 1), or, with `from_logits`, any numbers.  The classes may
            be the rows of the batch, as in contrastive losses.
        from_logits: whether a softmax is still to be applied to the output.
        axis: the axis of the classes.
    """
    guess = as_float(output)
    truth = cast_to(as_tensor(target), "int32")
    if len(truth.dims) == len(guess.dims) and truth.dims[-1] == 1:
        truth = shaping.squeeze(truth, -1)
    place = normal_axis(axis, len(guess.dims))
    _same_shape("sparse_categorical_crossentropy", truth, _without_axis(guess, place))
    chosen = making.one_hot(truth, guess.dims[place], axis=place, dtype=guess.dtype)
    return math.negative(reduction.sum(math.multiply(chosen, _log_probabilities(guess, from_logits, axis)), axis))


def _without_axis(x: TracedTensor, axis: int) -> TracedTensor:
    """One slice along an axis: its shape is what counts."""
    one: TracedTensor = taking.get_item(x, (*(slice(None),) * axis, 0))
    return one
