"""Loops over ranges, as the kernels' target lowers them.

Numba's own lowering allows for any step, raises where it is zero, and asks at each turn whether there is one; LLVM
spends most of its time on a small kernel with proving all that away. Here steps are positive, which kernel source
keeps to.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

from llvmlite import ir

cgutils, types = (cast(Any, importlib.import_module(f"numba.core.{name}")) for name in ("cgutils", "types"))

__all__ = ["RANGES"]

_INT = ir.IntType(64)
_STATE, _ITERATOR = types.range_state64_type, types.range_iter64_type


def _structure(context: Any, builder: Any, kind: Any, **fields: Any) -> Any:
    """A value of a type that Numba keeps as a structure."""
    value = ir.Constant(context.get_value_type(kind), ir.Undefined)
    model = context.data_model_manager[kind]
    for name, field in fields.items():
        value = builder.insert_value(value, field, model.get_field_position(name))
    return value


def _field(context: Any, builder: Any, kind: Any, value: Any, name: str) -> Any:
    return builder.extract_value(value, context.data_model_manager[kind].get_field_position(name))


def _range(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    start, stop, step = (_INT(0), *arguments, _INT(1)) if len(arguments) == 1 else (*arguments, _INT(1))[:3]
    return _structure(context, builder, _STATE, start=start, stop=stop, step=step)


def _begin(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    start, stop, step = (_field(context, builder, _STATE, arguments[0], name) for name in ("start", "stop", "step"))
    value, left = (cgutils.alloca_once(builder, _INT) for _ in range(2))
    builder.store(start, value)
    distance = builder.add(builder.sub(stop, start), builder.sub(step, _INT(1)))
    builder.store(builder.sdiv(distance, step), left)
    return _structure(context, builder, _ITERATOR, iter=value, stop=stop, step=step, count=left)


def _next(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """(value, whether there was one); what is stored after the last turn is not read again."""
    at, step, left = (_field(context, builder, _ITERATOR, arguments[0], name) for name in ("iter", "step", "count"))
    count, value = builder.load(left), builder.load(at)
    builder.store(builder.sub(count, _INT(1), flags=["nsw"]), left)
    builder.store(builder.add(value, step), at)
    valid = builder.icmp_signed(">", count, _INT(0))
    return _structure(context, builder, signature.return_type, first=value, second=valid)


RANGES: dict[Any, Any] = {
    ("getiter", (_STATE,)): _begin,
    ("iternext", (_ITERATOR,)): _next,
    **{(range, (types.int64,) * count): _range for count in (1, 2, 3)},
}
"""What lowers a function of Numba's for types of arguments."""
