"""Small pieces that the layers share: the three settings of a weight, checks of arguments, sizes of padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kgraph import constraints, initializers, regularizers
from kgraph.core import Layer, Variable
from kgraph.core.session import image_data_format
from kgraph.errors import InvalidArgumentError, ShapeError

__all__ = [
    "add_weight",
    "check_rate",
    "known_size",
    "normal_data_format",
    "normal_padding",
    "normal_tuple",
    "positive",
    "set_weight_settings",
    "weight_config",
]


def set_weight_settings(layer: Layer, name: str, initializer: Any, regularizer: Any, constraint: Any) -> None:
    """Keep the settings of the weight `name` as attributes `<name>_initializer`, `_regularizer`, `_constraint`."""
    setattr(layer, f"{name}_initializer", initializers.get(initializer))
    setattr(layer, f"{name}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{name}_constraint", constraints.get(constraint))


def add_weight(layer: Layer, name: str, shape: Sequence[int], initializer: Any = None) -> Variable:
    """Make the weight `name` with the settings kept by `set_weight_settings`."""
    return layer.add_weight(
        shape=tuple(shape),
        initializer=getattr(layer, f"{name}_initializer") if initializer is None else initializer,
        regularizer=getattr(layer, f"{name}_regularizer"),
        constraint=getattr(layer, f"{name}_constraint"),
        name=name,
    )


def weight_config(layer: Layer, *names: str) -> dict[str, Any]:
    """The settings of these weights as `get_config` gives them."""
    config: dict[str, Any] = {}
    for kind, module in (("initializer", initializers), ("regularizer", regularizers), ("constraint", constraints)):
        for name in names:
            key = f"{name}_{kind}"
            config[key] = module.serialize(getattr(layer, key))
    return config


def positive(layer: Layer, argument: str, value: Any) -> int:
    """A positive integer argument.

    Raises:
        InvalidArgumentError: it is none.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) <= 0:
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `{argument}` is {value!r}", needed="a positive integer", where=layer.name
        )
    return int(value)


def check_rate(layer: Layer, rate: Any) -> float:
    """A share of units to drop.

    Raises:
        InvalidArgumentError: not within [0, 1].
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `rate` is {rate!r}", needed="a number from 0 to 1", where=layer.name
        )
    return float(rate)


def normal_tuple(layer: Layer, argument: str, value: Any, rank: int, zero: bool = False) -> tuple[int, ...]:
    """`value` repeated or checked to `rank` positive integers (0 too, if `zero`).

    Raises:
        InvalidArgumentError: another count, or not positive.
    """
    values = (
        (value,) * rank if hasattr(value, "__index__") else tuple(value) if isinstance(value, (list, tuple)) else ()
    )
    least = 0 if zero else 1
    if len(values) != rank or any(not hasattr(v, "__index__") or int(v) < least for v in values):
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `{argument}` is {value!r}",
            needed=f"an integer or {rank} integers, each at least {least}",
            where=layer.name,
        )
    return tuple(int(v) for v in values)


def normal_padding(layer: Layer, padding: Any, causal: bool = False) -> str:
    """`valid` or `same` (or `causal`), in any case.

    Raises:
        InvalidArgumentError: something else.
    """
    allowed = ("valid", "same", "causal") if causal else ("valid", "same")
    if not isinstance(padding, str) or padding.lower() not in allowed:
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `padding` is {padding!r}", needed=" or ".join(allowed), where=layer.name
        )
    return padding.lower()


def normal_data_format(layer: Layer, data_format: Any) -> str:
    """`channels_last` or `channels_first`; None is the default of the session.

    Raises:
        InvalidArgumentError: something else.
    """
    if data_format is None:
        return image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `data_format` is {data_format!r}",
            needed="channels_last or channels_first",
            where=layer.name,
        )
    return str(data_format)


def known_size(layer: Layer, shape: Sequence[Any], axis: int, what: str) -> int:
    """The size of an axis that a weight's shape depends on.

    Raises:
        ShapeError: the axis is missing or its size is not known.
    """
    size = shape[axis] if -len(shape) <= axis < len(shape) else None
    if size is None:
        raise ShapeError(
            f"{type(layer).__name__} {layer.name!r} cannot be built: {what} is not known",
            got=f"input shape {tuple(shape)}",
            needed=f"a number on axis {axis}",
            fix="give the size in Input(shape=...)",
        )
    return int(size)
