"""The methods of a model that make up a step, for subclasses to override or to call.

All of them run in a trace, once: what they do becomes part of the compiled step.  `compute_loss` and `compute_metrics`
also work on arrays.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from kgraph.core.dispatch import run_eagerly
from kgraph.core.gradients import gradients
from kgraph.core.tensors import SymbolicTensor
from kgraph.core.trace import current_trace, require_trace
from kgraph.core.tree import flatten
from kgraph.errors import InvalidArgumentError, UnsupportedError

__all__ = ["StepMethods"]


class StepMethods:
    """train_step, test_step, predict_step and what they are made of."""

    name: str
    trainer: Any

    def _require_trainer(self, what: str) -> Any:
        raise NotImplementedError

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss of a batch: those given to `compile`, what `add_loss` collected, penalties on weights.

        Args:
            x: inputs; not used here.
            y: targets, in the form of the outputs.
            y_pred: outputs.
            sample_weight: weights of the samples.
            training: not used here.

        Returns:
            A scalar.

        Raises:
            NotCompiledError: the model was not compiled.
            InvalidArgumentError: there is no loss at all.
        """
        from kgraph.trainer import objective

        trainer = self._require_trainer("compute_loss")

        def body(y: Any, y_pred: Any, sample_weight: Any) -> Any:
            trace = require_trace("compute_loss")
            outputs, fed = objective.by_output(trainer, y, y_pred, sample_weight)
            rows = objective.row_count(trace, outputs[0].dims[0]) if trainer.tally.output_trackers else 1
            return objective.compiled_loss(trainer, trace, outputs, fed, rows)

        return _traced(body, "compute_loss", y, y_pred, sample_weight)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Add a batch to the metrics that `compile` was given; the results of all metrics so far, by name."""
        from kgraph.trainer import objective

        trainer = self._require_trainer("compute_metrics")

        def body(y: Any, y_pred: Any, sample_weight: Any) -> Any:
            trace = require_trace("compute_metrics")
            outputs, fed = objective.by_output(trainer, y, y_pred, sample_weight)
            with trace.layer("metrics"):
                objective.update_metrics(trainer, outputs, fed)
            return 0.0

        _traced(body, "compute_metrics", y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The result of each metric so far, by the name that it has in the history."""
        results: dict[str, Any] = {}
        for key, metric in self._require_trainer("get_metrics_result").all_entries():
            result = metric.result()
            results.update(result if isinstance(result, Mapping) else {key: result})
        return results

    def train_step(self, data: Any) -> dict[str, Any]:
        """One training step: forward, loss, gradients, update, metrics.

        Args:
            data: `x`, `(x, y)` or `(x, y, sample_weight)`, as tensors; see `kgraph.utils.unpack_x_y_sample_weight`.

        Returns:
            Scalars by name, for the history.
        """
        from kgraph.utils.packing import unpack_x_y_sample_weight

        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
        optimizer = self._require_trainer("train_step").optimizer
        variables = self.trainable_variables  # type: ignore[attr-defined]
        if variables:
            optimizer.apply(gradients(optimizer.scale_loss(loss), variables), variables)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of `evaluate`: forward, loss, metrics; arguments and result as `train_step`."""
        from kgraph.utils.packing import unpack_x_y_sample_weight

        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        self._loss_of(x, y, y_pred, sample_weight, training=False)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Any) -> Any:
        """One step of `predict`: the outputs for `data`, which is `x` or `(x,)`."""
        from kgraph.utils.packing import unpack_x_y_sample_weight

        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def _loss_of(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        """The loss, also added to the running mean `loss`, in which each sample counts once."""
        from kgraph.trainer import objective

        trace = require_trace("a step of a model")
        arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        takes = inspect.signature(self.compute_loss).parameters
        if "training" in takes or any(each.kind is each.VAR_KEYWORD for each in takes.values()):
            arguments["training"] = training
        loss = self.compute_loss(**arguments)
        if loss is None:
            raise InvalidArgumentError(
                f"{type(self).__name__}.compute_loss returned None", fix="end it with `return loss`, a scalar"
            )
        trainer = self._require_trainer("compute_loss")
        leaves = [leaf for leaf in flatten(x) if getattr(leaf, "dims", ())]
        objective.track(trainer.tally.loss_tracker, loss, objective.row_count(trace, leaves[0].dims[0]))
        return loss

    def add_metric(self, value: Any, name: str | None = None, aggregation: str | None = None) -> None:
        """Show the mean of a value in the history, inside `call` or a step (Keras 2).

        Args:
            value: a tensor; its mean over batches is shown.
            name: in the history.
            aggregation: `"mean"` or None.

        Raises:
            InvalidArgumentError: there is no name, or another aggregation.
            UnsupportedError: the value is a tensor of a functional model.
        """
        from kgraph.metrics import Mean

        if isinstance(value, SymbolicTensor):
            raise UnsupportedError(
                f"add_metric of model {self.name!r} got a tensor of a functional model",
                fix="call it inside call() of a layer or model, or pass a function in compile(metrics=[...])",
            )
        if not name or aggregation not in (None, "mean"):
            raise InvalidArgumentError(
                "add_metric needs a name, and takes the mean",
                got=f"name={name!r}, aggregation={aggregation!r}",
                fix="write self.add_metric(value, name='...'); for other sums keep a metric in an attribute",
            )
        added: dict[str, Any] = self.__dict__.setdefault("_added_metrics", {})
        metric = added.get(name) or added.setdefault(name, Mean(name=name))
        if current_trace() is not None:
            metric.update_state(value)


def _traced(body: Any, title: str, *args: Any) -> Any:
    """`body` in the trace that is active, or computed with arrays."""
    return body(*args) if current_trace() is not None else run_eagerly(body, title, args, {})
