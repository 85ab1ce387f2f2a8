"""Element types and tensor types of the IR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError
from kgraph.ir.dims import DimLike, Shape, shape_text, shape_volume

__all__ = ["DTYPES", "TensorType", "dtype_of_numpy", "is_float", "is_integer", "itemsize", "numpy_dtype"]

DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "i8": np.dtype(np.int8),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "u32": np.dtype(np.uint32),
    "bool": np.dtype(np.bool_),
}
_BY_NUMPY = {numpy_type: name for name, numpy_type in DTYPES.items()}


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """NumPy's dtype for an IR dtype.

    Raises:
        DtypeError: no such IR dtype.
    """
    try:
        return DTYPES[dtype]
    except KeyError:
        raise DtypeError(f"unknown element type {dtype!r}", needed="one of " + ", ".join(DTYPES)) from None


def dtype_of_numpy(dtype: npt.DTypeLike) -> str:
    """IR dtype for anything NumPy accepts as a dtype.

    Raises:
        DtypeError: the IR has no such type.
    """
    name = _BY_NUMPY.get(np.dtype(dtype))
    if name is None:
        raise DtypeError(f"element type {np.dtype(dtype)} is not supported", needed="one of " + ", ".join(DTYPES))
    return name


def is_float(dtype: str) -> bool:
    """Whether `dtype` is a floating-point type."""
    return dtype in ("f32", "f64", "f16")


def is_integer(dtype: str) -> bool:
    """Whether `dtype` is a signed or unsigned integer type (bool is not)."""
    return dtype in ("i8", "i32", "i64", "u8", "u32")


def itemsize(dtype: str) -> int:
    """Bytes per element."""
    return numpy_dtype(dtype).itemsize


@dataclass(frozen=True)
class TensorType:
    """Element type and shape, e.g. `f32[B, 784]`; a scalar is `f32[]`."""

    dtype: str
    shape: Shape = ()

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def volume(self) -> DimLike:
        """Number of elements."""
        return shape_volume(self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        """Same element type, other shape."""
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: str) -> TensorType:
        """Same shape, other element type."""
        return TensorType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"
