"""F scores, the coefficient of determination, and intersection over union."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses.common import match_ranks
from kgraph.metrics.base import Metric

__all__ = ["BinaryIoU", "F1Score", "FBetaScore", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "R2Score"]


def _classes(metric: Metric, y_true: Any, y_pred: Any) -> int:
    """The number of classes of outputs (batch, classes)."""
    if len(y_true.shape) != 2 or len(y_pred.shape) != 2:
        raise ShapeError(
            f"{type(metric).__name__} takes targets and outputs of rank 2, (batch, classes)",
            got=f"targets of shape {y_true.shape}, outputs of shape {y_pred.shape}",
            fix="give the targets one column for each class, e.g. with kgraph.utils.to_categorical",
        )
    return int(y_pred.shape[-1])


class FBetaScore(Metric):
    """(1 + β²) · precision · recall / (β² · precision + recall) of each class.

    Args:
        average: None for a value of each class, `"micro"`, `"macro"` or `"weighted"`.
        beta: weight of recall.
        threshold: a score above it is a yes; None: the largest score of a sample is.
        name: key in the history.
        dtype: of the sums.
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise InvalidArgumentError(
                f"{type(self).__name__}: average={average!r}", needed="None, 'micro', 'macro' or 'weighted'"
            )
        if not isinstance(beta, float) or beta <= 0.0:
            raise InvalidArgumentError(f"{type(self).__name__}: beta={beta!r}", needed="a float above 0")
        if threshold is not None and not (isinstance(threshold, float) and 0.0 < threshold <= 1.0):
            raise InvalidArgumentError(
                f"{type(self).__name__}: threshold={threshold!r}", needed="None, or a float above 0, at most 1"
            )
        self.average, self.beta, self.threshold = average, beta, threshold
        self._ready = False

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        self.true_positives = self.add_variable(shape, name="true_positives")
        self.false_positives = self.add_variable(shape, name="false_positives")
        self.false_negatives = self.add_variable(shape, name="false_negatives")
        self.intermediate_weights = self.add_variable(shape, name="intermediate_weights")
        self._ready = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        y_true, y_pred = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        classes = _classes(self, y_true, y_pred)
        if not self._ready:
            self._build(classes)
        if self.threshold is None:
            largest = ops.greater_equal(y_pred, ops.max(y_pred, axis=-1, keepdims=True))
            yes = ops.logical_and(largest, ops.greater(ops.abs(y_pred), 1e-9))
        else:
            yes = ops.greater(y_pred, self.threshold)
        found = ops.cast(yes, self.dtype)
        axis = None if self.average == "micro" else 0

        def total(values: Any) -> Any:
            if sample_weight is not None:
                values = values * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
            return ops.sum(values, axis=axis)

        self.true_positives.assign_add(total(found * y_true))
        self.false_positives.assign_add(total(found * (1.0 - y_true)))
        self.false_negatives.assign_add(total((1.0 - found) * y_true))
        self.intermediate_weights.assign_add(total(y_true))

    def result(self) -> Any:
        """The score; one per class without `average`."""
        if not self._ready:
            return 0.0
        tiny = epsilon()
        found = ops.convert_to_tensor(self.true_positives)
        precision = found / (ops.add(found, self.false_positives) + tiny)
        recall = found / (ops.add(found, self.false_negatives) + tiny)
        square = self.beta**2
        score = precision * recall / (precision * square + recall + tiny) * (1.0 + square)
        if self.average == "weighted":
            weights = ops.divide(self.intermediate_weights, ops.sum(self.intermediate_weights) + tiny)
            return ops.sum(score * weights)
        return score if self.average is None else ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall of each class; see `FBetaScore`."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        config = super().get_config()
        del config["beta"]
        return config


class R2Score(Metric):
    """Share of the targets' variance that the outputs explain.

    Args:
        class_aggregation: `"uniform_average"`, `"variance_weighted_average"`, or None for a value of each column.
        num_regressors: above 0, the adjusted score for so many independent variables.
        name: key in the history.
        dtype: of the sums.
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise InvalidArgumentError(
                f"R2Score: class_aggregation={class_aggregation!r}",
                needed="None, 'uniform_average' or 'variance_weighted_average'",
            )
        if num_regressors < 0:
            raise InvalidArgumentError(f"R2Score: num_regressors={num_regressors!r}", needed="0 or more")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable(name="num_samples")
        self._ready = False

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        y_true, y_pred = match_ranks(ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype))
        classes = _classes(self, y_true, y_pred)
        if not self._ready:
            self.squared_sum = self.add_variable((classes,), name="squared_sum")
            self.sum = self.add_variable((classes,), name="sum")
            self.total_mse = self.add_variable((classes,), name="residual")
            self.count = self.add_variable((classes,), name="count")
            self._ready = True
        weight = ops.ones_like(y_true)
        if sample_weight is not None:
            given = ops.cast(sample_weight, self.dtype)
            weight = weight * (ops.expand_dims(given, 1) if len(given.shape) == 1 else given)
        self.sum.assign_add(ops.sum(y_true * weight, axis=0))
        self.squared_sum.assign_add(ops.sum(ops.square(y_true) * weight, axis=0))
        self.total_mse.assign_add(ops.sum(ops.square(y_true - y_pred) * weight, axis=0))
        self.count.assign_add(ops.sum(weight, axis=0))
        self.num_samples.assign_add(ops.sum(ops.ones_like(y_true)))

    def result(self) -> Any:
        """The score, 0 for a column of equal targets."""
        if not self._ready:
            return 0.0
        mean = ops.divide(self.sum, self.count)
        total = ops.subtract(self.squared_sum, ops.multiply(self.sum, mean))
        with np.errstate(divide="ignore", invalid="ignore"):
            scores: Any = 1.0 - ops.divide(self.total_mse, total)
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        score: Any = scores
        if self.class_aggregation == "uniform_average":
            score = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.sum(total * scores) / ops.sum(total)
        if self.num_regressors == 0:
            return score
        count = float(self.num_samples.array)
        if self.num_regressors >= count - 1:
            warnings.warn("R2Score: as many regressors as samples; the score is not adjusted", stacklevel=2)
            return score
        return 1.0 - (1.0 - score) * ((count - 1.0) / (count - self.num_regressors - 1.0))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}


class IoU(Metric):
    """Mean over `target_class_ids` of true positives / (targets + outputs - true positives) of a class.

    The confusion matrix is kept in float32 here, so weights keep their fractions (Keras casts them to whole numbers
    unless dtype="float32").

    Args:
        num_classes: classes of targets and outputs.
        target_class_ids: those whose mean is taken.
        name: key in the history.
        dtype: of the sums.
        ignore_class: samples with this target do not count.
        sparse_y_true: targets are class numbers, else one-hot.
        sparse_y_pred: outputs are class numbers, else scores.
        axis: of the classes, where not sparse.
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype, name)
        if max(target_class_ids) >= num_classes:
            raise InvalidArgumentError(
                f"{type(self).__name__}: target class {max(target_class_ids)} of {num_classes} classes",
                needed=f"numbers from 0 to {num_classes - 1}",
            )
        self.num_classes, self.target_class_ids, self.ignore_class = num_classes, list(target_class_ids), ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        self.total_cm = self.add_variable((num_classes, num_classes), dtype="float32", name="total_confusion_matrix")

    def _ids(self, values: Any, sparse: bool) -> Any:
        values = ops.convert_to_tensor(values) if sparse else ops.argmax(values, axis=self.axis)
        return ops.reshape(ops.cast(values, "int32"), (-1,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; class numbers out of range do not count."""
        true, found = self._ids(y_true, self.sparse_y_true), self._ids(y_pred, self.sparse_y_pred)
        numbers = np.arange(self.num_classes, dtype=np.int32)
        rows = ops.cast(ops.equal(ops.expand_dims(true, -1), numbers), "float32")
        columns = ops.cast(ops.equal(ops.expand_dims(found, -1), numbers), "float32")
        if self.ignore_class is not None:
            rows = rows * ops.expand_dims(ops.cast(ops.not_equal(true, self.ignore_class), "float32"), -1)
        if sample_weight is not None:
            rows = rows * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        self.total_cm.assign_add(ops.matmul(ops.transpose(rows), columns))

    def result(self) -> Any:
        """The mean over the classes that occur."""
        matrix = ops.convert_to_tensor(self.total_cm)
        diagonal = ops.sum(matrix * np.eye(self.num_classes, dtype=np.float32), axis=0)
        whole = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - diagonal
        wanted = np.zeros(self.num_classes, np.float32)
        wanted[self.target_class_ids] = 1.0
        valid = ops.cast(ops.greater(whole, 1e-9), "float32") * wanted
        return ops.sum(diagonal / (whole + epsilon()) * valid) / (ops.sum(valid) + epsilon())

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        names = "num_classes target_class_ids ignore_class sparse_y_true sparse_y_pred axis".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _without(config: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in names}


class BinaryIoU(IoU):
    """`IoU` of two classes; an output of `threshold` or more is class 1."""

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        found = ops.cast(ops.greater_equal(ops.cast(y_pred, "float32"), self.threshold), "int32")
        super().update_state(y_true, found, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        config = _without(super().get_config(), "num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**config, "threshold": self.threshold}


class MeanIoU(IoU):
    """`IoU` over all classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return _without(super().get_config(), "target_class_ids")


class OneHotIoU(IoU):
    """`IoU` of one-hot targets."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return _without(super().get_config(), "sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return _without(super().get_config(), "sparse_y_true")
