"""Metrics made of the counts at many thresholds: the area under a curve, and the best rate where another is high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core import Variable
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError
from kgraph.metrics.confusion import Confusion, divide, evenly_spaced

__all__ = ["AUC", "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity"]


class _AllCounts(Confusion):
    """All four counts."""

    _direction = "up"

    def _make_counters(self) -> None:
        self.true_positives = self._counter("true_positives")
        self.false_positives = self._counter("false_positives")
        self.true_negatives = self._counter("true_negatives")
        self.false_negatives = self._counter("false_negatives")

    def _counters(self) -> dict[tuple[bool, bool], Variable]:
        return {
            (True, True): self.true_positives,
            (False, True): self.false_positives,
            (False, False): self.true_negatives,
            (True, False): self.false_negatives,
        }

    def _recall(self) -> Any:
        return divide(self.true_positives, ops.add(self.true_positives, self.false_negatives))

    def _precision(self) -> Any:
        return divide(self.true_positives, ops.add(self.true_positives, self.false_positives))

    def _specificity(self) -> Any:
        return divide(self.true_negatives, ops.add(self.true_negatives, self.false_positives))


class _BestAt(_AllCounts):
    """The largest value of one rate among thresholds where another is at least a given one."""

    argument = ""

    def __init__(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        super().__init__(dtype, name)
        if not 0.0 <= value <= 1.0:
            raise InvalidArgumentError(f"{type(self).__name__}: {self.argument}={value!r}", needed="from 0 to 1")
        if num_thresholds <= 0:
            raise InvalidArgumentError(f"{type(self).__name__}: num_thresholds={num_thresholds!r}", needed="1 or more")
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        self.thresholds = [0.5] if num_thresholds == 1 else [i / (num_thresholds - 1) for i in range(num_thresholds)]
        self._open(self.thresholds, num_thresholds > 1)
        self._make_counters()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        self._add(y_true, y_pred, sample_weight, self._counters(), class_id=self.class_id)

    def _rates(self) -> tuple[Any, Any]:
        """(the rate that is bounded, the rate of which the largest is wanted)."""
        raise NotImplementedError

    def result(self) -> Any:
        """The largest rate; 0 when no threshold meets the bound."""
        bounded, wanted = self._rates()
        return ops.max(ops.where(ops.greater_equal(bounded, self.value), wanted, 0.0))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        own = {"num_thresholds": self.num_thresholds, "class_id": self.class_id, self.argument: self.value}
        return {**super().get_config(), **own}


class SensitivityAtSpecificity(_BestAt):
    """Best recall where specificity is at least `specificity`."""

    argument = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._specificity(), self._recall()


class SpecificityAtSensitivity(_BestAt):
    """Best specificity where recall is at least `sensitivity`."""

    argument = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._recall(), self._specificity()


class PrecisionAtRecall(_BestAt):
    """Best precision where recall is at least `recall`."""

    argument = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._recall(), self._precision()


class RecallAtPrecision(_BestAt):
    """Best recall where precision is at least `precision`."""

    argument = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def _rates(self) -> tuple[Any, Any]:
        return self._precision(), self._recall()


_CURVES = {"roc": "ROC", "pr": "PR", "prgain": "PRGAIN"}
_SUMS = {"interpolation": "interpolation", "majoring": "majoring", "minoring": "minoring"}


class AUC(_AllCounts):
    """Area under the ROC or precision-recall curve, by sums at thresholds.

    Args:
        num_thresholds: evenly spaced from 0 to 1.
        curve: `"ROC"`, `"PR"` or `"PRGAIN"`.
        summation_method: `"interpolation"` (trapezoids; Davis and Goadrich 2006 for PR), `"minoring"`, `"majoring"`.
        name: key in the history.
        dtype: of the sums.
        thresholds: in place of evenly spaced ones.
        multi_label: one area for each label, and their mean.
        num_labels: labels, with `multi_label`; else from the first data.
        label_weights: of the labels.
        from_logits: the outputs are passed through a sigmoid first.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        if str(curve).lower() not in _CURVES or str(summation_method).lower() not in _SUMS:
            raise InvalidArgumentError(
                f"AUC: curve={curve!r}, summation_method={summation_method!r}",
                needed="curve ROC, PR or PRGAIN; summation_method interpolation, minoring or majoring",
            )
        if thresholds is None and num_thresholds <= 1:
            raise InvalidArgumentError(f"AUC: num_thresholds={num_thresholds!r}", needed="2 or more")
        if num_labels and not multi_label:
            raise InvalidArgumentError("AUC: `num_labels` is needed only with multi_label=True")
        self.curve, self.summation_method = _CURVES[str(curve).lower()], _SUMS[str(summation_method).lower()]
        self._given = None if thresholds is None else sorted(float(t) for t in thresholds)
        inner = (
            [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)] if self._given is None else self._given
        )
        self.num_thresholds = len(inner) + 2
        self.thresholds = [-epsilon(), *inner, 1.0 + epsilon()]
        self._spaced = self._given is None or evenly_spaced([0.0, *inner, 1.0])
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else np.asarray(label_weights, np.float32)
        self._ready = False
        if not multi_label or num_labels:
            self._build(num_labels)

    def _build(self, labels: int | None) -> None:
        self._open(self.thresholds, self._spaced, labels)
        self._make_counters()
        self._ready = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        y_pred = ops.convert_to_tensor(y_pred)
        if not self._ready:
            self._build(int(y_pred.shape[-1]))
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        weights = None if self.multi_label else self.label_weights
        self._add(y_true, y_pred, sample_weight, self._counters(), label_weights=weights)

    def _points(self) -> tuple[Any, Any]:
        """X and y of the curve at the thresholds."""
        if self.curve == "ROC":
            false_rate = divide(self.false_positives, ops.add(self.false_positives, self.true_negatives))
            return false_rate, self._recall()
        if self.curve == "PR":
            return self._recall(), self._precision()
        found = ops.convert_to_tensor(self.true_positives)
        factor = divide(
            ops.add(self.true_positives, self.false_negatives), ops.add(self.true_negatives, self.false_positives)
        )
        none = ops.equal(found, 0.0)
        recall = ops.where(none, 0.0, 1.0 - factor * divide(self.false_negatives, found))
        precision = ops.where(none, 1.0, 1.0 - factor * divide(self.false_positives, found))
        return ops.maximum(recall, 0.0), precision

    def _interpolated_pr(self) -> Any:
        found = ops.convert_to_tensor(self.true_positives)
        yes = ops.add(self.true_positives, self.false_positives)
        more, all_more = found[:-1] - found[1:], yes[:-1] - yes[1:]
        slope = divide(more, ops.maximum(all_more, 0.0))
        intercept = found[1:] - slope * yes[1:]
        both = ops.logical_and(ops.greater(yes[:-1], 0.0), ops.greater(yes[1:], 0.0))
        ratio = ops.where(both, divide(yes[:-1], ops.maximum(yes[1:], 0.0)), 1.0)
        positives = ops.add(self.true_positives, self.false_negatives)
        return divide(slope * (more + intercept * ops.log(ratio)), ops.maximum(positives[1:], 0.0))

    def result(self) -> Any:
        """The area."""
        if not self._ready:
            return 0.0
        if self.curve == "PR" and self.summation_method == "interpolation":
            strips = self._interpolated_pr()
        else:
            x, y = self._points()
            if self.summation_method == "interpolation":
                heights = (y[:-1] + y[1:]) / 2.0
            else:
                heights = (ops.minimum if self.summation_method == "minoring" else ops.maximum)(y[:-1], y[1:])
            strips = (x[:-1] - x[1:]) * heights
        if not self.multi_label:
            return ops.sum(strips)
        areas = ops.sum(strips, axis=0)
        if self.label_weights is None:
            return ops.mean(areas)
        return ops.sum(areas * self.label_weights) / float(self.label_weights.sum())

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if self.label_weights is None else self.label_weights.tolist(),
            "from_logits": self.from_logits,
        }
        return config if self._given is None else {**config, "thresholds": self._given}
