"""Ops on the bits of integers, and `bitcast`, which reads the bits of one type as another of the same width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import DtypeError
from kgraph.ir.opdef import COMMUTATIVE, ELEMENTWISE, Attrs, Infer, define_op, no_gradient
from kgraph.ir.ops.rules import broadcast_shapes, expect_count
from kgraph.ir.types import TensorType, is_float, numpy_dtype

__all__: list[str] = []

Array = npt.NDArray[Any]


def _infer(op: str, count: int) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        expect_count(op, types, count)
        for type in types:
            if is_float(type.dtype) or type.dtype == "bool" or type.dtype != types[0].dtype:
                raise DtypeError(
                    f"{op} needs integers of one type", got=", ".join(map(str, types)), fix="cast to i32 first"
                )
        return [types[0].with_shape(broadcast_shapes(op, [type.shape for type in types]))]

    return infer


_BINARY: tuple[tuple[str, str, Callable[..., Array], tuple[str, ...]], ...] = (
    ("bit_and", "Bits set in both.  x: i[*S], y: i[*S] -> i[*S], broadcasting.", np.bitwise_and, (COMMUTATIVE,)),
    ("bit_or", "Bits set in either, broadcasting.", np.bitwise_or, (COMMUTATIVE,)),
    ("bit_xor", "Bits set in exactly one, broadcasting.", np.bitwise_xor, (COMMUTATIVE,)),
    ("shift_left", "x * 2^y for y >= 0; bits that leave at the top are lost.  Broadcasting.", np.left_shift, ()),
    ("shift_right", "floor(x / 2^y) for y >= 0: the sign of x stays.  Broadcasting.", np.right_shift, ()),
)
for _name, _doc, _reference, _traits in _BINARY:
    define_op(
        _name,
        doc=_doc,
        infer=_infer(_name, 2),
        reference=_reference,
        vjp=no_gradient,
        traits={ELEMENTWISE, *_traits},
    )
define_op(
    "bit_not",
    doc="Every bit turned: -x - 1 for signed integers.  x: i[*S] -> i[*S].",
    infer=_infer("bit_not", 1),
    reference=np.bitwise_not,
    vjp=no_gradient,
    traits={ELEMENTWISE},
)


def _infer_bitcast(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    expect_count("bitcast", types, 1)
    source, target = types[0].dtype, attrs["dtype"]
    if "bool" in (source, target) or numpy_dtype(source).itemsize != numpy_dtype(target).itemsize:
        raise DtypeError(
            f"bitcast cannot read {source} as {target}", got=str(types[0]), needed="types of one width, not bool"
        )
    return [types[0].with_dtype(target)]


define_op(
    "bitcast",
    doc="The bits of x read as another element type of the same width.  t[*S] -> u[*S].  No gradient flows.",
    infer=_infer_bitcast,
    reference=lambda x, dtype: np.ascontiguousarray(x).view(numpy_dtype(dtype)).reshape(np.shape(x)),
    vjp=no_gradient,
    attrs={"dtype": ...},
    traits={ELEMENTWISE},
)
