"""Loss and metrics of a step, in the trace: what `compile` was given, applied to targets and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kgraph import ops
from kgraph.core import Trace, TracedTensor
from kgraph.core.tree import flatten
from kgraph.errors import DataError, InvalidArgumentError, ShapeError
from kgraph.trainer.arguments import OutputPlan
from kgraph.trainer.signature import Signature, target_name, weight_name

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["by_output", "compiled_loss", "losses_and_metrics", "track", "update_metrics"]


def losses_and_metrics(
    trainer: Trainer, trace: Trace, outputs: Sequence[Any], fed: Mapping[str, Any], batch: Any
) -> TracedTensor:
    """Total loss; metrics and loss trackers are updated on the way."""
    rows = row_count(trace, batch)
    total = compiled_loss(trainer, trace, outputs, fed, rows)
    with trace.layer("metrics"):
        track(trainer.tally.loss_tracker, total, rows)
        update_metrics(trainer, outputs, fed)
    return total


def row_count(trace: Trace, batch: Any) -> Any:
    """The number of rows as a float."""
    return batch if isinstance(batch, int) else trace.emit("dim_size", dim=batch, dtype="f32")


def compiled_loss(
    trainer: Trainer, trace: Trace, outputs: Sequence[Any], fed: Mapping[str, Any], rows: Any
) -> TracedTensor:
    """The weighted sum of the outputs' losses, of added losses and of penalties on weights.

    Args:
        trainer: knows the losses.
        trace: that is active.
        outputs: of the model.
        fed: targets and sample weights by the names of `kgraph.trainer.signature`.
        rows: number of rows, for the running means.
    """
    terms: list[Any] = []
    for plan, output in zip(trainer.outputs, outputs):
        if plan.loss_object is None:
            continue
        with trace.layer("loss"):
            value = plan.loss_object(_target(fed, plan), output, fed.get(weight_name(plan.name)))
            value = _scalar(value, plan)
            tracker = trainer.tally.output_trackers.get(plan.name)
            if tracker is not None:
                track(tracker, value, rows)  # the loss of one output is shown without its weight
            terms.append(value if plan.weight is None else value * plan.weight)
    with trace.layer("loss"):
        terms += [ops.sum(ops.cast(term, "float32")) for term in trace.losses]
        terms += trainer.regularization()
        if not terms:
            raise InvalidArgumentError(
                "there is no loss to compute", fix="pass loss= to compile(), or call add_loss in a layer"
            )
        total = terms[0]
        for term in terms[1:]:
            total = total + term
    found: TracedTensor = total
    return found


def _target(fed: Mapping[str, Any], plan: OutputPlan) -> Any:
    target = fed.get(target_name(plan.name))
    if target is None:
        raise DataError(
            f"there is no target for output {plan.name!r}, which has a loss", fix="pass y to fit() or to compute_loss()"
        )
    return target


def _scalar(value: Any, plan: OutputPlan) -> Any:
    value = ops.cast(value, "float32")
    if len(value.shape):
        raise ShapeError(
            f"the loss of output {plan.name!r} is no single number",
            got=f"shape {value.shape}",
            fix="use a loss with a reduction, e.g. reduction='sum_over_batch_size'",
        )
    return value


def track(tracker: Any, value: Any, rows: Any) -> None:
    """Add a loss to a running mean in which each sample counts once."""
    tracker.total.assign(tracker.total + value * rows)
    tracker.count.assign(tracker.count + rows)


def update_metrics(trainer: Trainer, outputs: Sequence[Any], fed: Mapping[str, Any]) -> None:
    """Add a batch to the metrics that `compile` was given."""
    for plan, output in zip(trainer.outputs, outputs):
        target = fed.get(target_name(plan.name))
        for _, metric in plan.metric_objects:
            metric.update_state(target, output)
        for _, metric in plan.weighted_metric_objects:
            metric.update_state(target, output, sample_weight=fed.get(weight_name(plan.name)))


def by_output(trainer: Trainer, y: Any, y_pred: Any, sample_weight: Any) -> tuple[list[Any], dict[str, Any]]:
    """Outputs in order, and targets and weights under their names in a step, from the structures of a user.

    Loss and metric objects are made when they are not there yet.
    """
    outputs = [ops.convert_to_tensor(output) for output in flatten(y_pred)]
    trainer.plan_outputs([tuple(output.dims) for output in outputs])
    plans = trainer.outputs
    fed: dict[str, Any] = {}
    for rename, given in ((target_name, y), (weight_name, sample_weight)):
        for name, value in _spread(given, plans, alike=rename is weight_name).items():
            if value is not None:
                tensor = ops.convert_to_tensor(value)
                fed[rename(name)] = tensor
    names = [plan.name for plan in plans if target_name(plan.name) in fed]
    targets = tuple((name, tuple(fed[target_name(name)].dims[1:]), fed[target_name(name)].dtype) for name in names)
    trainer.tally.resolve(Signature(targets), [tuple(output.shape) for output in outputs])
    return outputs, fed


def _spread(given: Any, plans: Sequence[OutputPlan], alike: bool) -> dict[str, Any]:
    """One entry for each output with a target; `alike`: one array is for all of them."""
    wanted = [plan.name for plan in plans if plan.has_target]
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {name: given.get(name) for name in wanted}
    if isinstance(given, (list, tuple)) and not all(isinstance(item, (int, float)) for item in given):
        names = [plan.name for plan in plans] if len(given) == len(plans) else wanted
        return dict(zip(names, given))
    return dict.fromkeys(wanted if alike else wanted[:1], given)
