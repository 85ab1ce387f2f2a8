"""Losses of whole masks, sets of samples, sequences and noisy labels: Dice, Tversky, Circle, CTC, generalised ones."""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses.base import FunctionLoss, PlainLoss, reduce_weighted
from kgraph.losses.common import sizes_text

__all__ = [
    "CTC",
    "CategoricalGeneralizedCrossEntropy",
    "Circle",
    "Dice",
    "Tversky",
    "categorical_generalized_cross_entropy",
    "circle",
    "ctc",
    "dice",
    "tversky",
]

_FAR = -1e30  # stands for minus infinity in a log-sum-exp: a row without any pair keeps a finite gradient


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """1 - 2 Σ t·p / (Σ t + Σ p) over `axis`, by default over everything (Sudre et al. 2017)."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    whole = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis)
    return 1.0 - ops.sum(y_true * y_pred, axis=axis) * 2.0 / (whole + epsilon())


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """1 - c / (c + α Σ (1-p)·t + β Σ p·(1-t)) with c = Σ t·p (Salehi et al. 2017)."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    common = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum((1.0 - y_pred) * y_true, axis=axis)
    wrong = ops.sum(y_pred * (1.0 - y_true), axis=axis)
    return 1.0 - common / (common + missed * alpha + wrong * beta + epsilon())


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Any:
    """Circle loss of L2-normalised embeddings (batch, size) with class numbers (Sun et al. 2020); (batch,)."""
    y_pred = ops.convert_to_tensor(y_pred)
    others = y_pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings)
    labels = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    other_labels = labels if ref_labels is None else ops.reshape(ops.cast(ref_labels, "int32"), (-1, 1))
    distance = ops.maximum(1.0 - ops.matmul(y_pred, ops.transpose(others)), 0.0)
    same = ops.equal(labels, ops.transpose(other_labels))
    different = ops.logical_not(same)
    if remove_diagonal:
        ones = ops.cast(ops.ones_like(labels), "int32")
        place = ops.cumsum(ones, axis=0)
        other_place = place if ref_labels is None else ops.cumsum(ops.ones_like(other_labels), axis=0)
        same = ops.logical_and(same, ops.not_equal(place, ops.transpose(other_place)))
    pull = (distance + margin) * (distance - margin) * gamma
    push = ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance) * gamma
    pulled = ops.logsumexp(ops.where(same, pull, _FAR), axis=1)
    pushed = ops.logsumexp(ops.where(different, push, _FAR), axis=1)
    return ops.softplus(pulled + pushed)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float = 0.5) -> Any:
    """(1 - p^q) / q of the right class's probability (Zhang and Sabuncu 2018); integer labels."""
    y_pred = ops.convert_to_tensor(y_pred)
    labels = ops.cast(y_true, "int32")
    if len(labels.shape) == len(y_pred.shape) and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    right = ops.sum(y_pred * ops.one_hot(labels, int(y_pred.shape[-1]), dtype=y_pred.dtype), axis=-1)
    return (1.0 - ops.power(right, float(q))) / q


def ctc(y_true: Any, y_pred: Any) -> Any:
    """-log of the probability that the outputs spell the labels, over all alignments (Graves et al. 2006).

    Args:
        y_true: class numbers (batch, longest); 0 is the blank, and what pads shorter rows.
        y_pred: logits (batch, steps, classes); every step counts.

    Returns:
        One value for each row (batch,).

    Raises:
        ShapeError: the ranks are other ones.
    """
    y_pred, y_true = ops.convert_to_tensor(y_pred), ops.convert_to_tensor(y_true)
    if len(y_true.shape) != 2 or len(y_pred.shape) != 3:
        raise ShapeError(
            "ctc: labels and outputs do not fit",
            got=f"labels {sizes_text(y_true.shape)}, outputs {sizes_text(y_pred.shape)}",
            needed="labels (batch, longest) and logits (batch, steps, classes)",
            fix="pad the labels with 0, the blank, to one length; give one row of logits for each step",
        )
    labels = ops.cast(y_true, "int32")
    rows, steps = ops.shape(y_pred)[:2]
    lengths = ops.sum(ops.cast(ops.not_equal(labels, 0), "int32"), axis=-1)
    return ops.ctc_loss(labels, y_pred, lengths, ops.ones((rows,), "int32") * steps)


class Dice(FunctionLoss):
    """See `dice`."""

    function = staticmethod(dice)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, axis=axis)


class Tversky(FunctionLoss):
    """See `tversky`."""

    function = staticmethod(tversky)

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


class Circle(FunctionLoss):
    """See `circle`; samples without a loss do not count in the mean."""

    function = staticmethod(circle)

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss of a batch."""
        values = ops.convert_to_tensor(self.call(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)))
        return reduce_weighted(values, sample_weight, ops.greater(values, 0.0), self.reduction)


class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """See `categorical_generalized_cross_entropy`."""

    function = staticmethod(categorical_generalized_cross_entropy)

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if not 0.0 < q < 1.0:
            raise InvalidArgumentError(
                f"CategoricalGeneralizedCrossEntropy: argument `q` is {q!r}", needed="above 0 and below 1"
            )
        super().__init__(reduction, name, dtype, q=q)


class CTC(PlainLoss):
    """See `ctc`."""

    function = staticmethod(ctc)
