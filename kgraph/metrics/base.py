"""`Metric`, and the sums and means that most metrics are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kgraph import ops
from kgraph.core import Variable
from kgraph.core.session import unique_name
from kgraph.losses.common import called, mask_of, match_ranks
from kgraph.metrics.functions import accuracy
from kgraph.registry import serialize

__all__ = ["Mean", "MeanMetricWrapper", "Metric", "Sum"]


class Metric:
    """Base of the metrics: `update_state` adds a batch, `result` gives the number, `reset_state` starts again.

    Args:
        dtype: type of the sums, float32 unless given.
        name: key in the history.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(type(self).__name__)
        self.dtype = dtype or "float32"
        self._variables: list[Variable] = []

    def add_variable(
        self, shape: Sequence[int] = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a variable that `reset_state` sets to zero."""
        name = name or f"variable_{len(self._variables)}"
        variable = Variable(
            initializer or "zeros",
            shape=tuple(shape),
            dtype=dtype or self.dtype,
            trainable=False,
            name=name,
            path=f"{self.name}/{name}",
        )
        self._variables.append(variable)
        return variable

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Another name of `add_variable`; Keras 2's `add_weight(name, ...)` is understood too."""
        if isinstance(shape, str):
            shape, name = (), shape
        return self.add_variable(shape, initializer, dtype, name)

    @property
    def variables(self) -> list[Variable]:
        """The sums, with those of metrics held as attributes."""
        found = list(self._variables)
        for value in vars(self).values():
            if isinstance(value, Metric):
                found.extend(value.variables)
        return found

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_state")

    def result(self) -> Any:
        """The number (or dict of numbers) so far."""
        raise NotImplementedError(f"{type(self).__name__} does not define result")

    def reset_state(self) -> None:
        """Set every sum to zero."""
        for variable in self.variables:
            variable.assign(ops.zeros(variable.shape, dtype=variable.dtype))

    def reset_states(self) -> None:
        """Keras 2's name of `reset_state`."""
        self.reset_state()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _per_sample(values: Any, weight: Any, reduce: Callable[..., Any], dtype: str) -> tuple[Any, Any]:
    """Values (B,) and weights (B,) or None, as Keras reduces them."""
    values = ops.cast(values, dtype)
    if weight is not None:
        values, weight = match_ranks(values, ops.cast(weight, dtype))
        have, want = len(weight.shape), len(values.shape)
        if want > have:
            values = reduce(values, axis=tuple(range(have, want)))
        values = values * weight
        if have > 1:
            weight = reduce(ops.broadcast_to(weight, ops.shape(values)), axis=tuple(range(1, have)))
    rank = len(values.shape)
    if rank > 1:
        values = reduce(values, axis=tuple(range(1, rank)))
    return values, weight


class Sum(Metric):
    """Weighted sum of all values."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add the values of a batch."""
        values, _ = _per_sample(values, sample_weight, ops.sum, self.dtype)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Any:
        """The sum."""
        return ops.convert_to_tensor(self.total)


class Mean(Metric):
    """Weighted mean of all values; 0 before the first."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add the values of a batch; each sample counts once, or by its weight."""
        values, weight = _per_sample(values, sample_weight, ops.mean, self.dtype)
        self.total.assign_add(ops.sum(values))
        if weight is not None:
            count = ops.sum(weight)
        elif len(values.shape) > 0:
            count = ops.cast(ops.shape(values)[0], self.dtype)
        else:
            count = 1.0
        self.count.assign_add(count)

    def result(self) -> Any:
        """The mean."""
        empty = ops.equal(self.count, 0.0)
        return ops.where(empty, 0.0, ops.divide(self.total, ops.where(empty, 1.0, self.count)))


class MeanMetricWrapper(Mean):
    """Mean of a function `fn(y_true, y_pred, **kwargs)`; any function of the user will do."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self._fn = fn
        self._kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add the function's values of a batch; samples off the mask of `y_pred` do not count."""
        mask = mask_of(y_pred)
        values = ops.convert_to_tensor(called(self._fn, "metric", y_true, y_pred, self._kwargs))
        if mask is not None:
            factor = ops.cast(mask, self.dtype)
            if sample_weight is None:
                sample_weight = factor
            else:
                factor, sample_weight = match_ranks(factor, ops.cast(sample_weight, self.dtype))
                for _ in range(len(factor.shape) - len(sample_weight.shape)):
                    sample_weight = ops.expand_dims(sample_weight, -1)
                sample_weight = factor * sample_weight
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        config = super().get_config()
        if type(self) is MeanMetricWrapper:
            config["fn"] = serialize(self._fn)
        return {**config, **self._kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        values = dict(config)
        if isinstance(values.get("fn"), (str, dict)):
            from kgraph.metrics import get

            values["fn"] = get(values["fn"])
        return cls(**values)


class _Plain(MeanMetricWrapper):
    """A wrapper whose function and name are fixed by the class and that has no arguments."""

    function: Callable[..., Any] = staticmethod(accuracy)
    default_name = ""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        function = type(self).function
        super().__init__(function, name or self.default_name or function.__name__, dtype)
