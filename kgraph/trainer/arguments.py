"""What `compile` was given, in one form: a loss, a weight and metrics for each output.

Accepts the positional orders of Keras 2 and Keras 3 and every nesting that they allow.  Names are checked here, before
any data; what depends on the shape of the targets ("accuracy", "crossentropy") is resolved when the first data come.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from kgraph.errors import InvalidArgumentError, UnknownNameError

__all__ = ["OutputPlan", "is_weights", "plan_outputs", "sort_third_and_fourth"]

# Resolved by the shapes of an output and its targets.
_BY_SHAPE_LOSS = ("crossentropy", "ce")
_BY_SHAPE_METRIC = ("accuracy", "acc", "crossentropy", "ce")


@dataclass
class OutputPlan:
    """What is asked of one output.

    Attributes:
        name: of the output.
        loss: as given: a name, function, object or None.
        weight: of its loss in the total; None for 1.
        metrics: as given, for this output.
        weighted_metrics: metrics that take sample weights.
        loss_object: the loss, once shapes are known.
        metric_objects: (key in the logs, metric), once shapes are known.
        weighted_metric_objects: the same for the weighted ones.
    """

    name: str
    loss: Any = None
    weight: float | None = None
    metrics: list[Any] = field(default_factory=list)
    weighted_metrics: list[Any] = field(default_factory=list)
    loss_object: Any = None
    metric_objects: list[tuple[str, Any]] = field(default_factory=list)
    weighted_metric_objects: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def has_target(self) -> bool:
        """Whether `y` has an array for this output."""
        return self.loss is not None or bool(self.metrics or self.weighted_metrics)


def is_weights(value: Any) -> bool:
    """Whether this is what `loss_weights` takes: a number, or numbers in a list or dict."""
    if isinstance(value, Mapping):
        return bool(value) and all(_is_number(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_number(item) for item in value)
    return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def sort_third_and_fourth(third: Any, fourth: Any, metrics: Any, loss_weights: Any) -> tuple[Any, Any]:
    """Tell `metrics` from `loss_weights` among positional arguments, in the order of Keras 2 or of Keras 3.

    Returns:
        (metrics, loss_weights).

    Raises:
        InvalidArgumentError: one of them is given twice.
    """
    for value in (third, fourth):
        if value is None or (isinstance(value, (list, tuple, dict)) and not value):
            continue
        name = "loss_weights" if is_weights(value) else "metrics"
        if (loss_weights if name == "loss_weights" else metrics) is not None:
            raise InvalidArgumentError(f"compile() got {name} twice", got=repr(value), fix="pass it once, by its name")
        if name == "loss_weights":
            loss_weights = value
        else:
            metrics = value
    return metrics, loss_weights


def plan_outputs(
    names: Sequence[str], loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any
) -> list[OutputPlan]:
    """One plan for each output.

    Args:
        names: of the outputs, in order.
        loss: for all outputs, or a list, or a dict by output name.
        loss_weights: a list, a dict by output name, or a number.
        metrics: a list for all outputs, one entry (or list) for each, or a dict by output name.
        weighted_metrics: the same.

    Raises:
        InvalidArgumentError: the counts do not fit.
        UnknownNameError: a name is that of no output, loss or metric.
    """
    plans = [OutputPlan(name) for name in names]
    for plan, value in zip(plans, _spread(loss, names, "loss")):
        plan.loss = _checked_loss(value)
    for plan, value in zip(plans, _spread_weights(loss_weights, plans)):
        plan.weight = value
    for plan, entries in zip(plans, _spread_metrics(metrics, names, "metrics")):
        plan.metrics = [_checked_metric(entry) for entry in entries]
    for plan, entries in zip(plans, _spread_metrics(weighted_metrics, names, "weighted_metrics")):
        plan.weighted_metrics = [_checked_metric(entry) for entry in entries]
    return plans


def _spread(value: Any, names: Sequence[str], argument: str) -> list[Any]:
    """One entry for each output."""
    if isinstance(value, Mapping) and "class_name" not in value:
        _check_names(value, names, argument)
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise InvalidArgumentError(
                f"compile(): {argument} has {len(value)} entries for {len(names)} outputs",
                got=repr(value),
                needed="one for each of " + ", ".join(names),
            )
        return list(value)
    return [value] * len(names)


def _spread_weights(value: Any, plans: Sequence[OutputPlan]) -> list[float | None]:
    if value is None:
        return [None] * len(plans)
    if not is_weights(value):
        raise InvalidArgumentError(
            "compile(): loss_weights takes numbers", got=repr(value), needed="a list, or a dict by output name"
        )
    names = [plan.name for plan in plans]
    with_loss = [plan.name for plan in plans if plan.loss is not None]
    if isinstance(value, (list, tuple)) and len(value) != len(names) and len(value) == len(with_loss):
        value = dict(zip(with_loss, value))  # no weights for outputs without a loss
    return [None if weight is None else float(weight) for weight in _spread(value, names, "loss_weights")]


def _spread_metrics(value: Any, names: Sequence[str], argument: str) -> list[list[Any]]:
    if value is None:
        return [[] for _ in names]
    if isinstance(value, Mapping):
        _check_names(value, names, argument)
        return [_entries(value.get(name)) for name in names]
    if not isinstance(value, (list, tuple)):
        raise InvalidArgumentError(
            f"compile(): {argument} takes a list or a dict", got=repr(value), fix=f"write {argument}=[{value!r}]"
        )
    if len(names) == 1:
        return [_flat(value)]
    if len(value) == len(names):  # Keras 3: one entry for each output
        return [_entries(entry) for entry in value]
    if any(isinstance(entry, (list, tuple)) for entry in value):
        raise InvalidArgumentError(
            f"compile(): {argument} has {len(value)} entries for {len(names)} outputs",
            got=repr(value),
            needed="one for each of " + ", ".join(names),
        )
    # Keras 2: metrics for every output.  Objects keep sums, so each output gets its own.
    return [[_own(entry) if position else entry for entry in value] for position in range(len(names))]


def _own(metric: Any) -> Any:
    if isinstance(metric, str) or not hasattr(metric, "update_state"):
        return metric
    return type(metric).from_config(metric.get_config())


def _entries(value: Any) -> list[Any]:
    if value is None:
        return []
    return _flat(value) if isinstance(value, (list, tuple)) else [value]


def _flat(value: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for entry in value:
        if isinstance(entry, (list, tuple)):
            found += _flat(entry)
        elif entry is not None:
            found.append(entry)
    return found


def _check_names(value: Mapping[str, Any], names: Sequence[str], argument: str) -> None:
    for key in value:
        if key not in names:
            near = get_close_matches(str(key), names, 1)
            raise UnknownNameError(
                f"compile(): {argument} names {key!r}, which is no output of the model",
                needed="one of " + ", ".join(names),
                fix=f"did you mean {near[0]!r}?" if near else "",
            )


def _checked_loss(value: Any) -> Any:
    from kgraph import losses

    if not (isinstance(value, str) and value.lower() in _BY_SHAPE_LOSS):
        losses.get(value)
    return value


def _checked_metric(value: Any) -> Any:
    from kgraph import metrics

    if not (isinstance(value, str) and value.lower() in _BY_SHAPE_METRIC):
        metrics.get(value)
    return value
