"""`ops.linalg`: norms, distances and directional derivatives, and the names of the modules that solve and factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgraph.core import tree
from kgraph.core.dispatch import operation
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.ir.builder import Builder
from kgraph.ir.graph import Value
from kgraph.ir.passes.autodiff import backpropagate
from kgraph.ops import making, math, nn, reduction, shaping
from kgraph.ops.convert import active, as_tensor, cast_to, common, normal_axis
from kgraph.ops.factoring import eig, eigh, lstsq, lu_factor, matrix_rank, pinv, qr, svd
from kgraph.ops.on_arrays import FloatArray, float_array, with_arrays
from kgraph.ops.solving import cholesky, cholesky_inverse, det, inv, logdet, slogdet, solve, solve_triangular

__all__ = [
    "cdist",
    "cholesky",
    "cholesky_inverse",
    "det",
    "eig",
    "eigh",
    "inv",
    "jvp",
    "logdet",
    "lstsq",
    "lu_factor",
    "matrix_rank",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
]


# -- norms and distances --------------------------------------------------------------------------------------------
def _norm_array(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> FloatArray:
    array = float_array(x)
    try:
        return np.asarray(np.linalg.norm(array, ord, _axes(axis), keepdims), array.dtype)
    except ValueError as error:
        raise InvalidArgumentError(f"norm: {error}", got=f"ord={ord!r}, axis={axis!r}, shape {array.shape}") from None


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _vector_norm(x: TracedTensor, ord: Any, axis: Any, keepdims: bool) -> Any:
    size = math.abs(x)
    if ord is None or ord == 2:
        return math.sqrt(reduction.sum(math.square(x), axis=axis, keepdims=keepdims))
    if ord == np.inf:
        return reduction.max(size, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return reduction.min(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return reduction.sum(math.cast(math.not_equal(x, 0.0), x.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return reduction.sum(size, axis=axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise InvalidArgumentError(f"norm: ord {ord!r} is for matrices", needed="a number, or two axes")
    return math.power(reduction.sum(math.power(size, float(ord)), axis=axis, keepdims=keepdims), 1.0 / float(ord))


def _matrix_norm(x: TracedTensor, ord: Any, axes: Sequence[int], keepdims: bool) -> Any:
    rows, columns = (normal_axis(axis, len(x.dims)) for axis in axes)
    if ord in (2, -2, "nuc"):
        raise UnsupportedError(
            f"norm with ord={ord!r} needs singular values, which a model cannot compute",
            fix="use the Frobenius norm, ord='fro'",
        )
    if ord not in (1, -1, np.inf, -np.inf):
        raise InvalidArgumentError(
            f"norm: ord {ord!r} of matrices", needed="None, 'fro', 'nuc', 1, -1, 2, -2, inf, -inf"
        )
    summed, kept = (rows, columns) if ord in (1, -1) else (columns, rows)
    total = reduction.sum(math.abs(x), axis=summed, keepdims=True)
    extreme = reduction.max if ord > 0 else reduction.min
    result = extreme(total, axis=kept, keepdims=True)
    return result if keepdims else shaping.squeeze(result, (rows, columns))


@with_arrays(_norm_array)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of vectors or matrices, as `numpy.linalg.norm`.

    Args:
        x: tensor.
        ord: None (root of the sum of squares), a number, inf, -inf, "fro" or "nuc".
        axis: one axis for vectors, two for matrices; None takes all elements.
        keepdims: keep the axes with size 1.

    Raises:
        InvalidArgumentError: an ord that does not go with the axes.
        UnsupportedError: in a model: an ord that needs singular values (2, -2 or "nuc" of matrices).
    """
    tensor = nn._floating(x)
    rank = len(tensor.dims)
    axes = _axes(axis)
    if ord is None or (ord == "fro" and (rank == 2 if axes is None else isinstance(axes, tuple) and len(axes) == 2)):
        return _vector_norm(tensor, None, axes, keepdims)
    if axes is None and rank not in (1, 2):
        raise InvalidArgumentError("norm with ord needs an axis for tensors of this rank", got=str(tensor.shape))
    places = tuple(range(rank)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    if len(places) == 1:
        return _vector_norm(tensor, ord, places[0], keepdims)
    if len(places) != 2:
        raise InvalidArgumentError("norm takes one axis or two", got=f"axis={axis!r}")
    return _matrix_norm(tensor, ord, places, keepdims)


@operation
def cdist(x: Any, y: Any) -> Any:
    """Euclidean distance of each row of x to each row of y: f[*S, M, D], f[*S, N, D] -> f[*S, M, N].

    The derivative at distance 0 is 0.

    Raises:
        ShapeError: a rank below 2, or rows of different lengths.
    """
    a, b = (as_tensor(t) for t in common(as_tensor(x), as_tensor(y), floating=True))
    if len(a.dims) < 2 or len(b.dims) < 2 or a.dims[-1] != b.dims[-1]:
        raise ShapeError(
            "cdist needs two tensors of rows of one length",
            where=str(active().location()),
            got=f"{a.shape} and {b.shape}",
            needed="(..., m, d) and (..., n, d)",
        )
    difference = math.subtract(shaping.expand_dims(a, -2), shaping.expand_dims(b, -3))
    squared = reduction.sum(math.square(difference), axis=-1)
    apart = math.greater(squared, 0.0)
    return math.where(apart, math.sqrt(math.where(apart, squared, 1.0)), 0.0)


# -- directional derivatives ----------------------------------------------------------------------------------------
def pull_back(
    outputs: Sequence[TracedTensor], cotangents: Sequence[Any], inputs: Sequence[TracedTensor]
) -> list[TracedTensor | None]:
    """The gradient of sum(output · cotangent) for each input, appended to the trace; None where it does not depend."""
    trace = active()
    seeds: dict[Value, Value] = {}
    builder = Builder(trace.graph)
    builder.loc = trace.location()
    for output, cotangent in zip(outputs, cotangents):
        seed = cast_to(as_tensor(cotangent), output.dtype).value
        seeds[output.value] = builder.op("add", seeds[output.value], seed) if output.value in seeds else seed
    found = backpropagate(builder, list(trace.graph.nodes), seeds, [x.value for x in inputs])
    return [None if value is None else trace.tensor(value) for value in found]


@operation
def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """The values of `fun` at `primals`, and how they change along `tangents` (Jacobian times vector).

    Args:
        fun: function of tensors, returning floating-point tensors.
        primals: its arguments, a list or tuple of tensors.
        tangents: a direction for each argument.
        has_aux: `fun` returns a pair (values, other), and only the values are differentiated.

    Returns:
        (values, derivatives), and `other` with `has_aux`.

    Raises:
        InvalidArgumentError: not one tangent for each argument.

    The derivative backwards is linear in what is pulled back, so its own derivative is the one forwards (J. Townsend,
    "A new trick for calculating Jacobian vector products", 2017).
    """
    if (
        not isinstance(primals, (list, tuple))
        or not isinstance(tangents, (list, tuple))
        or len(primals) != len(tangents)
    ):
        raise InvalidArgumentError(
            "jvp needs a list of arguments and one tangent for each",
            got=f"primals {type(primals).__name__}, tangents {type(tangents).__name__}",
        )
    inputs = [_alone(x) for x in primals]
    result = fun(*inputs)
    values, other = result if has_aux else (result, None)
    outputs = [as_tensor(y) for y in tree.flatten(values)]
    # The value does not matter: the gradient is linear in it.
    probes = [making.zeros_like(y) for y in outputs]
    pulled = pull_back(outputs, probes, inputs)
    known = [(grad, as_tensor(t, x.dtype)) for grad, x, t in zip(pulled, inputs, tangents) if grad is not None]
    grads, directions = [grad for grad, _ in known], [t for _, t in known]
    forwards = pull_back(grads, directions, probes)
    changes = [making.zeros_like(y) if change is None else change for y, change in zip(outputs, forwards)]
    derivative = tree.pack_like(values, changes)
    return (values, derivative, other) if has_aux else (values, derivative)


def _alone(x: Any) -> TracedTensor:
    """`x` as a floating-point tensor with a value of its own, so that equal arguments are told apart."""
    tensor = as_tensor(x)
    tensor = tensor if is_float_dtype(tensor.dtype) else cast_to(tensor, floatx())
    alone: TracedTensor = math.add(tensor, making.zeros_like(tensor))
    return alone
