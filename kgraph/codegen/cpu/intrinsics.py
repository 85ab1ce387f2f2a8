"""The names that kernel source may use: typed memory access, casts, select, elementary functions, random numbers,
calls of native symbols.

They are Numba intrinsics, so this module is imported only when a kernel has to be compiled. Pointers are int64
addresses, indices count elements. ``NAMES`` is the global name space of kernel source; types are written ``f32 f64
i8 u8 i32 u32 i64 bool``.

Invariants: nothing here branches, raises or calls Python, so a loop around these stays vectorisable (f64 functions
excepted, they call libm); NaN and infinities behave as in NumPy.

Aliasing: ``load_f32(p, i, 3)`` declares that buffer 3 shares no byte with a buffer of another scope number. The
caller gives two pointers that may overlap the same number. An access without a number may alias anything.
"""

from __future__ import annotations

import importlib
import math
import weakref
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir

from kgraph.codegen.cpu import mathlib

# Numba has no types of its own: its modules are Any here.
cgutils, errors, types = (
    cast(Any, importlib.import_module(f"numba.core.{name}")) for name in ("cgutils", "errors", "types")
)
_numba_intrinsic: Any = importlib.import_module("numba.extending").intrinsic

__all__ = ["MAX_SCOPES", "NAMES", "finish_scopes"]

MAX_SCOPES = 64
"""Scope numbers are ``0 .. MAX_SCOPES - 1``."""

NAMES: dict[str, Any] = {}
"""What kernel source sees."""

_TYPES: dict[str, Any] = {
    "f32": types.float32,
    "f64": types.float64,
    "i8": types.int8,
    "u8": types.uint8,
    "i32": types.int32,
    "u32": types.uint32,
    "i64": types.int64,
    "bool": types.boolean,
}
_KINDS = {kind: name for name, kind in _TYPES.items()}
# Numba computes small unsigned integers in uint64; the bits that a cast back keeps are those of int64.
_KINDS[types.uint64] = "i64"
_LLVM: dict[str, ir.Type] = {
    "f32": ir.FloatType(),
    "f64": ir.DoubleType(),
    "i8": ir.IntType(8),
    "u8": ir.IntType(8),
    "i32": ir.IntType(32),
    "u32": ir.IntType(32),
    "i64": ir.IntType(64),
    "bool": ir.IntType(1),
}
_I64 = _LLVM["i64"]
_POINTER = types.int64

Definition = Callable[..., Any]


def _register(name: str, define: Definition) -> None:
    define.__name__ = define.__qualname__ = name
    NAMES[name] = _numba_intrinsic(prefer_literal=True)(define)


def _kind(type: Any) -> str:
    """The kernel type of a Numba type; a literal has its number's type."""
    plain = types.unliteral(type)
    if plain not in _KINDS:
        raise errors.TypingError(f"kernels have no type {plain}")
    return _KINDS[plain]


def _common(*arguments: Any) -> Any:
    """The type of several operands: that of the first that is no literal, so that ``maximum(x, 0)`` is f32 where x
    is.
    """
    for argument in arguments:
        if not isinstance(argument, types.Literal):
            return argument
    return types.unliteral(arguments[0])


def _get_function(builder: Any, symbol: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), symbol)


# ------------------------------------------------------------------------------
# Memory

_scoped: weakref.WeakKeyDictionary[Any, list[tuple[Any, int]]] = weakref.WeakKeyDictionary()


def finish_scopes(module: Any) -> None:
    """Attach to the loads and stores of a module which scope is theirs and which are not; once, when all are known."""
    scoped = _scoped.pop(module, [])
    if not scoped:
        return
    domain = module.add_metadata(["kgraph"])
    numbers = sorted({number for _, number in scoped})
    nodes = {number: module.add_metadata([f"buffer {number}", domain]) for number in numbers}
    own = {number: module.add_metadata([nodes[number]]) for number in numbers}
    others = {number: module.add_metadata([nodes[other] for other in numbers if other != number]) for number in numbers}
    for instruction, number in scoped:
        instruction.set_metadata("alias.scope", own[number])
        if len(numbers) > 1:
            instruction.set_metadata("noalias", others[number])


def _scope_number(scope: Any) -> int | None:
    if scope is None or isinstance(scope, (types.Omitted, types.NoneType)):
        return None
    if not isinstance(scope, types.IntegerLiteral):
        raise errors.TypingError("the scope of a load or store must be an integer literal")
    number = int(scope.literal_value)
    if not 0 <= number < MAX_SCOPES:
        raise errors.TypingError(f"scope {number} is not in 0 .. {MAX_SCOPES - 1}")
    return number


def _scope_type(scope: Any) -> Any:
    return types.none if scope is None else scope


def _attach(builder: Any, instruction: Any, scope: int | None) -> None:
    if scope is not None:
        _scoped.setdefault(builder.module, []).append((instruction, scope))


def _element(builder: Any, kind: str, pointer: Any, index: Any) -> tuple[Any, int]:
    """Pointer to an element and its size in bytes (a bool is a byte in memory)."""
    stored = ir.IntType(8) if kind == "bool" else _LLVM[kind]
    size = {"f32": 4, "i32": 4, "u32": 4, "f64": 8, "i64": 8}.get(kind, 1)
    base = builder.inttoptr(pointer, stored.as_pointer())
    return builder.gep(base, [index], inbounds=True), size


def _define_memory(kind: str) -> None:
    def load(typingctx: Any, pointer: Any, index: Any, scope: Any = None) -> Any:
        number = _scope_number(scope)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, align = _element(builder, kind, arguments[0], arguments[1])
            value = builder.load(address, align=align)
            _attach(builder, value, number)
            return builder.icmp_unsigned("!=", value, value.type(0)) if kind == "bool" else value

        return _TYPES[kind](_POINTER, types.int64, _scope_type(scope)), generate

    def store(typingctx: Any, pointer: Any, index: Any, value: Any, scope: Any = None) -> Any:
        number = _scope_number(scope)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, align = _element(builder, kind, arguments[0], arguments[1])
            stored = builder.zext(arguments[2], ir.IntType(8)) if kind == "bool" else arguments[2]
            _attach(builder, builder.store(stored, address, align=align), number)
            return context.get_dummy_value()

        return types.void(_POINTER, types.int64, _TYPES[kind], _scope_type(scope)), generate

    _register(f"load_{kind}", load)
    _register(f"store_{kind}", store)


def _define_table(name: str) -> None:
    def read(typingctx: Any, table: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, align = _element(builder, "i64", arguments[0], arguments[1])
            value = builder.load(address, align=align)
            # The tables do not change while a kernel runs: without this every store would force them to be read again.
            value.set_metadata("invariant.load", builder.module.add_metadata([]))
            return value

        return types.int64(_POINTER, types.int64), generate

    _register(name, read)


def _define_bytes() -> None:
    def memset0(typingctx: Any, destination: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            byte_pointer = ir.IntType(8).as_pointer()
            fill = _get_function(
                builder, "llvm.memset.p0.i64", ir.VoidType(), [byte_pointer, ir.IntType(8), _I64, ir.IntType(1)]
            )
            pointer = builder.inttoptr(arguments[0], byte_pointer)
            builder.call(fill, [pointer, ir.IntType(8)(0), arguments[1], ir.IntType(1)(0)])
            return context.get_dummy_value()

        return types.void(_POINTER, types.int64), generate

    def memcpy(typingctx: Any, destination: Any, source: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            byte_pointer = ir.IntType(8).as_pointer()
            copy = _get_function(
                builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), [byte_pointer, byte_pointer, _I64, ir.IntType(1)]
            )
            to, start = (builder.inttoptr(a, byte_pointer) for a in arguments[:2])
            builder.call(copy, [to, start, arguments[2], ir.IntType(1)(0)])
            return context.get_dummy_value()

        return types.void(_POINTER, _POINTER, types.int64), generate

    _register("memset0", memset0)
    _register("memcpy", memcpy)


def _define_local() -> None:
    def local_f32(typingctx: Any, count: Any) -> Any:
        if not isinstance(count, types.IntegerLiteral):
            raise errors.TypingError("local_f32 needs the number of elements as an integer literal")
        kind = ir.ArrayType(_LLVM["f32"], int(count.literal_value))

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = cgutils.alloca_once(builder, kind)
            place.align = 64
            return builder.ptrtoint(place, _I64)

        return types.int64(count), generate

    _register("local_f32", local_f32)


def _define_call_symbol() -> None:
    def call_symbol(typingctx: Any, symbol: Any, *arguments: Any) -> Any:
        if not isinstance(symbol, types.StringLiteral):
            raise errors.TypingError("call_symbol needs the symbol's name as a string literal")
        name = str(symbol.literal_value)
        if not name.isidentifier() or name.startswith((mathlib.PREFIX, "llvm")):
            raise errors.TypingError(f"'{name}' cannot be the name of a native function")

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            numbers = [builder.extract_value(values[1], i) for i in range(len(arguments))]
            function = _get_function(builder, name, ir.VoidType(), [_I64] * len(arguments))
            builder.call(function, numbers)
            return context.get_dummy_value()

        return types.void(symbol, types.Tuple([types.int64] * len(arguments))), generate

    _register("call_symbol", call_symbol)


# ------------------------------------------------------------------------------
# Values


def _define_select() -> None:
    def select(typingctx: Any, condition: Any, yes: Any, no: Any) -> Any:
        kind = _common(yes, no)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.select(*arguments)

        return kind(types.boolean, kind, kind), generate

    _register("select", select)


def _define_extremum(name: str, symbol: str, integer_predicate: str) -> None:
    def extremum(typingctx: Any, left: Any, right: Any) -> Any:
        type = _common(left, right)
        kind = _kind(type)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, b = arguments
            if kind in ("f32", "f64"):
                # NaN wins, as in np.maximum; LLVM vectorises reductions over it. The sign of a zero result is left
                # open (nsz).
                llvm = _LLVM[kind]
                function = _get_function(builder, f"llvm.{symbol}.{kind}", llvm, [llvm, llvm])
                return builder.call(function, [a, b], fastmath=("nsz",))
            compare = builder.icmp_signed if kind in ("i8", "i32", "i64") else builder.icmp_unsigned
            return builder.select(compare(integer_predicate, a, b), a, b)

        return type(type, type), generate

    _register(name, extremum)


def _define_division(name: str, instruction: str) -> None:
    def divide(typingctx: Any, dividend: Any, divisor: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return types.int64(types.int64, types.int64), generate

    _register(name, divide)


def _define_int_pow() -> None:
    def int_pow(typingctx: Any, base: Any, exponent: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            function = _get_function(builder, "int_pow", _I64, [_I64, _I64])
            if not function.blocks:
                _write_int_pow(function)
            return builder.call(function, arguments)

        return types.int64(types.int64, types.int64), generate

    _register("int_pow", int_pow)


def _write_int_pow(function: Any) -> None:
    """`base ** exponent` by repeated squaring (Knuth, TAOCP 2, 4.6.3), modulo 2 ** 64; 0 for negative exponents."""
    function.linkage = "internal"
    entry, head, body, done = (function.append_basic_block(name) for name in ("entry", "head", "body", "done"))
    ir.IRBuilder(entry).branch(head)
    b = ir.IRBuilder(head)
    result, square, rest = (b.phi(_I64) for _ in range(3))
    b.cbranch(b.icmp_signed(">", rest, _I64(0)), body, done)
    b = ir.IRBuilder(body)
    odd = b.icmp_unsigned("!=", b.and_(rest, _I64(1)), _I64(0))
    steps = (b.select(odd, b.mul(result, square), result), b.mul(square, square), b.lshr(rest, _I64(1)))
    b.branch(head)
    base, exponent = function.args
    for phi, first, next_value in zip((result, square, rest), (_I64(1), base, exponent), steps, strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(next_value, body)
    b = ir.IRBuilder(done)
    b.ret(b.select(b.icmp_signed("<", exponent, _I64(0)), _I64(0), result))


_BITS = {"bool": 1, "i8": 8, "u8": 8, "i32": 32, "u32": 32, "i64": 64, "f32": 32, "f64": 64}


def _cast(builder: Any, value: Any, source: str, target: str) -> Any:
    llvm = _LLVM[target]
    floats, signed = ("f32", "f64"), ("i8", "i32", "i64")
    if source == target:
        return value
    if target == "bool":
        if source in floats:
            return builder.fcmp_unordered("!=", value, value.type(0.0))  # NaN is true, as in NumPy
        return builder.icmp_unsigned("!=", value, value.type(0))
    if source in floats and target in floats:
        return builder.fpext(value, llvm) if target == "f64" else builder.fptrunc(value, llvm)
    if source in floats:
        # Outside the range LLVM's result is undefined as a value only; the wide signed conversion keeps u8 and u32 in
        # range exact.
        if target in ("i8", "u8"):
            return builder.trunc(builder.fptosi(value, _LLVM["i32"]), llvm)
        return builder.fptoui(value, llvm) if target == "u32" else builder.fptosi(value, llvm)
    if target in floats:
        return builder.sitofp(value, llvm) if source in signed else builder.uitofp(value, llvm)
    if _BITS[source] > _BITS[target]:
        return builder.trunc(value, llvm)
    if _BITS[source] == _BITS[target]:
        return value
    return builder.sext(value, llvm) if source in signed else builder.zext(value, llvm)


def _define_cast(target: str) -> None:
    def cast(typingctx: Any, value: Any) -> Any:
        source = _kind(value)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _cast(builder, arguments[0], source, target)

        return _TYPES[target](_TYPES[source]), generate

    _register(f"to_{target}", cast)


def _define_bitcast(target: str) -> None:
    def bitcast(typingctx: Any, value: Any) -> Any:
        source = _kind(value)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            same = _LLVM[source] == _LLVM[target]
            return arguments[0] if same else builder.bitcast(arguments[0], _LLVM[target])

        return _TYPES[target](_TYPES[source]), generate

    _register(f"bits_{target}", bitcast)


# ------------------------------------------------------------------------------
# Functions of mathlib


def _function_code(name: str, kind: str, count: int) -> Callable[..., Any]:
    llvm = _LLVM[kind]
    symbol = mathlib.function_name(name, kind)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(_get_function(builder, symbol, llvm, [llvm] * count), arguments)

    return generate


def _float_type(name: str, *arguments: Any) -> tuple[Any, str]:
    type = _common(*arguments)
    kind = _kind(type)
    if kind not in ("f32", "f64"):
        raise errors.TypingError(f"m_{name} takes f32 or f64, not {kind}")
    return type, kind


def _define_function(name: str) -> None:
    def unary(typingctx: Any, x: Any) -> Any:
        type, kind = _float_type(name, x)
        return type(type), _function_code(name, kind, 1)

    def binary(typingctx: Any, x: Any, y: Any) -> Any:
        type, kind = _float_type(name, x, y)
        return type(type, type), _function_code(name, kind, 2)

    def ternary(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
        type, kind = _float_type(name, x, y, z)
        return type(type, type, type), _function_code(name, kind, 3)

    _register(f"m_{name}", (unary, binary, ternary)[mathlib.signature(name) - 1])


def _define_philox() -> None:
    def philox_uniform(typingctx: Any, seed: Any, stream: Any, index: Any, step: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            symbol = f"{mathlib.PREFIX}philox_uniform"
            return builder.call(_get_function(builder, symbol, _LLVM["f32"], [_I64] * 4), arguments)

        return types.float32(types.int64, types.int64, types.int64, types.int64), generate

    def philox_fill(typingctx: Any, destination: Any, first: Any, count: Any, seed: Any, stream: Any, step: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            builder.call(_get_function(builder, mathlib.fill_name(), ir.VoidType(), [_I64] * 6), arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    _register("philox_uniform", philox_uniform)
    _register("philox_fill", philox_fill)


for _name in _TYPES:
    _define_memory(_name)
    _define_cast(_name)
    _define_bitcast(_name)
for _name in sorted({name for name, _ in mathlib.FUNCTIONS}):
    _define_function(_name)
_define_table("address")
_define_table("dim")
_define_bytes()
_define_local()
_define_call_symbol()
_define_select()
_define_extremum("maximum", "maximum", ">")
_define_extremum("minimum", "minimum", "<")
# Kernels write sizes with Python's names; Numba's own are compiled functions, these one instruction.
_define_extremum("max", "maximum", ">")
_define_extremum("min", "minimum", "<")
# Of a task's number, which is not negative, by a count, which is positive; Python's own work for any signs and zero.
_define_division("quotient", "udiv")
_define_division("remainder", "urem")
_define_int_pow()
_define_philox()

# Numbers that Python cannot write as literals.
NAMES["float_inf"] = math.inf
NAMES["float_nan"] = math.nan
