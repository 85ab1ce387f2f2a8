"""Metrics made of counts of right and wrong decisions at thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core import Variable
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses.common import match_ranks
from kgraph.metrics.base import Metric

__all__ = ["FalseNegatives", "FalsePositives", "Precision", "Recall", "TrueNegatives", "TruePositives"]

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


class Confusion(Metric):
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


def evenly_spaced(thresholds: Sequence[float]) -> bool:
    """Whether thresholds go from 0 to 1 in equal steps."""
    count = len(thresholds)
    return count >= 3 and np.allclose(thresholds, np.arange(count) / (count - 1), atol=epsilon())


class _Thresholded(Confusion):
    """Counts at thresholds that the user gives."""

    def __init__(self, thresholds: Any, name: str | None, dtype: Any, default: float = 0.5) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = _thresholds(name, thresholds, default)
        self._open(self.thresholds, evenly_spaced(self.thresholds))

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
