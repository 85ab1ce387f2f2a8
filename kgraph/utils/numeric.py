"""Small helpers on NumPy arrays: `to_categorical`, `normalize`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DataError, DtypeError, InvalidArgumentError

__all__ = ["normalize", "to_categorical"]

Array = np.ndarray[Any, np.dtype[Any]]


def to_categorical(x: npt.ArrayLike, num_classes: int | None = None) -> Array:
    """One-hot rows for class numbers.

    Args:
        x: whole numbers `(...)` or `(..., 1)`; the trailing 1 is dropped.
        num_classes: length of a row; default: the largest class + 1.

    Returns:
        float64 array `(..., num_classes)`, as Keras gives.

    Raises:
        DataError: a class is negative or not below `num_classes`; names its place.
        DtypeError: a class is no whole number.

    Example:
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    given = np.asarray(x)
    if given.dtype.kind not in "iubf":
        raise DtypeError("to_categorical takes whole numbers", got=f"dtype {given.dtype}")
    classes = given.astype(np.int64)
    if given.dtype.kind == "f" and not np.array_equal(classes, given):
        raise DtypeError("to_categorical takes whole numbers", got="numbers with a fraction, or not finite")
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes.reshape(classes.shape[:-1])
    if num_classes is None:
        if not classes.size:
            raise InvalidArgumentError("to_categorical of an empty array needs num_classes")
        num_classes = int(classes.max()) + 1
    wrong = np.argwhere((classes < 0) | (classes >= num_classes))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise DataError(
            f"to_categorical: class {classes[place]} is outside the {num_classes} classes",
            where=f"x{list(place)}",
            needed=f"0 <= class < {num_classes}",
            fix="give the right num_classes, or correct the labels",
        )
    rows = np.zeros((classes.size, num_classes))
    rows[np.arange(classes.size), classes.ravel()] = 1.0
    return rows.reshape((*classes.shape, num_classes))


def normalize(x: npt.ArrayLike, axis: int = -1, order: int | float = 2) -> Array:
    """`x` divided by its norm of the given order along `axis`; where the norm is 0, `x` itself.

    Example:
        >>> normalize([[3.0, 4.0]])
        array([[0.6, 0.8]])
    """
    array = np.atleast_1d(np.asarray(x))
    size = np.linalg.norm(array, order, axis, keepdims=True)
    size[size == 0] = 1
    return np.asarray(array / size)
