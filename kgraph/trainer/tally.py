"""`Tally`: loss and metric objects of a compiled model, and their running sums.

Steps add to the sums inside the compiled program; this module makes the objects, resets them, and reads them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgraph.core.tree import flatten
from kgraph.trainer.arguments import OutputPlan
from kgraph.trainer.signature import Signature

__all__ = ["Tally", "attribute_metrics", "number", "reset_metric"]


class Tally:
    """Losses and metrics of all outputs.

    Args:
        outputs: what is asked of each output.

    Attributes:
        loss_tracker: running mean of the total loss, each sample counted once.
        output_trackers: the same of each output's loss, when several have one.
        extra: metrics that the model or its layers keep as attributes.
    """

    def __init__(self, outputs: list[OutputPlan]) -> None:
        from kgraph.metrics import Mean

        self.outputs = outputs
        self.loss_tracker = Mean(name="loss")
        self.output_trackers: dict[str, Any] = {}
        self.extra: list[tuple[str, Any]] = []
        self._resolved = False

    def resolve(self, signature: Signature, shapes: Sequence[tuple[int | None, ...]]) -> None:
        """Make loss and metric objects, now that the shapes of the targets are known; only once.

        Args:
            signature: of the targets.
            shapes: of the outputs, with None for the batch.
        """
        if self._resolved:
            return
        from kgraph import losses, metrics

        known = {name: (None, *_static(tail)) for name, tail, _ in signature.targets}
        several = sum(plan.loss is not None for plan in self.outputs) > 1
        taken: dict[str, int] = {}
        for plan, output in zip(self.outputs, shapes):
            if plan.has_target:
                target = known.get(plan.name, output)
                plan.loss_object = losses.get_loss(plan.loss, target, output)
                prefix = prefix_of(plan.name, self.outputs)
                plan.metric_objects = [
                    (_key(prefix, metric.name, taken), metric)
                    for metric in [metrics.get_metric(entry, target, output) for entry in plan.metrics]
                ]
                plan.weighted_metric_objects = [
                    (_key(prefix, metric.name, taken, weighted=True), metric)
                    for metric in [metrics.get_metric(entry, target, output) for entry in plan.weighted_metrics]
                ]
            if prefix_of(plan.name, self.outputs):
                _name_sums([*plan.metric_objects, *plan.weighted_metric_objects])
            if several and plan.loss is not None:
                self.output_trackers[plan.name] = metrics.Mean(name=f"{plan.name}_loss")
        self._resolved = True

    def entries(self) -> list[tuple[str, Any]]:
        """(key, metric) in the order of Keras: the loss, that of each output, the metrics."""
        own = [entry for plan in self.outputs for entry in plan.metric_objects]
        own += [entry for plan in self.outputs for entry in plan.weighted_metric_objects]
        trackers = [(f"{name}_loss", tracker) for name, tracker in self.output_trackers.items()]
        if len(self.outputs) > 1:
            own.sort(key=lambda entry: entry[0])  # as Keras 3
        known = {id(metric) for _, metric in own}
        own += [(key, metric) for key, metric in self.extra if id(metric) not in known]
        return [("loss", self.loss_tracker), *trackers, *own]

    def reset(self) -> None:
        """Set all sums to zero."""
        for _, metric in self.entries():
            reset_metric(metric)

    def logs(self) -> dict[str, float]:
        """Running values as floats, keys sorted as in Keras."""
        values: dict[str, float] = {}
        for key, metric in self.entries():
            result = _result(metric)
            if isinstance(result, Mapping):
                values.update({name: number(value) for name, value in result.items()})
            else:
                values[key] = number(result)
        return dict(sorted(values.items()))


def attribute_metrics(model: Any) -> list[tuple[str, Any]]:
    """(name, metric) for metrics that a model or its layers keep as attributes; nested models keep theirs."""
    from kgraph.metrics import Metric
    from kgraph.models import Model

    found: dict[int, Any] = {}
    for layer in model._flatten_layers():
        if layer is model or not isinstance(layer, Model):
            for value in layer._attribute_values():
                found.update({id(leaf): leaf for leaf in flatten(value) if isinstance(leaf, Metric)})
    return [(metric.name, metric) for metric in found.values()]


def prefix_of(output: str, outputs: Sequence[OutputPlan]) -> str:
    """What stands before the names of an output's metrics."""
    return f"{output}_" if len(outputs) > 1 else ""


def _name_sums(metrics: Sequence[tuple[str, Any]]) -> None:
    """Let the sums of each metric be called as the metric is in the logs: `kind_accuracy/total`."""
    for key, metric in metrics:
        for variable in metric.variables:
            if variable.path.startswith(f"{metric.name}/"):
                variable.path = key + variable.path[len(metric.name) :]


def _static(tail: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in tail)


def _key(prefix: str, name: str, taken: dict[str, int], weighted: bool = False) -> str:
    key = prefix + name
    if key not in taken:
        taken[key] = 1
        return key
    if weighted:
        return f"{prefix}weighted_{name}"
    number = taken[key]
    taken[key] += 1
    return f"{key}_{number}"


def reset_metric(metric: Any) -> None:
    """Set the sums of a metric to zero."""
    from kgraph.metrics import Metric

    if type(metric).reset_state is Metric.reset_state:
        for variable in metric.variables:
            variable.array.fill(0)
    else:
        metric.reset_state()


def _result(metric: Any) -> Any:
    from kgraph.metrics import Mean

    if type(metric).result is Mean.result:
        # The same numbers as metric.result(), without a trip through the interpreter.
        count = float(metric.count.array)
        return np.float32(metric.total.array) / np.float32(count) if count else 0.0
    return metric.result()


def number(value: Any) -> Any:
    """A float, or the array when it is no single number."""
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array.copy()
