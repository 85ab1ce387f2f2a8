"""Constraints: functions that project a weight after each step of the optimizer.  Any callable w -> w will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kgraph import ops
from kgraph.core.session import epsilon
from kgraph.registry import Registry, serialize

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "serialize"]


class Constraint:
    """Base of the constraints.  `__call__(w)` returns the projected weight."""

    def __call__(self, w: Any) -> Any:
        """Return the projected weight."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(w)")

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Constraint:
        """The constraint that `get_config` described."""
        return cls(**config)


def _norm(w: Any, axis: int | Sequence[int]) -> Any:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


class MaxNorm(Constraint):
    """w · clip(n, 0, max_value) / (1e-7 + n), n the L2 norm over `axis`."""

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        """Return the projected weight."""
        w = ops.convert_to_tensor(w)
        norm = _norm(w, self.axis)
        return w * (ops.minimum(norm, self.max_value) / (norm + epsilon()))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal constraint."""
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """Negative weights become 0."""

    def __call__(self, w: Any) -> Any:
        """Return the projected weight."""
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """w / (1e-7 + n), n the L2 norm over `axis`."""

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """Return the projected weight."""
        w = ops.convert_to_tensor(w)
        return w / (_norm(w, self.axis) + epsilon())

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal constraint."""
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """w · (rate · clip(n, min_value, max_value) + (1 - rate) · n) / (1e-7 + n), n the L2 norm over `axis`."""

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        """Return the projected weight."""
        w = ops.convert_to_tensor(w)
        norm = _norm(w, self.axis)
        desired = ops.minimum(ops.maximum(norm, self.min_value), self.max_value) * self.rate
        if self.rate != 1.0:
            desired = desired + norm * (1.0 - self.rate)
        return w * (desired / (norm + epsilon()))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal constraint."""
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


_REGISTRY = Registry("constraint", makes=True)
_REGISTRY.add_all(
    (MaxNorm, NonNeg, UnitNorm, MinMaxNorm),
    {"max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm, "maxnorm": MaxNorm}
    | {"nonneg": NonNeg, "unitnorm": UnitNorm},
)
deserialize = _REGISTRY.deserialize

max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
maxnorm, nonneg, unitnorm = MaxNorm, NonNeg, UnitNorm


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """A constraint from a name, a class, an instance, a callable or a description; None stays None.

    Raises:
        UnknownNameError: no constraint has that name.
        InvalidArgumentError: the argument is none of these.
    """
    return None if identifier is None else _REGISTRY.get(identifier, "a name, a Constraint or a function")
