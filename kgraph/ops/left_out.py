"""What `keras.ops` has and a model of kgraph does not: names that are refused, and names that take arrays alone."""

from __future__ import annotations

__all__ = ["ARRAYS_ONLY", "LEFT_OUT"]

# Name -> what to use instead.
LEFT_OUT = {
    "polar": "the pair (abs_ * ops.cos(angle), abs_ * ops.sin(angle))",
    "view_as_complex": "the real and imaginary parts along the last axis, as they are",
    "view_as_real": "the real and imaginary parts as two tensors",
}

_SHAPE = "the shape of the result follows from the values"
_FACTORS = "LAPACK computes it through NumPy; models have `solve`, `inv`, `cholesky`, `det` and `norm`"
# Name -> why a model cannot compute it.
ARRAYS_ONLY = {
    **dict.fromkeys(("eig", "eigh", "lstsq", "lu_factor", "matrix_rank", "pinv", "qr", "svd"), _FACTORS),
    **dict.fromkeys(("bincount", "nonzero", "unique"), _SHAPE),
    "custom_gradient": "derivatives follow from the operations",
}
