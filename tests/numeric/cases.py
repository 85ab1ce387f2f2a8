"""Sheets by name: every op on the CPU target against the interpreter, in each element type that makes sense.

`covered()` is the set of ops that occur; `tests/test_op_matrix.py` asks it about each op.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from kgraph.ir import Builder, Value
from kgraph.ir.graph import literal
from tests.ir.evaluating import B
from tests.numeric.sheet import Sheet, between, integers, positive, scan, typed, values

Make = Callable[[Sheet, str], None]
SHEETS: dict[str, tuple[Make, tuple[str, ...]]] = {}
FLOATS = ("f32", "f64")
INTS = ("i32", "i64")


def sheet(*dtypes: str) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        SHEETS[make.__name__] = (make, dtypes)
        return make

    return register


def build(name: str, dtype: str) -> Sheet:
    made = Sheet(f"{name}.{dtype}")
    SHEETS[name][0](made, dtype)
    return made


@cache
def covered() -> frozenset[str]:
    """The ops that some sheet calls, those in regions included."""
    found: set[str] = set()
    for name, (_, dtypes) in SHEETS.items():
        stack = [build(name, dtypes[0]).graph]
        while stack:
            for node in stack.pop().nodes:
                found.add(node.op.name)
                stack += node.regions
    return frozenset(found)


# -- elementwise ------------------------------------------------------------------------------------------------------
SIGNED = (
    "neg abs exp expm1 sin cos tanh sigmoid softplus erf erfc atan relu sign floor ceil round stop_gradient watch "
    "is_nan is_finite"
).split()
POSITIVE = "log log1p sqrt rsqrt".split()
FUNCTIONS = "exp expm1 sin cos tanh sigmoid softplus erf erfc atan atan2 log log1p sqrt rsqrt pow".split()
ARITHMETIC = "add sub mul div maximum minimum".split()
COMPARISONS = "gt ge lt le eq ne".split()
# Subnormal numbers are left out: kernels flush them to zero.
SPECIAL = (
    np.nan,
    np.inf,
    -np.inf,
    -0.0,
    0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -2.5,
    3.0,
    1e-30,
    -1e-30,
    1e30,
    -1e30,
    90.0,
    -110.0,
)


def kind_of(op: str) -> str:
    return "function" if op in FUNCTIONS else "arithmetic"


@sheet(*FLOATS)
def unary(s: Sheet, dtype: str) -> None:
    x, y = s.input(typed(dtype, "B, 7")), s.input(typed(dtype, "B, 7"), positive)
    for op in SIGNED:
        s.out(op, s.b.op(op, x), kind_of(op))
    for op in POSITIVE:
        s.out(op, s.b.op(op, y), kind_of(op))


@sheet(*FLOATS)
def unary_shapes(s: Sheet, dtype: str) -> None:
    """Scalars, axes of size 1, no elements at all."""
    for shape in ("", "1", "1, 3", "B, 1, 2", "0, 3", "B, 0"):
        x = s.input(typed(dtype, shape))
        s.out(f"tanh of [{shape}]", s.b.tanh(x), "function")
        s.out(f"relu of [{shape}]", s.b.relu(x))


@sheet(*FLOATS)
def unary_special(s: Sheet, dtype: str) -> None:
    x = s.input(typed(dtype, "B, 18"), values(*SPECIAL))
    for op in (*SIGNED, *POSITIVE):
        # Beyond some 1e5 the argument of sin and cos has lost its digits before the function sees it.
        arg = s.b.select(s.b.gt(s.b.abs(x), 1e5), 0.25, x) if op in ("sin", "cos") else x
        s.out(op, s.b.op(op, arg), kind_of(op))
    s.out("sin of inf", s.b.sin(s.b.select(s.b.is_finite(x), 0.0, x)), "function")


@sheet(*FLOATS)
def binary(s: Sheet, dtype: str) -> None:
    """Both operands whole, a row, a column, one number, both broadcast, a literal on either side."""
    x, y = s.input(typed(dtype, "B, 5")), s.input(typed(dtype, "B, 5"), positive)
    row, column = s.input(typed(dtype, "5"), positive), s.input(typed(dtype, "B, 1"), positive)
    one = s.input(typed(dtype, ""), positive)
    for op in ARITHMETIC:
        pairs = ((x, y), (x, row), (row, x), (x, column), (column, x), (x, one), (one, y), (column, row))
        for k, (a, c) in enumerate(pairs):
            s.out(f"{op}, pair {k}", s.b.op(op, a, c), "arithmetic")
        s.out(f"{op} literal right", s.b.op(op, x, 1.7), "arithmetic")
        s.out(f"{op} literal left", s.b.op(op, 1.7, y), "arithmetic")


@sheet(*FLOATS)
def binary_special(s: Sheet, dtype: str) -> None:
    """Every pair of special numbers."""
    x = s.b.reshape(s.input(typed(dtype, "B, 18"), values(*SPECIAL)), shape=(B, 18, 1))
    y = s.b.reshape(s.input(typed(dtype, "18"), values(*SPECIAL)), shape=(1, 18))
    for op in ("add", "sub", "mul", "maximum", "minimum", *COMPARISONS):
        s.out(op, s.b.op(op, x, y), "arithmetic")
    # The sign of a zero is not kept (nsz), so what divides by one is not compared.
    s.out("div", s.b.div(x, s.b.select(s.b.eq(y, 0.0), 1.0, y)), "arithmetic")
    s.out("select", s.b.select(s.b.gt(x, y), x, y))
    # Of which zero a point lies beyond is not kept either: it would be half a turn.
    s.out("atan2", s.b.atan2(s.b.add(s.b.abs(x), 1e-3), y), "function")
    for op in ("logical_and", "logical_or", "logical_xor"):
        s.out(op, s.b.op(op, s.b.gt(x, 0.0), s.b.lt(y, 1.0)))
    s.out("logical_not", s.b.logical_not(x))


@sheet(*FLOATS)
def powers(s: Sheet, dtype: str) -> None:
    x, y = s.input(typed(dtype, "B, 6"), positive), s.input(typed(dtype, "B, 6"))
    s.out("pow", s.b.pow(x, y), "function")
    for number in (0.0, 1.0, 2.0, 3.0, -1.0, 0.5):
        s.out(f"pow {number}", s.b.pow(y if number != 0.5 else x, number), "function")
    s.out("mod", s.b.mod(s.b.mul(y, 3.0), x), "sum")
    s.out("floor_div", s.b.floor_div(s.b.floor(s.b.mul(y, 10.0)), 3.0))


@sheet(*FLOATS)
def choices(s: Sheet, dtype: str) -> None:
    x, y = s.input(typed(dtype, "B, 5"), integers(-2, 3)), s.input(typed(dtype, "B, 5"), integers(-2, 3))
    for op in COMPARISONS:
        s.out(op, s.b.op(op, x, y))
        s.out(f"{op} literal", s.b.op(op, x, 1.0))
    mask = s.input("bool[B, 1]", integers(0, 2))
    s.out("select broadcast", s.b.select(mask, x, 0.0))
    s.out("select of scalars", s.b.select(mask, 1.0, y))
    s.out("not", s.b.logical_not(mask))
    s.out("xor", s.b.logical_xor(s.b.gt(x, y), mask))


@sheet(*INTS)
def whole_numbers(s: Sheet, dtype: str) -> None:
    x = s.input(typed(dtype, "B, 5"), integers(-20, 20))
    y = s.input(typed(dtype, "5"), values(3, -3, 7, 1, -1))
    for op in ("add", "sub", "mul", "div", "floor_div", "mod", "maximum", "minimum", *COMPARISONS):
        s.out(op, s.b.op(op, x, y))
    for op in ("neg", "abs", "sign", "stop_gradient", "is_nan", "is_finite", "logical_not"):
        s.out(op, s.b.op(op, x))
    s.out("pow", s.b.pow(x, s.b.abs(y)))
    s.out("by zero", s.b.div(x, s.b.mul(y, 0)))


@sheet("i32", "i64", "u8", "u32", "i8")
def bits(s: Sheet, dtype: str) -> None:
    """Shifts within the width of the type, at it and past it."""
    low, high = (0, 200) if dtype.startswith("u") else (-100, 100)
    x, y = s.input(typed(dtype, "B, 5"), integers(low, high)), s.input(typed(dtype, "5"), values(1, 7, 3, 0, 5))
    for op in ("bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"):
        s.out(op, s.b.op(op, x, y))
        s.out(f"{op} literal", s.b.op(op, x, 2))
    s.out("bit_not", s.b.bit_not(x))
    for count in (8, 31, 32, 63, 64, 100):
        s.out(f"shift_left {count}", s.b.shift_left(x, count))
        s.out(f"shift_right {count}", s.b.shift_right(x, count))


@sheet(*FLOATS)
def patterns(s: Sheet, dtype: str) -> None:
    x = s.input(typed(dtype, "B, 18"), values(*SPECIAL))
    as_integer = "i32" if dtype == "f32" else "i64"
    bits = s.b.bitcast(x, dtype=as_integer)
    s.out("to integer", bits)
    s.out("next", s.b.bitcast(s.b.add(s.b.select(s.b.is_nan(x), 0, bits), 1), dtype=dtype))


@sheet("f32", "f64", "i32", "i64", "u8", "bool")
def casts(s: Sheet, dtype: str) -> None:
    """From each type to each; numbers that every type can hold, and fractions where the source has them."""
    x = s.input(
        typed(dtype, "B, 6"), values(0, 1, 0.75, 2.5, 77.25, 127) if dtype in FLOATS else values(0, 1, 2, 77, 127, 0)
    )
    for target in ("f32", "f64", "i32", "i64", "u8", "i8", "u32", "bool"):
        s.out(f"to {target}", s.b.cast(x, dtype=target))


# -- reductions -------------------------------------------------------------------------------------------------------
@sheet("f32", "i32")
def reductions(s: Sheet, dtype: str) -> None:
    """Leading, middle, trailing axes, several, negative, all, none."""
    x = s.input(typed(dtype, "B, 3, 5"), between(0.5, 1.5) if dtype != "i32" else integers(-3, 4))
    for op in ("sum", "max"):
        for axes in ((0,), (1,), (2,), (-1,), (0, 1), (1, 2), (0, 2), (0, 1, 2), (-3, -1), ()):
            for keepdims in (False, True):
                s.out(
                    f"{op} {axes} {keepdims}",
                    s.b.op(op, x, axes=axes, keepdims=keepdims),
                    "sum" if op == "sum" else "exact",
                )
    for axes in ((1,), (-1,), (0,)):
        s.out(f"min {axes}", s.b.min(x, axes=axes))
        s.out(f"prod {axes}", s.b.prod(x, axes=axes), "sum")


@sheet("f32", "i64")
def reduction_shapes(s: Sheet, dtype: str) -> None:
    one, wide = s.input(typed(dtype, "B, 1, 3")), s.input(typed(dtype, "B, 300"), integers(-3, 4))
    for axes in ((0,), (1,), (0, 1), (1, 2), (0, 1, 2)):
        s.out(f"size 1, {axes}", s.b.sum(one, axes=axes), "sum")
        s.out(f"size 1 kept, {axes}", s.b.max(one, axes=axes, keepdims=True))
    s.out("long rows", s.b.sum(wide, axes=(1,)), "sum")
    s.out("many columns", s.b.max(wide, axes=(0,)))
    s.out("vector", s.b.sum(s.input(typed(dtype, "B")), axes=(0,)), "sum")
    empty = s.input(typed(dtype, "B, 0"))
    s.out("empty rows", s.b.sum(empty, axes=(1,)))
    s.out("empty columns", s.b.sum(empty, axes=(0,)))
    s.out("empty all", s.b.sum(empty, axes=(0, 1)))
    s.out("empty prod", s.b.prod(empty, axes=(1,)))


@sheet("f32", "f64")
def reduction_special(s: Sheet, dtype: str) -> None:
    """NaN wins, infinities stay."""
    x = s.input(typed(dtype, "B, 6"), values(np.nan, np.inf, -np.inf, 0.0, 1.0, -2.0, 1.0, 2.0, 3.0, 4.0, 5.0))
    for op in ("sum", "max", "min"):
        for axes in ((0,), (1,)):
            s.out(f"{op} {axes}", s.b.op(op, x, axes=axes), "sum")


@sheet("f32", "i32", "bool")
def positions(s: Sheet, dtype: str) -> None:
    """Equal elements: the first wins."""
    x = s.input(typed(dtype, "B, 3, 5"), integers(0, 2 if dtype == "bool" else 4))
    for op in ("argmax", "argmin"):
        for axis in (0, 1, 2, -1):
            s.out(f"{op} {axis}", s.b.op(op, x, axis=axis))
    s.out("any", s.b.max(x, axes=(1,)))
    s.out("all", s.b.min(x, axes=(0,)))


@sheet("f64", "i32")
def running_sums(s: Sheet, dtype: str) -> None:
    x = s.input(typed(dtype, "B, 3, 4"), between(-1, 1) if dtype != "i32" else integers(-9, 9))
    for axis in (0, 1, -1):
        for reverse in (False, True):
            for exclusive in (False, True):
                y = s.b.cumsum(x, axis=axis, reverse=reverse, exclusive=exclusive)
                s.out(f"axis {axis}, reverse {reverse}, exclusive {exclusive}", y, "sum")
    s.out("size 1", s.b.cumsum(s.input(typed(dtype, "B, 1")), axis=1))


@sheet("f32", "f64", "i32", "i64", "u8")
def orders(s: Sheet, dtype: str) -> None:
    """Equal elements keep their order, NaN is greatest; rows shorter and longer than a run of insertions."""
    drawn = integers(0, 6) if dtype not in FLOATS else values(np.nan, 1.0, -0.0, 0.0, np.inf, -np.inf, 2.0, 1.0, 3.0)
    for shape in ("B, 1", "B, 8", "B, 9", "B, 70", "2, B", "B", "B, 3, 5", "B, 0"):
        x = s.input(typed(dtype, shape), drawn)
        for descending in (False, True):
            s.out(f"[{shape}] {descending}", s.b.argsort(x, descending=descending))
    s.out("of a computed value", s.b.argsort(s.b.mul(x, x)))
    s.out("of a transpose", s.b.argsort(s.b.transpose(s.input(typed(dtype, "B, 9"), drawn), perm=(1, 0))))


def _ordered(b: Builder, state: Value, x: Value) -> tuple[list[Value], list[Value]]:
    order = b.argsort(b.add(state, x))
    return [b.add(state, b.cast(order, dtype=state.dtype))], [order]


@sheet("f32", "f64")
def softmaxes(s: Sheet, dtype: str) -> None:
    x = s.input(typed(dtype, "B, 3, 5"), between(-40, 40))
    for axis in (0, 1, 2, -1):
        s.out(f"softmax {axis}", s.b.softmax(x, axis=axis), "sum")
        s.out(f"log_softmax {axis}", s.b.log_softmax(x, axis=axis), "sum")


@sheet("f32", "f64")
def attentions(s: Sheet, dtype: str) -> None:
    q, k = s.input(typed(dtype, "B, 5, 2, 4")), s.input(typed(dtype, "B, 7, 2, 4"))
    v, dy = s.input(typed(dtype, "B, 7, 2, 3")), s.input(typed(dtype, "B, 5, 2, 3"))
    padded = s.input("bool[B, 1, 1, 7]", integers(0, 2))
    full = s.input("bool[B, 2, 5, 7]", integers(0, 2))
    bias, keep = s.input(typed(dtype, "2, 5, 7")), s.input(typed(dtype, "B, 2, 5, 7"), values(0.0, 1.25))
    every = literal(True, "bool")
    calls: dict[str, tuple[tuple[Value | float, ...], dict[str, float]]] = {
        "plain": ((every, 0.0, 1.0), {"scale": 0.5}),
        "padding": ((padded, 0.0, 1.0), {}),
        "causal": ((padded, 0.0, 1.0), {"causal": True}),
        "all": ((full, bias, keep), {"causal": True, "scale": 0.3, "fill": -1e9}),
    }
    for name, (others, attrs) in calls.items():
        results = s.b.op("attention", q, k, v, *others, **attrs)
        s.out(name, results, "sum")
        s.out(f"{name}, gradient", s.b.op("attention_grad", q, k, v, *others, *results, dy, **attrs), "sum")


# -- moves ------------------------------------------------------------------------------------------------------------
MOVED = ("f32", "i64", "bool")  # one of each size


@sheet(*MOVED)
def moves(s: Sheet, dtype: str) -> None:
    x = s.input(typed(dtype, "B, 4, 6"), integers(0, 2 if dtype == "bool" else 100))
    b = s.b
    s.out("reshape", b.reshape(x, shape=(B, 24)))
    s.out("reshape, ones", b.reshape(x, shape=(1, B, 1, 4, 6)))
    s.out("reshape, split", b.reshape(x, shape=(2 * B, 2, 6)))
    for perm in ((0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0)):
        s.out(f"transpose {perm}", b.transpose(x, perm=perm))
    s.out("reshape of transpose", b.reshape(b.transpose(x, perm=(0, 2, 1)), shape=(B, 24)))
    s.out("transpose of reshape", b.transpose(b.reshape(x, shape=(B, 24)), perm=(1, 0)))
    s.out("broadcast, new axis", b.broadcast_to(x, shape=(2, B, 4, 6)))
    column = s.input(typed(dtype, "B, 1"))
    s.out("broadcast, size 1", b.broadcast_to(column, shape=(3, B, 4)))
    s.out("broadcast, scalar", b.broadcast_to(s.input(typed(dtype, "")), shape=(B, 2)))
    for axes in ((0,), (1,), (0, -1), ()):
        s.out(f"reverse {axes}", b.reverse(x, axes=axes))
    s.out("slice", b.slice(x, starts=(0, 1, 2), limits=(B, 3, 6)))
    s.out("slice, steps", b.slice(x, starts=(0, 1, 0), limits=(B, 4, 6), strides=(1, 2, 3)))
    s.out("slice, nothing", b.slice(x, starts=(0, 2, 0), limits=(B, 2, 6)))
    s.out("split", b.op("split", x, axis=1, sizes=(1, 3)))
    s.out("split, last", b.op("split", x, axis=-1, sizes=(2, 0, 4)))


@sheet(*MOVED)
def joins(s: Sheet, dtype: str) -> None:
    x, y = s.input(typed(dtype, "B, 2, 3"), integers(0, 2)), s.input(typed(dtype, "B, 5, 3"), integers(0, 2))
    b = s.b
    s.out("middle", b.concat(x, y, axis=1))
    s.out("first", b.concat(x, x, axis=0))
    s.out("last", b.concat(x, b.reverse(x, axes=(2,)), axis=-1))
    s.out("one", b.concat(y, axis=2))
    s.out("empty piece", b.concat(b.slice(x, starts=(0, 1, 0), limits=(B, 1, 3)), y, axis=1))
    s.out("of slices", b.concat(b.slice(y, starts=(0, 3, 0), limits=(B, 5, 3)), x, y, axis=1))
    s.out(
        "of symbols",
        b.concat(x, b.broadcast_to(b.slice(x, starts=(0, 0, 0), limits=(1, 2, 3)), shape=(4, 2, 3)), axis=0),
    )


@sheet("f32", "i32")
def pads(s: Sheet, dtype: str) -> None:
    x, fill = s.input(typed(dtype, "B, 4"), integers(1, 9)), s.input(typed(dtype, ""), integers(1, 9))
    widths = [
        ((1, 0), (2, 1), (0, 0)), ((0, 0), (0, 0), (1, 2)), ((1, 2), (0, 3), (2, 1)), ((0, -1), (0, 0), (0, 0)),
        ((0, 1), (0, -2), (0, 0)), ((0, -1), (0, 2), (0, 1)), ((0, -2), (1, -1), (0, 2)), ((0, 0), (0, 0), (0, 0)),
        ((3, -4), (0, 0), (0, 0)), ((0, -3), (0, -3), (0, 1)),
    ]  # fmt: skip
    for low, high, interior in widths:
        s.out(
            f"{low} {high} {interior}", s.b.pad(x, 7 if dtype == "i32" else 0.5, low=low, high=high, interior=interior)
        )
    s.out("fill from an input", s.b.pad(x, fill, low=(1, 1), high=(0, 2)))
    s.out("of a computed value", s.b.pad(s.b.mul(x, x), fill, low=(0, 1), high=(1, 0)))
    s.out("symbolic", s.b.pad(x, fill, low=(B, 0), high=(0, 0)))


@sheet("f32", "i32", "i64")
def made_up(s: Sheet, dtype: str) -> None:
    """Elements from indices and sizes."""
    b = s.b
    x = s.input(typed(dtype, "B, 3"))
    for axis in (0, 1, -1):
        s.out(f"iota {axis}", b.add(b.iota(shape=(B, 3), axis=axis, dtype=dtype), b.mul(x, 0)))
    s.out("iota alone", b.iota(shape=(B, 5), axis=0, dtype=dtype))
    for dim in (B, 2 * B + 1, 3):
        s.out(f"dim_size {dim}", b.dim_size(dim=dim, dtype=dtype))
    table = np.arange(12).reshape(4, 3)
    s.out("constant", b.op("constant", value=table.astype({"f32": "f4", "i32": "i4", "i64": "i8"}[dtype])))
    ids = s.input("i32[B, 2]", integers(-1, 6))
    s.out("one_hot", b.one_hot(ids, depth=5, dtype=dtype))
    s.out("one_hot of i64", b.one_hot(b.cast(ids, dtype="i64"), depth=4, dtype=dtype))


# -- gather, scatter --------------------------------------------------------------------------------------------------
@sheet("f32", "f64", "i64")
def rows_by_id(s: Sheet, dtype: str) -> None:
    b = s.b
    table, deep = s.param(typed(dtype, "6, 4"), integers(-9, 9)), s.param(typed(dtype, "6, 2, 3"), integers(-9, 9))
    for ids_dtype in INTS:
        ids = s.input(typed(ids_dtype, "B, 3"), integers(0, 6))
        s.out("gather", b.gather(table, ids))
        s.out("gather, rank 3", b.gather(deep, ids))
        updates = s.input(typed(dtype, "B, 3, 4"), integers(-9, 9))
        s.out("scatter_add", b.scatter_add(ids, updates, rows=6))
        s.out("scatter_add of a computed value", b.scatter_add(ids, b.mul(updates, updates), rows=7))
        sums, hit = b.scatter_rows(ids, updates, rows=9)  # rows without a hit are left unwritten
        s.out("scatter_rows", b.select(b.reshape(hit, shape=(9, 1)), sums, 0))
        s.out("scatter_rows, hit", b.cast(hit, dtype="i32"))
    s.out("gather, one id", b.gather(table, s.input("i32[]", integers(0, 6))))
    s.out(
        "gather, vector",
        b.gather(b.slice(b.transpose(table, perm=(1, 0)), starts=(0, 0), limits=(1, 6)), b.mul(ids, 0)),
    )
    s.out("scatter_add, vector", b.scatter_add(ids, b.cast(ids, dtype=dtype), rows=6))


# -- products ---------------------------------------------------------------------------------------------------------
@sheet(*FLOATS)
def products(s: Sheet, dtype: str) -> None:
    b = s.b
    x, w, v = s.input(typed(dtype, "B, 5")), s.param(typed(dtype, "5, 3")), s.param(typed(dtype, "3, 5"))
    s.out("plain", b.matmul(x, w), "sum")
    s.out("transposed b", b.matmul(x, v, transpose_b=True), "sum")
    s.out("transposed a", b.matmul(x, x, transpose_a=True), "sum")
    s.out("both transposed", b.matmul(w, x, transpose_a=True, transpose_b=True), "sum")
    s.out("rows by rows", b.matmul(x, x, transpose_b=True), "sum")
    s.out("of a transpose", b.matmul(b.transpose(x, perm=(1, 0)), b.tanh(x)), "sum")
    s.out(
        "of a slice",
        b.matmul(b.slice(x, starts=(0, 1), limits=(B, 4)), b.slice(w, starts=(0, 0), limits=(3, 3))),
        "sum",
    )
    s.out("outer", b.matmul(b.slice(x, starts=(0, 0), limits=(B, 1)), b.slice(w, starts=(0, 0), limits=(1, 3))), "sum")
    s.out("inner", b.matmul(b.slice(x, starts=(0, 0), limits=(1, 5)), w), "sum")
    s.out("with bias", b.relu(b.add(b.matmul(x, w), s.param(typed(dtype, "3")))), "sum")
    s.out("with residual", b.add(b.matmul(x, b.matmul(w, v)), x), "sum")
    s.out("column bias", b.mul(b.matmul(x, w), s.input(typed(dtype, "B, 1"))), "sum")


@sheet("f32")
def large_products(s: Sheet, dtype: str) -> None:
    """More than one block in every direction."""
    x, w = s.input("f32[B, 300]"), s.param("f32[300, 200]")
    y = s.b.matmul(x, w)
    s.out("raw", y, "sum")
    s.out("and after", s.b.tanh(s.b.mul(s.b.add(y, s.param("f32[200]")), 0.01)), "sum")
    s.out("gradient", s.b.matmul(x, y, transpose_a=True), "sum")


@sheet(*FLOATS)
def batched_products(s: Sheet, dtype: str) -> None:
    b = s.b
    x, y = s.input(typed(dtype, "B, 3, 4")), s.input(typed(dtype, "B, 4, 5"))
    s.out("rank 3", b.matmul(x, y), "sum")
    s.out("rank 3, transposes", b.matmul(y, x, transpose_a=True, transpose_b=True), "sum")
    heads, keys = s.input(typed(dtype, "B, 2, 3, 4")), s.input(typed(dtype, "B, 2, 3, 4"))
    scores = b.matmul(heads, keys, transpose_b=True)
    s.out("rank 4", scores, "sum")
    s.out("rank 4, then elementwise", b.matmul(b.exp(b.mul(scores, 0.1)), keys), "sum")
    s.out("bias along the heads", b.add(scores, s.param(typed(dtype, "2, 1, 1"))), "sum")
    s.out("size 1", b.matmul(s.input(typed(dtype, "1, 3, 4")), s.input(typed(dtype, "1, 4, 1"))), "sum")


# -- images -----------------------------------------------------------------------------------------------------------
CONVOLUTIONS = {
    "plain": ("5, 4, 2", "2, 2, 2, 3", {}),
    "one by one": ("2, 3, 2", "1, 1, 2, 3", {}),
    "padding": ("3, 3, 1", "3, 3, 1, 2", {"padding": ((1, 1), (1, 1))}),
    "uneven padding": ("3, 2, 2", "2, 3, 2, 1", {"padding": ((0, 1), (2, 1))}),
    "strides": ("5, 4, 2", "2, 2, 2, 2", {"strides": (2, 3)}),
    "dilation": ("5, 5, 1", "2, 3, 1, 2", {"dilation": (3, 2)}),
    "groups": ("3, 3, 4", "2, 2, 2, 6", {"groups": 2, "padding": ((1, 0), (0, 0))}),
    "depthwise": ("4, 4, 3", "2, 2, 1, 6", {"groups": 3, "strides": (2, 2)}),
}  # fmt: skip


@sheet(*FLOATS)
def convolutions(s: Sheet, dtype: str) -> None:
    b = s.b
    for name, (image, kernel, attrs) in CONVOLUTIONS.items():
        x, k = s.input(typed(dtype, f"B, {image}")), s.param(typed(dtype, kernel))
        y = b.conv2d(x, k, **attrs)
        s.out(name, y, "sum")
        s.out(f"{name}, kernel gradient", b.conv2d_kernel_grad(x, y, kernel_shape=k.shape, **attrs), "sum")
    bias = s.param(typed(dtype, "3"))
    x, k = s.input(typed(dtype, "B, 6, 5, 2")), s.param(typed(dtype, "3, 3, 2, 3"))
    s.out("bias and relu", b.relu(b.add(b.conv2d(x, k), bias)), "sum")


POOLS = {
    "tiles": ("4, 4, 2", {"window": (2, 2), "strides": (2, 2)}),
    "overlap": ("4, 5, 1", {"window": (3, 2), "strides": (1, 1)}),
    "padding": ("4, 3, 2", {"window": (3, 3), "strides": (2, 2), "padding": ((1, 1), (1, 1))}),
    "leaves a rest": ("5, 4, 3", {"window": (2, 3), "strides": (2, 2)}),
    "window 1": ("2, 2, 2", {"window": (1, 1), "strides": (1, 1)}),
}  # fmt: skip


@sheet(*FLOATS)
def pools(s: Sheet, dtype: str) -> None:
    b = s.b
    for name, (image, attrs) in POOLS.items():
        x = s.input(typed(dtype, f"B, {image}"), integers(-3, 4))
        y = b.max_pool(x, **attrs)
        s.out(f"max, {name}", y)
        s.out(f"max gradient, {name}", b.max_pool_grad(x, y, b.add(y, 0.5), **attrs), "sum")
        s.out(f"sum, {name}", b.sum_pool(x, **attrs), "sum")


# -- random numbers, loops --------------------------------------------------------------------------------------------
@sheet("f32")
def random_numbers(s: Sheet, dtype: str) -> None:
    """The same bits on every target."""
    seed, step = s.param("i64[]", integers(0, 1 << 40)), s.param("i64[]", integers(0, 1000))
    for stream, shape in enumerate(((B, 5), (B,), (3,), (), (B, 2, 3))):
        s.out(f"uniform {stream}", s.b.random_uniform(seed, step, shape=shape, stream=stream))
    x = s.input("f32[B, 5]")
    mask = s.b.lt(s.b.random_uniform(seed, step, shape=(B, 5), stream=7), 0.5)
    s.out("dropout", s.b.select(mask, s.b.mul(x, 2.0), 0.0))
    s.update(step, s.b.add(step, 1))


def _recurrent(b: Builder, h: Value, x: Value, w: Value, bias: Value) -> tuple[list[Value], list[Value]]:
    new = b.tanh(b.add(b.add(b.matmul(h, w), x), bias))
    return [new], [new]


def _counter(b: Builder, count: Value, x: Value, rate: Value) -> tuple[list[Value], list[Value]]:
    return [b.add(count, b.mul(x, rate))], [b.mul(count, x), x]


@sheet(*FLOATS)
def loops(s: Sheet, dtype: str) -> None:
    b = s.b
    h, w, bias = (
        s.input(typed(dtype, "B, 3")),
        s.param(typed(dtype, "3, 3"), between(-0.5, 0.5)),
        s.param(typed(dtype, "3")),
    )
    by_time, by_batch = s.input(typed(dtype, "4, B, 3")), s.input(typed(dtype, "B, 4, 3"))
    for reverse in (False, True):
        s.out(f"axis 0, {reverse}", scan(b, [h, by_time, w, bias], _recurrent, 1, 1, 0, reverse), "model")
        s.out(f"axis 1, {reverse}", scan(b, [h, by_batch, w, bias], _recurrent, 1, 1, 1, reverse), "model")
    s.out("outputs of old states", scan(b, [h, by_time, s.input(typed(dtype, "B, 3"))], _counter, 1, 1), "model")
    s.out(
        "one turn",
        scan(b, [h, b.slice(by_time, starts=(0, 0, 0), limits=(1, B, 3)), w, bias], _recurrent, 1, 1),
        "model",
    )
    s.out("order", scan(b, [h, by_time], _ordered, 1, 1), "model")
    halve = scan(b, [h], lambda i, v: ([i.mul(v, 0.5)], []), 1, 0, length=5)
    s.out("states only", halve, "arithmetic")
    s.out("outputs only", scan(b, [by_time], lambda i, v: ([], [i.mul(v, v)]), 0, 1), "arithmetic")
    s.out("over the batch", scan(b, [bias, h], lambda i, v, x: ([i.add(v, x)], [v]), 1, 1), "sum")
