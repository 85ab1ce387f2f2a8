"""Regularizers: penalties on weights or activations that are added to the loss.  Any callable w -> scalar will do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kgraph import ops
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.registry import Registry, serialize

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "serialize"]


class Regularizer:
    """Base of the regularizers.  `__call__(x)` returns a scalar."""

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(x)")

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal regularizer."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)


def _factor(value: Any, name: str, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise InvalidArgumentError(f"argument `{name}` is {value!r}", needed="a finite number, 0 or more")
    return float(value)


class L1L2(Regularizer):
    """l1 · Σ|x| + l2 · Σx² (no factor ½)."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1, self.l2 = _factor(l1, "l1", 0.0), _factor(l2, "l2", 0.0)

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar."""
        x = ops.convert_to_tensor(x)
        terms = []
        if self.l1:
            terms.append(ops.sum(ops.abs(x)) * self.l1)
        if self.l2:
            terms.append(ops.sum(ops.square(x)) * self.l2)
        if not terms:
            return ops.convert_to_tensor(0.0, dtype="float32")
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal regularizer."""
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """l1 · Σ|x|."""

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor(l1, "l1", 0.01)

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar."""
        return ops.sum(ops.abs(x)) * self.l1

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal regularizer."""
        return {"l1": self.l1}


class L2(Regularizer):
    """l2 · Σx² (no factor ½)."""

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor(l2, "l2", 0.01)

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar."""
        return ops.sum(ops.square(x)) * self.l2

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal regularizer."""
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Mean absolute cosine between the rows (or columns) of a matrix, times factor / 2."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor(factor, "factor", 0.01)
        if mode not in ("rows", "columns"):
            raise InvalidArgumentError(f"argument `mode` is {mode!r}", needed="rows or columns")
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar."""
        x = ops.convert_to_tensor(x)
        if len(x.shape) != 2:
            raise ShapeError(
                "the orthogonal regularizer needs a matrix", got=f"shape {tuple(x.shape)}", needed="rank 2"
            )
        axis = 1 if self.mode == "rows" else 0
        x = x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))
        size = int(x.shape[1 - axis])
        turned = ops.transpose(x)
        product = ops.matmul(x, turned) if self.mode == "rows" else ops.matmul(turned, x)
        off_diagonal = product * (1.0 - ops.eye(size, dtype=x.dtype))
        pairs = size * (size - 1.0) / 2.0
        return ops.sum(ops.abs(off_diagonal)) * (self.factor * 0.5 / pairs)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal regularizer."""
        return {"factor": self.factor, "mode": self.mode}


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """`L1L2` with the defaults of Keras 2."""
    return L1L2(l1, l2)


l1, l2, orthogonal_regularizer = L1, L2, OrthogonalRegularizer

_REGISTRY = Registry("regularizer", makes=True)
_REGISTRY.add_all(
    (L1, L2, L1L2, OrthogonalRegularizer),
    {"l1": L1, "l2": L2, "l1l2": L1L2, "l1_l2": l1_l2, "orthogonal_regularizer": OrthogonalRegularizer},
)
deserialize = _REGISTRY.deserialize


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """A regularizer from a name, a class, an instance, a callable or a description; None stays None.

    Raises:
        UnknownNameError: no regularizer has that name.
        InvalidArgumentError: the argument is none of these.
    """
    return None if identifier is None else _REGISTRY.get(identifier, "a name, a Regularizer or a function")
