"""From anything a user passes to traced tensors, and the meeting of types and shapes before an IR op is emitted.

Every body in this package works inside a trace: `as_tensor` is its way in, `unary`/`binary` its way to the IR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.core.dispatch import SameSize
from kgraph.core.dtypes import canonical_array, ir_dtype, is_float_dtype, promote_dtypes, standardize_dtype
from kgraph.core.session import floatx
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.trace import Trace, require_trace
from kgraph.core.variable import Variable
from kgraph.errors import DtypeError, InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim, DimLike, Shape, shape_text, shape_volume

__all__ = [
    "as_tensor",
    "binary",
    "cast_to",
    "common",
    "normal_axes",
    "normal_axis",
    "same_sizes",
    "shape_argument",
    "unary",
]

Number = bool | int | float
# What arithmetic means on truth values.
_ON_BOOL = {"add": "logical_or", "mul": "logical_and", "maximum": "logical_or", "minimum": "logical_and"}


def active(what: str = "an operation") -> Trace:
    """The trace to emit into."""
    return require_trace(what)


def as_tensor(x: Any, dtype: Any = None) -> TracedTensor:
    """`x` as a tensor of the active trace.

    Args:
        x: traced tensor, Variable, array, number, symbolic size, or nested lists of these.
        dtype: cast to it; for numbers and sizes the type they get.

    Raises:
        InvalidArgumentError: a symbolic tensor of a functional model, which has no value in a traced function.
    """
    trace = active()
    if isinstance(x, TracedTensor):
        tensor = x if x.trace is trace else _captured(trace, x)
    elif isinstance(x, Variable):
        tensor = trace.value_of(x)
    elif isinstance(x, Dim):
        return trace_emit(trace, "dim_size", dim=x, dtype=ir_dtype(dtype or "int32"))
    elif isinstance(x, SymbolicTensor):
        raise InvalidArgumentError(
            "a tensor of a functional model was used inside a function that is being traced",
            where=str(trace.location()),
            got=repr(x),
            fix="pass it to the layer as an argument of the call instead of using it from outside",
        )
    elif isinstance(x, (list, tuple)) and _has_tensor(x):
        from kgraph.ops.shaping import stack

        tensor = stack([as_tensor(item) for item in x])
    elif x is None:
        raise InvalidArgumentError("None cannot become a tensor", where=str(trace.location()))
    else:
        plain = isinstance(x, (bool, int, float)) or (isinstance(x, (list, tuple)) and dtype is not None)
        array = np.asarray(x, dtype=standardize_dtype(dtype)) if plain and dtype is not None else canonical_array(x)
        tensor = trace.emit("constant", value=array)
    return cast_to(tensor, dtype) if dtype is not None else tensor


def _captured(trace: Trace, x: TracedTensor) -> TracedTensor:
    inner = trace.capture(x)
    inner._keras_mask = x._keras_mask
    return inner


def trace_emit(trace: Trace, op: str, *operands: Any, **attrs: Any) -> TracedTensor:
    """`trace.emit` of an op with one result."""
    result = trace.emit(op, *operands, **attrs)
    assert isinstance(result, TracedTensor)
    return result


def emit(op: str, *operands: Any, **attrs: Any) -> Any:
    """Append an IR node to the active trace."""
    return active().emit(op, *operands, **attrs)


def _has_tensor(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return any(_has_tensor(item) for item in x)
    return isinstance(x, (TracedTensor, Variable, Dim, SymbolicTensor))


def cast_to(x: TracedTensor, dtype: Any) -> TracedTensor:
    """`x` in another type; itself when it has that type."""
    name = standardize_dtype(dtype)
    return x if x.dtype == name else trace_emit(x.trace, "cast", x, dtype=ir_dtype(name))


def is_number(x: Any) -> bool:
    """Whether this is a plain Python number (weak in promotions)."""
    return isinstance(x, (bool, int, float)) and not isinstance(x, np.generic)


def common(*xs: Any, floating: bool = False) -> list[Any]:
    """Operands in their common type; plain numbers stay numbers when a tensor is among the operands.

    Args:
        xs: anything `as_tensor` takes.
        floating: the common type must be a float; integers become `floatx`.
    """
    numbers = [type(x) for x in xs if is_number(x)]
    tensors = [x if is_number(x) or isinstance(x, Dim) else as_tensor(x) for x in xs]
    # A size is as weak as the integer it stands for.
    numbers += [int for x in xs if isinstance(x, Dim)]
    dtype = promote_dtypes([t.dtype for t in tensors if isinstance(t, TracedTensor)], [_plain_type(n) for n in numbers])
    if floating and not is_float_dtype(dtype):
        dtype = floatx()
    if not any(isinstance(t, TracedTensor) for t in tensors):
        return [as_tensor(t, dtype) for t in tensors]
    return [as_tensor(t, dtype) if isinstance(t, (TracedTensor, Dim)) else _number(t, dtype) for t in tensors]


def _plain_type(kind: type) -> type:
    for plain in (bool, int, float):
        if issubclass(kind, plain):
            return plain
    raise DtypeError(f"{kind.__name__} is no number")


def _number(x: Number, dtype: str) -> Number:
    if dtype == "bool":
        return bool(x)
    return float(x) if is_float_dtype(dtype) else int(x)


def same_sizes(shapes: Sequence[Shape]) -> None:
    """Find unknown sizes that broadcasting makes equal, while symbolic tensors are being traced.

    Raises:
        SameSize: for the first such pair; the tracer merges them and starts again.
    """
    if not active().scratch:
        return
    rank = max((len(shape) for shape in shapes), default=0)
    for axis in range(1, rank + 1):
        sizes = [shape[-axis] for shape in shapes if len(shape) >= axis and shape[-axis] != 1]
        must_equal(sizes)


def must_equal(sizes: Sequence[DimLike]) -> None:
    """Sizes that have to be one: two different unknown ones are merged (see `same_sizes`)."""
    if not active().scratch or not sizes:
        return
    names = [_lone_symbol(size) for size in sizes]
    known = [name for name in names if name]
    if len(known) == len(sizes) and len(set(known)) > 1:
        first, second = list(dict.fromkeys(known))[:2]
        raise SameSize(first, second)


def _lone_symbol(size: DimLike) -> str:
    if isinstance(size, Dim) and len(size.terms) == 1 and size.terms[0][1] == 1 and len(size.terms[0][0]) == 1:
        return size.terms[0][0][0]
    return ""


def unary(op: str, x: Any, floating: bool = False) -> TracedTensor:
    """Emit an elementwise op of one operand."""
    tensor = as_tensor(x)
    if floating and not is_float_dtype(tensor.dtype):
        tensor = cast_to(tensor, floatx())
    return trace_emit(tensor.trace, op, tensor)


def binary(op: str, a: Any, b: Any, floating: bool = False, integers_from_bool: bool = False) -> TracedTensor:
    """Emit an elementwise op of two operands, after promotion."""
    left, right = common(a, b, floating=floating)
    if integers_from_bool:
        left, right = (
            cast_to(x, "int32") if isinstance(x, TracedTensor) and x.dtype == "bool" else x for x in (left, right)
        )
        left, right = (int(x) if isinstance(x, bool) else x for x in (left, right))
    same_sizes([x.dims for x in (left, right) if isinstance(x, TracedTensor)])
    if op in _ON_BOOL and all(x.dtype == "bool" for x in (left, right) if isinstance(x, TracedTensor)):
        op = _ON_BOOL[op]
    return trace_emit(active(), op, left, right)


def normal_axis(axis: Any, rank: int, what: str = "axis") -> int:
    """`axis` counted from the front.

    Raises:
        ShapeError: out of range.
    """
    number = int(axis)
    if not -rank <= number < rank:
        raise ShapeError(
            f"{what} {number} is out of bounds for a tensor of rank {rank}",
            where=str(active().location()),
            needed=f"a number from {-rank} to {rank - 1}"
            if rank
            else "a tensor with axes: this one is a single number",
            fix=f"write axis=-1 for the last one, which is {rank - 1}; the batch is axis 0" if rank else "",
        )
    return number % rank


def normal_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """Sorted axes counted from the front; all of them for None."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, (tuple, list)) else [axis]
    axes = sorted(normal_axis(one, rank) for one in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"the axes {tuple(given)} name an axis twice", where=str(active().location()))
    return tuple(axes)


def shape_argument(shape: Any, volume: DimLike | None = None) -> Shape:
    """A target shape given by a user: integers, Dims, and one -1 or None that `volume` resolves.

    Raises:
        ShapeError: two unknown sizes, or a volume that does not divide.
    """
    items = [shape] if isinstance(shape, (int, np.integer, Dim)) else list(shape)
    sizes: list[DimLike] = []
    unknown = -1
    for position, item in enumerate(items):
        if item is None or (not isinstance(item, Dim) and int(item) == -1):
            if unknown >= 0 or volume is None:
                raise ShapeError(
                    f"the shape {tuple(items)} leaves more than one size open"
                    if volume is not None
                    else f"the shape {tuple(items)} has an unknown size",
                    where=str(active().location()),
                    fix="use ops.shape(x)[i] for sizes that follow another tensor",
                )
            unknown = position
            sizes.append(1)
        else:
            sizes.append(item if isinstance(item, Dim) else int(item))
    if unknown >= 0 and volume is not None:
        rest = shape_volume(tuple(sizes))
        try:
            sizes[unknown] = volume // rest if rest != 0 else 0
        except (InvalidArgumentError, ZeroDivisionError):
            raise ShapeError(
                f"a tensor of {volume} elements cannot take the shape {tuple(items)}",
                where=str(active().location()),
                needed="sizes whose product is that number, with at most one -1",
                fix="give the sizes of one row, and -1 for the batch; ops.shape(x) has the sizes there are",
            ) from None
        if isinstance(volume, int) and isinstance(rest, int) and rest and volume % rest:
            raise ShapeError(
                f"a tensor of {volume} elements cannot take the shape {tuple(items)}",
                where=str(active().location()),
                needed="sizes whose product is that number, with at most one -1",
                fix="give the sizes of one row, and -1 for the batch; ops.shape(x) has the sizes there are",
            )
    return tuple(sizes)


def text(dims: Shape) -> str:
    """A shape for messages."""
    return shape_text(dims)
