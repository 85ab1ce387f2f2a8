"""What losses and metrics share: targets and outputs brought together, masks, calls of the user's functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kgraph import ops
from kgraph.core.session import epsilon
from kgraph.errors import CallError, InvalidArgumentError, ShapeError

__all__ = ["called", "l2_normalize", "mask_of", "match_ranks", "pair", "sizes_text"]


def match_ranks(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Bring (n,) and (n, 1) to one rank, as Keras does: rank 1 is expanded, a higher rank loses its last axis of 1."""
    rank_true, rank_pred = len(y_true.shape), len(y_pred.shape)
    if rank_true == rank_pred + 1 and y_true.shape[-1] == 1:
        if rank_pred == 1:
            y_pred = ops.expand_dims(y_pred, -1)
        else:
            y_true = ops.squeeze(y_true, -1)
    elif rank_pred == rank_true + 1 and y_pred.shape[-1] == 1:
        if rank_true == 1:
            y_true = ops.expand_dims(y_true, -1)
        else:
            y_pred = ops.squeeze(y_pred, -1)
    return y_true, y_pred


def pair(name: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Tensors of one float type and one shape.

    Raises:
        ShapeError: the shapes differ; the message names the loss `name`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    if not str(y_pred.dtype).startswith("float"):
        y_pred = ops.cast(y_pred, "float32")
    y_true, y_pred = match_ranks(ops.cast(y_true, y_pred.dtype), y_pred)
    have, want = tuple(y_true.shape), tuple(y_pred.shape)
    if len(have) != len(want) or any(a is not None and b is not None and a != b for a, b in zip(have, want)):
        raise ShapeError(
            f"{name}: targets and outputs have different shapes",
            got=f"targets {sizes_text(have)}, outputs {sizes_text(want)}",
            needed="equal shapes; kgraph does not broadcast targets against outputs",
            fix="for integer class labels use a sparse_categorical loss" if len(have) + 1 == len(want) else "",
        )
    return y_true, y_pred


def sizes_text(shape: Sequence[Any]) -> str:
    """A shape for messages, sizes that are not known yet as `?`."""
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"


def mask_of(tensor: Any) -> Any:
    """The mask that travels with a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def called(function: Callable[..., Any], kind: str, y_true: Any, y_pred: Any, kwargs: Mapping[str, Any]) -> Any:
    """What a loss or metric function of the user returns.

    Raises:
        CallError: it does not take targets and outputs.
        InvalidArgumentError: it returned None.
    """
    name = getattr(function, "__name__", type(function).__name__)
    try:
        inspect.signature(function).bind(y_true, y_pred, **kwargs)
    except TypeError as error:
        raise CallError(
            f"the {kind} function {name!r} cannot be called with targets and outputs",
            got=str(error),
            needed="a function of (y_true, y_pred)",
        ) from None
    except ValueError:
        pass  # a built-in without a signature
    value = function(y_true, y_pred, **kwargs)
    if value is None:
        raise InvalidArgumentError(
            f"the {kind} function {name!r} returned None",
            needed="one value for each sample, or a single one",
            fix="end it with `return ...`",
        )
    return value


def l2_normalize(x: Any, axis: int = -1) -> Any:
    """`x` / max(|x|, 1e-7), |x| the L2 norm over `axis`."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, epsilon() * epsilon()))
