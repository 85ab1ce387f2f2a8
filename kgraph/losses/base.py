"""What all losses share: values weighted, masked and reduced to a scalar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kgraph import ops
from kgraph.core.session import unique_name
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.losses.common import called, mask_of, match_ranks, sizes_text
from kgraph.registry import serialize

__all__ = ["FunctionLoss", "Loss", "LossFunctionWrapper", "PlainLoss", "reduce_weighted"]

LossFunction = Callable[..., Any]
_REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss:
    """Base of the losses: `call(y_true, y_pred)` gives values, `__call__` weights and reduces them.

    Args:
        name: shown in messages.
        reduction: "sum_over_batch_size" (divides by the number of values, also with weights), "mean" (the same), "sum",
            "mean_with_sample_weight" (divides by the sum of the weights), "none" or None.
        dtype: type of the values, `floatx` unless given.
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction == "auto":  # Keras 2
            reduction = "sum_over_batch_size"
        if reduction not in _REDUCTIONS:
            raise InvalidArgumentError(
                f"argument `reduction` is {reduction!r}", needed=", ".join(str(known) for known in _REDUCTIONS)
            )
        self.name = name or unique_name(type(self).__name__)
        self.reduction = reduction
        self.dtype = dtype or "float32"

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss of a batch."""
        mask = mask_of(y_pred)
        y_pred, y_true = ops.convert_to_tensor(y_pred), ops.convert_to_tensor(y_true)
        values = ops.convert_to_tensor(self.call(y_true, y_pred))
        own = mask_of(values)
        if mask is not None and own is not None:
            mask = ops.logical_and(mask, own)
        return reduce_weighted(values, sample_weight, own if mask is None else mask, self.reduction)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal loss."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)


def reduce_weighted(values: Any, sample_weight: Any = None, mask: Any = None, reduction: str | None = "mean") -> Any:
    """Weight values and reduce them as `Loss` says; entries off the mask weigh 0, the others total / valid."""
    mean = reduction in ("sum_over_batch_size", "mean")
    weight = None if sample_weight is None else ops.cast(sample_weight, values.dtype)
    if mask is not None:
        factor = ops.cast(mask, values.dtype)
        if mean:
            share = ops.mean(factor)  # valid / total
            factor = ops.where(ops.greater(share, 0.0), factor / ops.maximum(share, 1e-30), 0.0)
        weight = factor if weight is None else _times(factor, weight)
    if weight is not None:
        values = _times(values, weight)
    if reduction in (None, "none") or len(values.shape) == 0:
        return values
    if mean or (reduction == "mean_with_sample_weight" and weight is None):
        return ops.mean(values)
    total = ops.sum(values)
    if reduction == "mean_with_sample_weight":
        divisor = ops.sum(weight)
        return ops.where(ops.equal(divisor, 0.0), 0.0, total / ops.where(ops.equal(divisor, 0.0), 1.0, divisor))
    return total


def _times(values: Any, weight: Any) -> Any:
    """Product of values and weights; weights per sample reach every entry of the sample."""
    values, weight = match_ranks(values, weight)
    missing = len(values.shape) - len(weight.shape)
    if missing > 0 and len(weight.shape) > 0:
        for _ in range(missing):
            weight = ops.expand_dims(weight, -1)
    elif missing < 0 and len(values.shape) > 0:
        raise ShapeError(
            "sample weights have more axes than the values they weight",
            got=f"weights {sizes_text(weight.shape)}, values {sizes_text(values.shape)}",
        )
    return values * weight


class LossFunctionWrapper(Loss):
    """The loss that a function `fn(y_true, y_pred, **kwargs)` makes; any function of the user will do."""

    def __init__(
        self,
        fn: LossFunction,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self._kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample."""
        y_true, y_pred = match_ranks(y_true, y_pred)
        return called(self.fn, "loss", y_true, y_pred, self._kwargs)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal loss."""
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config["fn"] = serialize(self.fn)
        return {**config, **self._kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        values = dict(config)
        if isinstance(values.get("fn"), (str, dict)):
            from kgraph.losses import get

            values["fn"] = get(values["fn"])
        return cls(**values)


class FunctionLoss(LossFunctionWrapper):
    """A loss whose function is fixed by the class."""

    function: LossFunction

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(type(self).function, reduction, name, dtype, **settings)


class PlainLoss(FunctionLoss):
    """One whose function has no arguments but targets and outputs."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(reduction, name, dtype)
