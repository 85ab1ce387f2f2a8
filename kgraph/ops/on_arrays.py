"""Functions that NumPy computes when they are called on arrays: `with_arrays` beside a body for traces, `arrays_only`
without one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from kgraph.core import tree
from kgraph.core.dispatch import has_symbolic, operation
from kgraph.core.dtypes import canonical_array, is_float_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import TracedTensor
from kgraph.core.trace import current_trace, user_location
from kgraph.errors import ShapeError, UnsupportedError

__all__ = ["arrays_only", "float_array", "matrices", "with_arrays"]

P = ParamSpec("P")
R = TypeVar("R")
FloatArray = npt.NDArray[np.floating[Any]]


def _has_traced(structure: Any) -> bool:
    return any(isinstance(leaf, TracedTensor) for leaf in tree.flatten(structure))


def with_arrays(reference: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a public op of a body written on traced tensors, as `operation` does; on arrays call `reference`."""

    def wrap(body: Callable[P, R]) -> Callable[P, R]:
        recorded = operation(body)

        @wraps(body)
        def op(*args: P.args, **kwargs: P.kwargs) -> R:
            if current_trace() is None and not has_symbolic(args) and not has_symbolic(kwargs):
                result: R = reference(*args, **kwargs)
                return result
            return recorded(*args, **kwargs)

        return op

    return wrap


def arrays_only(fix: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a public function of one on arrays.  On symbolic and traced tensors it raises `UnsupportedError`, which says
    `fix`.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def op(*args: P.args, **kwargs: P.kwargs) -> R:
            if has_symbolic(args) or has_symbolic(kwargs) or _has_traced(args) or _has_traced(kwargs):
                file, line = user_location()
                raise UnsupportedError(
                    f"ops.{function.__name__} works on arrays only: inside a model it cannot be computed",
                    where=f"{file}:{line}" if file else "",
                    fix=fix,
                )
            return function(*args, **kwargs)

        return op

    return wrap


def float_array(x: Any) -> FloatArray:
    """`x` as an array of floats; whole numbers become `floatx`."""
    array = canonical_array(np.asarray(x))
    return array if is_float_dtype(array.dtype.name) else array.astype(floatx())


def matrices(what: str, x: Any, square: bool = False) -> FloatArray:
    """`x` as an array of floats [*S, M, N].

    Raises:
        ShapeError: another rank, or (with `square`) another number of rows than of columns.
    """
    array = float_array(x)
    if array.ndim < 2 or (square and array.shape[-1] != array.shape[-2]):
        raise ShapeError(
            f"{what} needs {'square ' if square else ''}matrices",
            got=str(array.shape),
            needed="(..., n, n)" if square else "(..., m, n)",
        )
    return array
