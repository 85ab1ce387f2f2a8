"""Metrics made of counts of right and wrong decisions at thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core import Variable
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses import match_ranks
from kgraph.metrics.base import Metric

__all__ = [
    "AUC",
    "FalseNegatives",
    "FalsePositives",
    "Precision",
    "PrecisionAtRecall",
    "Recall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
    "TrueNegatives",
    "TruePositives",
]

_LOW = -1e10  # below every score: what Keras writes in place of scores that are not among the largest


def divide(a: Any, b: Any) -> Any:
    """A / b, and 0 where b is 0."""
    empty = ops.equal(b, 0.0)
    return ops.where(empty, 0.0, ops.divide(a, ops.where(empty, 1.0, b)))


def _only_largest(scores: Any, k: int) -> Any:
    """Scores with all but the `k` largest of each row at `_LOW`; of equal ones the first is larger."""
    count = int(scores.shape[-1])
    mine, other = ops.expand_dims(scores, -1), ops.expand_dims(scores, -2)
    before = np.arange(count)[None, :] < np.arange(count)[:, None]
    beats = ops.logical_or(ops.greater(other, mine), ops.logical_and(ops.equal(other, mine), before))
    rank = ops.sum(ops.cast(beats, "float32"), axis=-1)
    return ops.where(ops.less(rank, float(k)), scores, _LOW)


class _Confusion(Metric):
    """Sums of decisions at one threshold or several, over all samples and labels or for each label."""

    def _open(self, thresholds: Sequence[float], even: bool, labels: int | None = None) -> None:
        """Fix the thresholds; evenly spaced ones compare as Keras's buckets do."""
        self._limits, self._even, self._labels = [float(t) for t in thresholds], even, labels

    def _counter(self, name: str) -> Variable:
        shape = (len(self._limits),) if self._labels is None else (len(self._limits), self._labels)
        return self.add_variable(shape, name=name)

    def _add(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any,
        counters: Mapping[tuple[bool, bool], Variable],
        top_k: int | None = None,
        class_id: int | None = None,
        label_weights: Any = None,
    ) -> None:
        """Add a batch to counters by (target, decision)."""
        y_pred = ops.cast(y_pred, self.dtype)
        y_true, y_pred = match_ranks(ops.cast(y_true, self.dtype), y_pred)
        if top_k is not None:
            y_pred = _only_largest(y_pred, top_k)
        if class_id is not None:
            y_true, y_pred = y_true[..., class_id : class_id + 1], y_pred[..., class_id : class_id + 1]
        positive = ops.cast(ops.not_equal(y_true, 0.0), self.dtype)
        negative = 1.0 - positive
        if sample_weight is not None:
            weight = ops.cast(sample_weight, self.dtype)
            if len(weight.shape) > len(y_pred.shape) and weight.shape[-1] == 1:
                weight = ops.squeeze(weight, -1)
            for _ in range(len(y_pred.shape) - len(weight.shape)):
                weight = ops.expand_dims(weight, -1)
            positive, negative = positive * weight, negative * weight
        if label_weights is not None:
            positive, negative = positive * label_weights, negative * label_weights
        limits = np.array(self._limits, np.float32)
        if self._even:
            # Keras sorts scores into buckets ceil(p · (n - 1)) - 1: threshold i is passed where p · (n - 1) > i.
            y_pred = ops.minimum(ops.maximum(y_pred, 0.0), 1.0) * float(len(limits) - 1)
            limits = np.where(limits < 0, limits, np.arange(len(limits), dtype=np.float32))
        shape = (1, -1) if self._labels is None else (1, -1, self._labels)
        if self._labels is not None and len(y_pred.shape) != 2:
            raise ShapeError(f"{self.name}: multi_label needs outputs of rank 2", got=f"shape {y_pred.shape}")
        scores = ops.reshape(y_pred, shape)
        yes = ops.cast(ops.greater(scores, limits.reshape(-1, *([1] * (len(shape) - 1)))), self.dtype)
        for target, labels in ((True, positive), (False, negative)):
            wanted = [decision for (kind, decision) in counters if kind is target]
            if not wanted:
                continue
            labels = ops.reshape(labels, shape)
            passed = ops.sum(yes * labels, axis=1)
            if True in wanted:
                counters[target, True].assign_add(passed)
            if False in wanted:
                counters[target, False].assign_add(ops.sum(labels, axis=1) - passed)


def _thresholds(name: str | None, thresholds: Any, default: float) -> list[float]:
    given = [default] if thresholds is None else thresholds
    values = [float(t) for t in given] if isinstance(given, (list, tuple, np.ndarray)) else [float(given)]
    if thresholds is not None and any(not 0.0 <= threshold <= 1.0 for threshold in values):
        raise InvalidArgumentError(f"{name}: thresholds {values}", needed="numbers from 0 to 1")
    return values


def _evenly_spaced(thresholds: Sequence[float]) -> bool:
    count = len(thresholds)
    return count >= 3 and np.allclose(thresholds, np.arange(count) / (count - 1), atol=epsilon())


class _Thresholded(_Confusion):
    """Counts at thresholds that the user gives."""

    def __init__(self, thresholds: Any, name: str | None, dtype: Any, default: float = 0.5) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = _thresholds(name, thresholds, default)
        self._open(self.thresholds, _evenly_spaced(self.thresholds))

    def _scalar(self, value: Any) -> Any:
        return ops.reshape(value, ()) if len(self.thresholds) == 1 else value

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class _ConfusionCount(_Thresholded):
    """One sum of one kind of decisions."""

    kind: tuple[bool, bool] = (True, True)
    default_name = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name or self.default_name, dtype)
        self.accumulator = self._counter("accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        self._add(y_true, y_pred, sample_weight, {self.kind: self.accumulator})

    def result(self) -> Any:
        """The sum; one per threshold if several."""
        return self._scalar(ops.convert_to_tensor(self.accumulator))


class TruePositives(_ConfusionCount):
    """Sum of positives that were found."""

    kind, default_name = (True, True), "true_positives"


class TrueNegatives(_ConfusionCount):
    """Sum of negatives that were left out."""

    kind, default_name = (False, False), "true_negatives"


class FalsePositives(_ConfusionCount):
    """Sum of negatives that were taken for positives."""

    kind, default_name = (False, True), "false_positives"


class FalseNegatives(_ConfusionCount):
    """Sum of positives that were missed."""

    kind, default_name = (True, False), "false_negatives"


class _Ratio(_Thresholded):
    """True positives / (true positives + something).

    Args:
        thresholds: a score above it is a yes; a number or a list.
        top_k: only the `k` largest scores of a sample can be a yes; without thresholds each of them is one.
        class_id: count this class alone.
        name: key in the history.
        dtype: of the sums.
    """

    _direction = "up"
    other: tuple[bool, bool] = (False, True)
    other_name = ""
    default_name = ""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, name or self.default_name, dtype, 0.5 if top_k is None else _LOW)
        self.top_k, self.class_id = top_k, class_id
        self.true_positives = self._counter("true_positives")
        self._others = self._counter(self.other_name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        counters = {(True, True): self.true_positives, self.other: self._others}
        self._add(y_true, y_pred, sample_weight, counters, self.top_k, self.class_id)

    def result(self) -> Any:
        """The quotient, 0 where there is nothing to divide by."""
        return self._scalar(divide(self.true_positives, ops.add(self.true_positives, self._others)))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Ratio):
    """Share of the positives found that are right."""

    other, other_name, default_name = (False, True), "false_positives", "precision"


class Recall(_Ratio):
    """Share of the positives that were found."""

    other, other_name, default_name = (True, False), "false_negatives", "recall"


class _AllCounts(_Confusion):
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
        self._spaced = self._given is None or _evenly_spaced([0.0, *inner, 1.0])
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
