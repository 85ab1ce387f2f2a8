"""`Variable`: one named tensor that lives between calls.

A variable owns one contiguous, 64-byte aligned NumPy array for life; `assign` copies into it.  Compiled programs hold
its address, so nothing here ever replaces the array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.dtypes import standardize_dtype
from kgraph.core.operators import OperatorMixin
from kgraph.core.session import unique_name
from kgraph.errors import InvalidArgumentError, ShapeError

__all__ = ["Variable", "aligned_empty"]

ALIGNMENT = 64  # bytes: one cache line, and the widest vector register


def aligned_empty(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An uninitialised C-contiguous array whose first byte has an address divisible by 64."""
    element = np.dtype(dtype)
    count = 1
    for size in shape:
        count *= size
    raw = np.empty(count * element.itemsize + ALIGNMENT, np.uint8)
    offset = -raw.ctypes.data % ALIGNMENT
    return raw[offset : offset + count * element.itemsize].view(element).reshape(tuple(shape))


class Variable(OperatorMixin):
    """A tensor with a name that keeps its value: a weight, an optimizer slot, a metric sum.

    Args:
        initializer: an array, a number, or a function `f(shape, dtype)`; also the name of an initializer.
        shape: needed when `initializer` is a function.
        dtype: `floatx` for floats when not given.
        trainable: whether training changes it.
        name: last part of its path, e.g. `"kernel"`.
        path: full path, e.g. `"dense/kernel"`; the name by default.

    Example:
        >>> v = Variable([1.0, 2.0], name="scale")
        >>> v.assign_add([1.0, 1.0])
        >>> v.numpy()
        array([2., 3.], dtype=float32)
    """

    def __init__(
        self,
        initializer: Any = None,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        path: str | None = None,
        regularizer: Any = None,
        constraint: Any = None,
        autocast: bool = True,
        aggregation: str | None = None,
    ) -> None:
        if isinstance(initializer, Variable):
            initializer = initializer.value
        if isinstance(initializer, str):
            from kgraph import initializers

            initializer = initializers.get(initializer)
        self.name = name or unique_name("variable")
        self.path = path or self.name
        self.trainable = bool(trainable)
        self.created_trainable = self.trainable
        self.regularizer = regularizer
        self.constraint = constraint
        first = _first_value(initializer, shape, dtype, self.path)
        self._array = aligned_empty(first.shape, first.dtype)
        self._array[...] = first

    # -- reading --------------------------------------------------------------------------------------------------
    @property
    def array(self) -> npt.NDArray[Any]:
        """The array itself, for programs that read and write it in place."""
        return self._array

    @property
    def value(self) -> Any:
        """A view of the array; inside a trace the traced tensor that stands for the variable."""
        from kgraph.core.trace import current_trace

        trace = current_trace()
        return self._array if trace is None else trace.value_of(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes; always known."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._array.size

    @property
    def dtype(self) -> str:
        """Element type, e.g. `"float32"`."""
        return str(self._array.dtype.name)

    def numpy(self) -> npt.NDArray[Any]:
        """A copy of the value."""
        return np.array(self._array)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        from kgraph.core.trace import current_trace

        if current_trace() is not None:
            raise InvalidArgumentError(
                f"the value of variable {self.path!r} was asked for as a NumPy array while a function is traced",
                fix="use kgraph.ops on the variable itself",
            )
        array = self._array if dtype is None else self._array.astype(dtype)
        return array.copy() if copy else array

    def __float__(self) -> float:
        return float(self.__array__())

    def __int__(self) -> int:
        return int(self.__array__())

    def __len__(self) -> int:
        return len(self._array)

    def __bool__(self) -> bool:
        return bool(self.__array__())

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"

    # -- writing --------------------------------------------------------------------------------------------------
    def assign(self, value: Any) -> Any:
        """Set the value: a copy into the array, or an update of the graph inside a trace.

        Raises:
            ShapeError: the shape is another one.
        """
        from kgraph.core.trace import current_trace

        trace = current_trace()
        if trace is not None:
            return trace.assign(self, value)
        new = value.array if isinstance(value, Variable) else np.asarray(value)
        if new.shape != self.shape:
            raise ShapeError(
                f"cannot assign to variable {self.path!r}: the shapes differ",
                got=str(new.shape),
                needed=f"{self.shape}, the shape it was created with",
            )
        self._array[...] = new
        return self._array

    def assign_add(self, value: Any) -> Any:
        """Add to the value."""
        from kgraph import ops

        return self.assign(ops.add(self, value))

    def assign_sub(self, value: Any) -> Any:
        """Subtract from the value."""
        from kgraph import ops

        return self.assign(ops.subtract(self, value))

    # Variables are compared by identity in dicts and lists; elementwise comparison is ops.equal.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        array = aligned_empty(state["_array"].shape, state["_array"].dtype)
        array[...] = state["_array"]
        self._array = array

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(self.__getstate__())
        return twin


def _first_value(initializer: Any, shape: Sequence[int] | None, dtype: Any, path: str) -> npt.NDArray[Any]:
    """The initial array, in its final dtype."""
    if callable(initializer) or initializer is None:
        if shape is None or any(size is None for size in shape):
            raise InvalidArgumentError(
                f"variable {path!r} needs a full shape",
                got=f"shape={shape}",
                fix="give shape= as a tuple of integers, or an array",
            )
        name = standardize_dtype(dtype)
        if initializer is None:
            return np.zeros(tuple(shape), name)
        value = _initialise(initializer, tuple(int(size) for size in shape), name)
        if value.shape != tuple(shape):
            raise ShapeError(
                f"the initializer of variable {path!r} returned another shape",
                got=str(value.shape),
                needed=str(tuple(shape)),
            )
        return value.astype(name)
    value = np.asarray(initializer)
    if dtype is None:
        dtype = "int32" if value.dtype.kind in "iu" else "bool" if value.dtype.kind == "b" else None
    name = standardize_dtype(dtype)
    if shape is not None and value.shape != tuple(shape):
        value = np.broadcast_to(value, tuple(shape))
    return value.astype(name)


def _initialise(initializer: Callable[..., Any], shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    from kgraph.core.trace import eager_scope

    # Initialisers run as usual Python even when a layer is built while a function is traced.
    with eager_scope():
        try:
            value = initializer(shape, dtype=dtype)
        except TypeError as error:
            if "dtype" not in str(error):
                raise
            value = initializer(shape)
        return np.asarray(value)
