"""Python operators for everything that is tensor-like: one table, each entry a function of `kgraph.ops`."""

from __future__ import annotations

from typing import Any

__all__ = ["UFUNCS", "OperatorMixin"]

# Functions of NumPy behind its binary operators -> functions of kgraph.ops.
UFUNCS = {
    **{name: name for name in "add subtract multiply divide floor_divide power matmul less less_equal greater".split()},
    **{name: name for name in "greater_equal equal not_equal logical_and logical_or logical_xor".split()},
    **{"true_divide": "divide", "remainder": "mod"},
    **{"bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "logical_xor"},
}


def _ops() -> Any:
    # Late: kgraph.ops is built upon this package.
    from kgraph import ops

    return ops


class OperatorMixin:
    """Arithmetic, ordering, `@`, `abs` and indexing through `kgraph.ops`.  `==` is left to each class."""

    # NumPy must not take `array + tensor` apart element by element.
    __array_priority__ = 200

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """`array + variable` is the op of that name, `np.exp(variable)` is NumPy's function of its value."""
        import numpy as np

        operator = UFUNCS.get(ufunc.__name__)
        if method == "__call__" and not kwargs and operator is not None:
            return getattr(_ops(), operator)(*inputs)
        values = [np.asarray(x) if isinstance(x, OperatorMixin) else x for x in inputs]
        return getattr(ufunc, method)(*values, **kwargs)

    def __add__(self, other: Any) -> Any:
        return _ops().add(self, other)

    def __radd__(self, other: Any) -> Any:
        return _ops().add(other, self)

    def __sub__(self, other: Any) -> Any:
        return _ops().subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return _ops().subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return _ops().multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _ops().multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return _ops().divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _ops().divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _ops().floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _ops().floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return _ops().mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return _ops().mod(other, self)

    def __pow__(self, other: Any) -> Any:
        return _ops().power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return _ops().power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return _ops().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _ops().matmul(other, self)

    def __neg__(self) -> Any:
        return _ops().negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _ops().abs(self)

    def __invert__(self) -> Any:
        return _ops().logical_not(self)

    def __and__(self, other: Any) -> Any:
        return _ops().logical_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return _ops().logical_and(other, self)

    def __or__(self, other: Any) -> Any:
        return _ops().logical_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return _ops().logical_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return _ops().logical_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return _ops().logical_xor(other, self)

    def __lt__(self, other: Any) -> Any:
        return _ops().less(self, other)

    def __le__(self, other: Any) -> Any:
        return _ops().less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return _ops().greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return _ops().greater_equal(self, other)

    def __getitem__(self, key: Any) -> Any:
        return _ops().get_item(self, key)
