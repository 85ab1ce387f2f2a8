"""Factorisations of matrices by NumPy (LAPACK), on arrays only."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.errors import InvalidArgumentError
from kgraph.ops.on_arrays import FloatArray, arrays_only, matrices

__all__ = ["eig", "eigh", "lstsq", "lu_factor", "matrix_rank", "pinv", "qr", "svd"]

_BEFORE = "compute it from the data or the weights before the model, and pass the result in"
_SOLVE = "use ops.solve, ops.inv or ops.cholesky, which models can compute"


@arrays_only(_BEFORE)
def eig(x: Any) -> tuple[Any, Any]:
    """Eigenvalues [*S, N] and right eigenvectors [*S, N, N] of square matrices, as complex numbers.

    Raises:
        ShapeError: no square matrices.
        UnsupportedError: on tensors of a model or a trace.
    """
    array = matrices("eig", x, square=True)
    values, vectors = np.linalg.eig(array)
    kind = np.result_type(array.dtype, np.complex64)
    return values.astype(kind), vectors.astype(kind)


@arrays_only(_BEFORE)
def eigh(x: Any) -> tuple[Any, Any]:
    """Eigenvalues [*S, N] in rising order and eigenvectors [*S, N, N] of symmetric matrices.

    Raises:
        ShapeError: no square matrices.
        UnsupportedError: on tensors of a model or a trace.
    """
    values, vectors = np.linalg.eigh(matrices("eigh", x, square=True))
    return values, vectors


@arrays_only(_SOLVE)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """The x of least norm for which |a x - b| is least.

    Args:
        a: [M, N].
        b: [M] or [M, K].
        rcond: singular values below `rcond` times the greatest one count as 0.

    Raises:
        ShapeError: `a` is no matrix.
        UnsupportedError: on tensors of a model or a trace.
    """
    array = matrices("lstsq", a)
    return np.linalg.lstsq(array, np.asarray(b, array.dtype), rcond=rcond)[0]


def _lu(matrix: FloatArray) -> tuple[FloatArray, Any]:
    lu = matrix.astype(np.float64)
    rows, columns = lu.shape
    pivots = np.arange(min(rows, columns), dtype=np.int32)
    for k in range(len(pivots)):
        best = k + int(np.argmax(np.abs(lu[k:, k])))
        pivots[k] = best
        lu[[k, best]] = lu[[best, k]]
        if lu[k, k] != 0:
            lu[k + 1 :, k] /= lu[k, k]
            lu[k + 1 :, k + 1 :] -= np.outer(lu[k + 1 :, k], lu[k, k + 1 :])
    return lu.astype(matrix.dtype), pivots


@arrays_only(_SOLVE)
def lu_factor(x: Any) -> tuple[Any, Any]:
    """Lower (unit diagonal, not stored) and upper triangle in one matrix [*S, M, N], and the row that row i was
    exchanged with, i32[*S, min(M, N)].

    Raises:
        ShapeError: no matrices.
        UnsupportedError: on tensors of a model or a trace.

    Source: Golub and Van Loan, Matrix Computations, algorithm 3.4.1 (partial pivoting).
    """
    array = matrices("lu_factor", x)
    lead = array.shape[:-2]
    pairs = [_lu(matrix) for matrix in array.reshape(-1, *array.shape[-2:])]
    lu = np.array([pair[0] for pair in pairs], array.dtype).reshape(array.shape)
    pivots = np.array([pair[1] for pair in pairs], np.int32)
    return lu, pivots.reshape(*lead, min(array.shape[-2:]))


@arrays_only(_BEFORE)
def matrix_rank(x: Any, tol: float | None = None) -> Any:
    """Number of singular values above `tol`, i32[*S]; by default max(M, N) times the rounding error of the greatest.

    Raises:
        ShapeError: no matrices.
        UnsupportedError: on tensors of a model or a trace.
    """
    return np.asarray(np.linalg.matrix_rank(matrices("matrix_rank", x), tol=tol), np.int32)


@arrays_only(_SOLVE)
def pinv(x: Any, rcond: float | None = None) -> Any:
    """Pseudo-inverses [*S, N, M] of matrices (Moore and Penrose).

    Args:
        x: [*S, M, N].
        rcond: singular values below `rcond` times the greatest one count as 0; 10 max(M, N) eps by default.

    Raises:
        ShapeError: no matrices.
        UnsupportedError: on tensors of a model or a trace.
    """
    array = matrices("pinv", x)
    bound = 10.0 * max(array.shape[-2:]) * np.finfo(array.dtype).eps if rcond is None else rcond
    return np.linalg.pinv(array, rcond=bound)


@arrays_only(_BEFORE)
def qr(x: Any, mode: str = "reduced") -> tuple[Any, Any]:
    """Orthogonal times upper triangular matrices.

    Args:
        x: [*S, M, N].
        mode: `"reduced"` gives [*S, M, K] and [*S, K, N] with K = min(M, N); `"complete"` a square first factor.

    Raises:
        InvalidArgumentError: another mode.
        ShapeError: no matrices.
        UnsupportedError: on tensors of a model or a trace.
    """
    array = matrices("qr", x)
    if mode == "reduced":
        q, r = np.linalg.qr(array, mode="reduced")
    elif mode == "complete":
        q, r = np.linalg.qr(array, mode="complete")
    else:
        raise InvalidArgumentError(f"qr has no mode {mode!r}", needed="'reduced' or 'complete'")
    return q, r


@arrays_only(_BEFORE)
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Singular values in falling order between two orthogonal matrices: (u, s, vh), or s alone.

    Args:
        x: [*S, M, N].
        full_matrices: square u and vh, else [*S, M, K] and [*S, K, N] with K = min(M, N).
        compute_uv: whether u and vh are wanted.

    Raises:
        ShapeError: no matrices.
        UnsupportedError: on tensors of a model or a trace.
    """
    array = matrices("svd", x)
    if not compute_uv:
        return np.linalg.svd(array, full_matrices=full_matrices, compute_uv=False)
    return tuple(np.linalg.svd(array, full_matrices=full_matrices))
