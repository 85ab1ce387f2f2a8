"""Linear systems: Cholesky factors, solutions, inverses and determinants.

On arrays NumPy computes them.  Inside models each is a loop over the columns (`scan`), whose steps are products, so
that its derivatives, of any order, are those of the loop.  That suits matrices of some dozens of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.tensors import TracedTensor
from kgraph.errors import DataError, ShapeError
from kgraph.ir.dims import Shape, shape_volume
from kgraph.ops import making, math, nn, products, reduction, shaping, taking
from kgraph.ops.control import scan_region
from kgraph.ops.convert import active, as_tensor, common
from kgraph.ops.on_arrays import FloatArray, float_array, matrices, with_arrays

__all__ = ["cholesky", "cholesky_inverse", "det", "inv", "logdet", "slogdet", "solve", "solve_triangular"]


def _square(what: str, x: Any) -> tuple[TracedTensor, Shape, int]:
    """`x` as f[B, n, n], its leading sizes, and n.

    Raises:
        ShapeError: no square matrices of known size.
    """
    tensor = nn._floating(x)
    n = tensor.dims[-1] if len(tensor.dims) >= 2 else None
    if not isinstance(n, int) or tensor.dims[-2] != n:
        raise ShapeError(
            f"{what} needs square matrices of a known size",
            where=str(active().location()),
            got=str(tensor.shape),
            needed="(..., n, n)",
        )
    lead = tensor.dims[:-2]
    return shaping.reshape(tensor, (shape_volume(lead), n, n)), lead, n


def _right_side(what: str, a_shape: Any, b_shape: Any) -> bool:
    """Whether the right-hand side is one vector for each matrix.

    Raises:
        ShapeError: it does not fit.
    """
    vector = len(b_shape) == len(a_shape) - 1
    if not vector and (len(b_shape) != len(a_shape) or b_shape[-2] != a_shape[-1]):
        raise ShapeError(f"{what}: the right-hand side does not fit the matrices", got=f"{a_shape} and {b_shape}")
    if vector and b_shape[-1] != a_shape[-1]:
        raise ShapeError(f"{what}: the right-hand side does not fit the matrices", got=f"{a_shape} and {b_shape}")
    return vector


def _system(what: str, a: Any, b: Any) -> tuple[TracedTensor, TracedTensor, int, Any]:
    """f[B, n, n], f[B, n, m], n, and the way back to the shape of b."""
    left, right = (as_tensor(x) for x in common(as_tensor(a), as_tensor(b), floating=True))
    flat, _, n = _square(what, left)
    vector = _right_side(what, left.dims, right.dims)
    columns = shaping.reshape(right, (flat.dims[0], n, 1 if vector else right.dims[-1]))
    return flat, columns, n, lambda x: shaping.reshape(x, right.dims)


def _unit(n: int, dtype: str) -> TracedTensor:
    unit: TracedTensor = as_tensor(np.eye(n), dtype)
    return unit


def _column(matrix: TracedTensor, unit: TracedTensor) -> Any:
    """The column of f[B, n, m] that the unit vector f[m] names: f[B, n]."""
    return reduction.sum(math.multiply(matrix, unit), axis=-1)


def _row(matrix: TracedTensor, unit: Any) -> Any:
    """The row of f[B, n, m] that the unit vector f[n] or f[B, n] names: f[B, m]."""
    return reduction.sum(math.multiply(matrix, shaping.expand_dims(unit, -1)), axis=-2)


def _outer(a: Any, b: Any) -> Any:
    """f[B, n] or f[n] with f[B, m]: f[B, n, m]."""
    return math.multiply(shaping.expand_dims(a, -1), shaping.expand_dims(b, -2))


# -- Cholesky -------------------------------------------------------------------------------------------------------
def _cholesky_array(x: Any, upper: bool = False) -> FloatArray:
    array = matrices("cholesky", x, square=True)
    try:
        lower = np.linalg.cholesky((array + np.swapaxes(array, -1, -2)) * array.dtype.type(0.5))
    except np.linalg.LinAlgError:
        raise DataError(
            "cholesky: a matrix is not positive definite", fix="add a small multiple of ops.eye(n) to it"
        ) from None
    return np.swapaxes(lower, -1, -2) if upper else lower


@with_arrays(_cholesky_array)
def cholesky(x: Any, upper: bool = False) -> Any:
    """The lower triangular L with x = L Lᵀ of symmetric positive definite matrices; Lᵀ with `upper`.

    The mean of x and its transpose is factored.  In a model a matrix that is not positive definite gives NaN.

    Args:
        x: f[*S, n, n].
        upper: give the upper triangular factor.

    Raises:
        ShapeError: no square matrices of a known size.
        DataError: on arrays: a matrix is not positive definite.

    Source: Golub and Van Loan, Matrix Computations, algorithm 4.2.2 (outer products).
    """
    flat, lead, n = _square("cholesky", x)
    symmetric = math.multiply(math.add(flat, shaping.swapaxes(flat, -1, -2)), 0.5)
    below = as_tensor(np.triu(np.ones((n, n))), symmetric.dtype)  # row k: 1 from place k on

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        (rest,), (unit, mask) = states, slices
        column = _column(rest, unit)
        pivot = reduction.sum(math.multiply(column, unit), axis=-1, keepdims=True)
        factor = math.multiply(math.divide(column, math.sqrt(pivot)), mask)
        return [math.subtract(rest, _outer(factor, factor))], [factor]

    _, (columns,) = scan_region(step, [symmetric], [_unit(n, symmetric.dtype), below])
    order = (1, 0, 2) if upper else (1, 2, 0)  # columns: [step, B, row]
    return shaping.reshape(shaping.transpose(columns, order), (*lead, n, n))


def _cholesky_inverse_array(x: Any, upper: bool = False) -> FloatArray:
    factor = matrices("cholesky_inverse", x, square=True)
    triangle = np.swapaxes(np.triu(factor), -1, -2) if upper else np.tril(factor)
    inverse = np.linalg.inv(triangle)
    return np.asarray(np.swapaxes(inverse, -1, -2) @ inverse)


@with_arrays(_cholesky_inverse_array)
def cholesky_inverse(x: Any, upper: bool = False) -> Any:
    """The inverse of L Lᵀ, of its Cholesky factor L (or Lᵀ with `upper`).

    Args:
        x: f[*S, n, n], triangular; the other triangle is not looked at.
        upper: `x` is the upper triangular factor.

    Raises:
        ShapeError: no square matrices of a known size.
    """
    flat, lead, n = _square("cholesky_inverse", x)
    lower = shaping.swapaxes(flat, -1, -2) if upper else flat
    inverse = solve_triangular(lower, shaping.broadcast_to(_unit(n, flat.dtype), flat.dims), lower=True)
    product = products.matmul(shaping.swapaxes(inverse, -1, -2), inverse)
    return shaping.reshape(product, (*lead, n, n))


# -- solutions ------------------------------------------------------------------------------------------------------
def _solve_array(a: Any, b: Any) -> FloatArray:
    left, right = matrices("solve", a, square=True), float_array(b)
    vector = _right_side("solve", left.shape, right.shape)
    try:
        found = np.linalg.solve(left, right[..., None] if vector else right)
    except np.linalg.LinAlgError:
        raise DataError("solve: a matrix is singular", fix="add a small multiple of ops.eye(n) to it") from None
    return found[..., 0] if vector else found


def _solve_triangular_array(a: Any, b: Any, lower: bool = False) -> FloatArray:
    left = matrices("solve_triangular", a, square=True)
    return _solve_array(np.tril(left) if lower else np.triu(left), b)


@with_arrays(_solve_triangular_array)
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """The x with a x = b for triangular matrices; the other triangle of `a` is not looked at.

    Args:
        a: f[*S, n, n].
        b: f[*S, n] or f[*S, n, m].
        lower: whether `a` is lower triangular, else upper.

    Raises:
        ShapeError: no square matrices of a known size, or `b` does not fit.

    Source: Golub and Van Loan, Matrix Computations, algorithms 3.1.1 and 3.1.2.
    """
    flat, right, n, restored = _system("solve_triangular", a, b)

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        (found,), (unit,) = states, slices
        row = _row(flat, unit)
        # Rows not found yet are 0, so the other triangle of `a` has no part in this.
        known = reduction.sum(math.multiply(shaping.expand_dims(row, -1), found), axis=-2)
        pivot = reduction.sum(math.multiply(row, unit), axis=-1, keepdims=True)
        new = math.divide(math.subtract(_row(right, unit), known), pivot)
        return [math.add(found, _outer(unit, new))], []

    (found,), _ = scan_region(step, [making.zeros_like(right)], [_unit(n, flat.dtype)], reverse=not lower)
    return restored(found)


def _exchange(rest: TracedTensor, unit: TracedTensor, later: TracedTensor) -> tuple[Any, Any]:
    """Rows k and p exchanged, p the row from k on with the greatest element in column k (partial pivoting), and -1
    where that was an exchange, else 1.
    """
    column = math.abs(_column(taking.get_item(rest, (..., slice(0, int(str(unit.dims[0]))))), unit))
    place = reduction.argmax(math.where(math.greater(later, 0.5), column, -1.0), axis=-1)
    chosen = making.one_hot(place, int(str(unit.dims[0])), dtype=rest.dtype)
    best, here = _row(rest, chosen), _row(rest, unit)
    swap = math.subtract(chosen, unit)  # +1 at p, -1 at k; 0 when they are one
    exchanged = math.add(rest, _outer(swap, math.subtract(here, best)))
    stays = reduction.sum(math.multiply(chosen, unit), axis=-1)
    return exchanged, math.subtract(math.multiply(stays, 2.0), 1.0)


def _later(n: int, dtype: str) -> TracedTensor:
    return as_tensor(np.triu(np.ones((n, n))), dtype)


def _eliminated(flat: TracedTensor, right: TracedTensor, n: int) -> TracedTensor:
    """The solution f[B, n, m], by Gauss-Jordan elimination with partial pivoting."""

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        (rest,), (unit, later) = states, slices
        rest, _ = _exchange(rest, unit, later)
        column = _column(taking.get_item(rest, (..., slice(0, n))), unit)
        pivot = reduction.sum(math.multiply(column, unit), axis=-1, keepdims=True)
        scaled = math.divide(_row(rest, unit), pivot)
        cleared = math.subtract(rest, _outer(column, scaled))
        here = math.greater(shaping.reshape(unit, (1, n, 1)), 0.5)
        return [math.where(here, shaping.expand_dims(scaled, -2), cleared)], []

    both = shaping.concatenate([flat, right], axis=-1)
    (done,), _ = scan_region(step, [both], [_unit(n, flat.dtype), _later(n, flat.dtype)])
    solution: TracedTensor = taking.get_item(done, (..., slice(n, None)))
    return solution


@with_arrays(_solve_array)
def solve(a: Any, b: Any) -> Any:
    """The x with a x = b; in a model, NaN or infinity for singular matrices.

    Args:
        a: f[*S, n, n].
        b: f[*S, n] or f[*S, n, m].

    Raises:
        ShapeError: no square matrices of a known size, or `b` does not fit.
        DataError: on arrays: a matrix is singular.

    Source: Golub and Van Loan, Matrix Computations, section 3.4 (partial pivoting).
    """
    flat, right, n, restored = _system("solve", a, b)
    return restored(_eliminated(flat, right, n))


def _inv_array(x: Any) -> FloatArray:
    array = matrices("inv", x, square=True)
    try:
        return np.linalg.inv(array)
    except np.linalg.LinAlgError:
        raise DataError("inv: a matrix is singular", fix="add a small multiple of ops.eye(n) to it") from None


@with_arrays(_inv_array)
def inv(x: Any) -> Any:
    """Inverses of square matrices f[*S, n, n]; in a model, NaN or infinity for singular ones.

    Raises:
        ShapeError: no square matrices of a known size.
        DataError: on arrays: a matrix is singular.
    """
    flat, lead, n = _square("inv", x)
    unit = shaping.broadcast_to(_unit(n, flat.dtype), flat.dims)
    return shaping.reshape(_eliminated(flat, unit, n), (*lead, n, n))


# -- determinants ---------------------------------------------------------------------------------------------------
def _pivots(flat: TracedTensor, n: int) -> tuple[TracedTensor, TracedTensor]:
    """(pivots, signs of the exchanges), each f[n, B], of Gauss elimination; pivots of 0 stay 0."""

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        (rest,), (unit, later) = states, slices
        rest, sign = _exchange(rest, unit, later)
        column = math.multiply(_column(rest, unit), later)
        pivot = reduction.sum(math.multiply(column, unit), axis=-1, keepdims=True)
        share = math.multiply(math.divide_no_nan(column, pivot), math.subtract(1.0, unit))
        return [math.subtract(rest, _outer(share, _row(rest, unit)))], [shaping.squeeze(pivot, -1), sign]

    _, (pivots, signs) = scan_region(step, [flat], [_unit(n, flat.dtype), _later(n, flat.dtype)])
    return pivots, signs


def _det_array(x: Any) -> FloatArray:
    array = matrices("det", x, square=True)
    return np.asarray(np.linalg.det(array), array.dtype)


@with_arrays(_det_array)
def det(x: Any) -> Any:
    """Determinants of square matrices: f[*S, n, n] -> f[*S].

    Raises:
        ShapeError: no square matrices of a known size.
    """
    flat, lead, n = _square("det", x)
    pivots, signs = _pivots(flat, n)
    return shaping.reshape(reduction.prod(math.multiply(pivots, signs), axis=0), lead)


def _slogdet_array(x: Any) -> tuple[FloatArray, FloatArray]:
    array = matrices("slogdet", x, square=True)
    sign, logarithm = np.linalg.slogdet(array)
    return np.asarray(sign, array.dtype), np.asarray(logarithm, array.dtype)


@with_arrays(_slogdet_array)
def slogdet(x: Any) -> Any:
    """(sign, log of the absolute value) of determinants: f[*S, n, n] -> f[*S], f[*S]; (0, -inf) for singular matrices.

    Raises:
        ShapeError: no square matrices of a known size.
    """
    flat, lead, n = _square("slogdet", x)
    pivots, signs = _pivots(flat, n)
    sign = reduction.prod(math.multiply(math.sign(pivots), signs), axis=0)
    return shaping.reshape(sign, lead), shaping.reshape(reduction.sum(math.log(math.abs(pivots)), axis=0), lead)


@with_arrays(lambda x: _slogdet_array(x)[1])
def logdet(x: Any) -> Any:
    """Logarithm of the absolute value of determinants: f[*S, n, n] -> f[*S].

    Raises:
        ShapeError: no square matrices of a known size.
    """
    return slogdet(x)[1]
