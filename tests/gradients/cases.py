"""For each differentiable op, calls whose derivatives are compared with central differences.

A differentiable op without an entry fails `tests/test_op_matrix.py` by name.  Points where an op has a kink are kept
out here; what is chosen there has its own tests in `test_choices.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from kgraph.ir import Builder, Graph, TensorType, Value
from kgraph.ir.graph import literal
from tests.gradients.checking import Array, Case, Write

SHAPES: tuple[tuple[int, ...], ...] = ((2, 3), (), (1,), (0, 3))
PAIRS = (((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((1,), (1,)), ((0, 3), (3,)))


def draw(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Array:
    """Numbers that are 0.01 or more away from 0, each other and those of other seeds: no kink within a step."""
    rng = np.random.default_rng((seed, *shape))
    count = int(np.prod(shape))
    grid = np.linspace(low, high, count + 2)[1:-1] + 0.013 + 0.071 * seed
    return np.asarray(rng.permutation(grid).reshape(shape))


def positive(*shape: int, seed: int = 0) -> Array:
    return draw(*shape, low=0.3, high=2.5, seed=seed)


def call(op: str, **attrs: Any) -> Write:
    return lambda b, *operands: b.op(op, *operands, **attrs)


def text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


# -- elementwise ----------------------------------------------------------------------------------------------------
def unary(op: str, make: Callable[..., Array] = draw, **attrs: Any) -> list[Case]:
    return [Case(text(shape), call(op, **attrs), [make(*shape)]) for shape in SHAPES]


def binary(op: str, left: Callable[..., Array] = draw, right: Callable[..., Array] = draw) -> list[Case]:
    cases = [Case(f"{text(s)}-{text(t)}", call(op), [left(*s), right(*t, seed=1)]) for s, t in PAIRS]
    cases.append(Case("literal-right", lambda b, x: b.op(op, x, 1.7), [left(2, 3)]))
    cases.append(Case("literal-left", lambda b, x: b.op(op, 1.7, x), [right(2, 3)]))
    cases.append(Case("same-operand-twice", lambda b, x: b.op(op, x, b.op("mul", x, 1.3)), [positive(2, 3)]))
    return cases


def pow_cases() -> list[Case]:
    exponents = (3.0, 2.0, 1.0, 0.0, -1.0)
    signed = [Case(f"signed-to-{n:g}", lambda b, x, n=n: b.op("pow", x, n), [draw(2, 3)]) for n in exponents]
    zeros = np.array([0.0, 1.0])
    return [
        *binary("pow", positive),
        *signed,
        Case("zero-base", lambda b, x: b.op("pow", x, 2.0), [zeros], second=False),
        Case("root", lambda b, x: b.op("pow", x, 0.5), [positive(2, 3)]),
    ]


def select_cases() -> Iterator[Case]:
    mask = np.array([[True, False, True], [False, False, True]])
    yield Case("whole", call("select"), [mask, draw(2, 3), draw(2, 3, seed=1)])
    yield Case("broadcast", call("select"), [mask, draw(3), draw(2, 1, seed=1)])
    yield Case("mask-broadcast", call("select"), [mask[:, :1], draw(2, 3), draw(seed=1)])
    yield Case("literal", lambda b, m, x: b.op("select", m, x, 0.0), [mask, draw(2, 3)])
    yield Case("empty", call("select"), [mask[:0], draw(0, 3), draw(3)])


# -- reduce ---------------------------------------------------------------------------------------------------------
def reductions(op: str, empty: bool) -> Iterator[Case]:
    for axes, keepdims in product(((0,), (1,), (0, 2), (0, 1, 2), (-1,), ()), (False, True)):
        yield Case(f"axes-{axes}-keep-{keepdims}", call(op, axes=axes, keepdims=keepdims), [draw(2, 3, 2)])
    yield Case("size-1", call(op, axes=(0, 1)), [draw(1, 1)])
    yield Case("scalar", call(op, axes=()), [draw()])
    yield Case("empty-kept-axis", call(op, axes=(1,)), [draw(0, 3)])
    if empty:
        yield Case("empty-reduced-axis", call(op, axes=(0,)), [draw(0, 3)])


def prod_cases() -> Iterator[Case]:
    yield from reductions("prod", empty=True)
    for zeros in (1, 2):
        x = draw(2, 3)
        x[0, :zeros] = 0.0
        yield Case(f"{zeros}-zeros", call("prod", axes=(1,)), [x], second=False)


def cumsum_cases() -> Iterator[Case]:
    for axis, reverse, exclusive in product((0, 1, -1), (False, True), (False, True)):
        attrs = {"axis": axis, "reverse": reverse, "exclusive": exclusive}
        yield Case("-".join(f"{k}-{v}" for k, v in attrs.items()), call("cumsum", **attrs), [draw(3, 2)])
    yield Case("size-1", call("cumsum", axis=0), [draw(1)])
    yield Case("size-0", call("cumsum", axis=0, exclusive=True), [draw(0, 2)])


# -- shape ----------------------------------------------------------------------------------------------------------
def pad_cases() -> Iterator[Case]:
    widths = {
        "around": ((1, 0), (2, 1), (0, 0)),
        "between": ((0, 0), (0, 0), (1, 2)),
        "all": ((1, 2), (0, 3), (2, 1)),
        "crop": ((-1, 0), (0, -1), (0, 0)),
        "crop-front-widen-behind": ((-2, 1), (3, -2), (0, 0)),
        "crop-between": ((-1, -2), (-1, 2), (1, 2)),
        "crop-all": ((-3, 0), (0, 0), (0, 0)),
        "nothing": ((0, 0), (0, 0), (0, 0)),
    }
    for name, (low, high, interior) in widths.items():
        attrs = {"low": low, "high": high, "interior": interior}
        yield Case(f"{name}-literal", lambda b, x, attrs=attrs: b.op("pad", x, 0.5, **attrs), [draw(3, 3)])
        yield Case(f"{name}-value", call("pad", **attrs), [draw(3, 3), draw(seed=1)])
    yield Case("size-0", call("pad", low=(1, 0), high=(2, 0), interior=(1, 1)), [draw(0, 3), draw(seed=1)])
    yield Case("size-1", call("pad", low=(0,), high=(1,), interior=(3,)), [draw(1), draw(seed=1)])
    yield Case("scalar", call("pad", low=(), high=()), [draw(), draw(seed=1)])


def slice_cases() -> Iterator[Case]:
    bounds = {
        "front": ((0, 0), (2, 3), (1, 1)),
        "back": ((1, 2), (4, 5), (1, 1)),
        "steps": ((0, 1), (4, 5), (2, 3)),
        "steps-past-end": ((1, 0), (4, 5), (2, 4)),
        "nothing": ((2, 0), (2, 5), (3, 2)),
        "everything": ((0, 0), (4, 5), (1, 1)),
    }
    for name, (starts, limits, strides) in bounds.items():
        yield Case(name, call("slice", starts=starts, limits=limits, strides=strides), [draw(4, 5)])
    yield Case("default-strides", call("slice", starts=(1,), limits=(3,)), [draw(4)])


def split_cases() -> Iterator[Case]:
    yield Case("two", call("split", axis=1, sizes=(1, 2)), [draw(2, 3)])
    yield Case("one", call("split", axis=0, sizes=(2,)), [draw(2, 3)])
    yield Case("empty-piece", call("split", axis=-1, sizes=(0, 3, 0)), [draw(2, 3)])
    yield Case("unused-pieces", call("split", axis=0, sizes=(1, 2, 1)), [draw(4, 2)], use=(1,))
    yield Case("unused-vectors", call("split", axis=0, sizes=(1, 2)), [draw(3)], use=(0,))


# -- contract -------------------------------------------------------------------------------------------------------
def matmul_cases() -> Iterator[Case]:
    for sizes, lead, ta, tb in product(((2, 3, 4), (1, 1, 1)), ((), (2,), (2, 1)), (False, True), (False, True)):
        m, k, n = sizes
        a = draw(*lead, *((k, m) if ta else (m, k)))
        c = draw(*lead, *((n, k) if tb else (k, n)), seed=1)
        name = f"{text((*lead, *sizes))}{'-ta' if ta else ''}{'-tb' if tb else ''}"
        yield Case(name, call("matmul", transpose_a=ta, transpose_b=tb), [a, c])
    yield Case("no-rows", call("matmul"), [draw(0, 3), draw(3, 2)])
    yield Case("empty-sum", call("matmul"), [draw(2, 0), draw(0, 3)])
    yield Case("with-itself", lambda b, x: b.op("matmul", x, x, transpose_b=True), [draw(2, 3)])


# -- nn -------------------------------------------------------------------------------------------------------------
ConvCase = tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]
CONVS: tuple[ConvCase, ...] = (
    ("plain", (2, 4, 3, 2), (2, 2, 2, 3), {}),
    ("one-by-one", (1, 2, 3, 2), (1, 1, 2, 3), {}),
    ("same", (1, 3, 3, 1), (3, 3, 1, 2), {"padding": ((1, 1), (1, 1))}),
    ("uneven-padding", (1, 3, 2, 2), (2, 3, 2, 1), {"padding": ((0, 1), (2, 1))}),
    ("strides", (1, 5, 4, 2), (2, 2, 2, 2), {"strides": (2, 3)}),
    ("strides-leave-a-rest", (1, 6, 5, 1), (3, 2, 1, 2), {"strides": (2, 2), "padding": ((1, 0), (0, 0))}),
    ("stride-past-kernel", (1, 5, 5, 1), (1, 2, 1, 2), {"strides": (3, 3)}),
    ("dilation", (1, 5, 5, 1), (2, 3, 1, 2), {"dilation": (3, 2)}),
    ("padding-past-kernel", (1, 2, 2, 1), (1, 2, 1, 2), {"padding": ((2, 1), (3, 2))}),
    ("padding-past-kernel-strides", (1, 3, 3, 1), (2, 1, 1, 1), {"padding": ((2, 2), (1, 3)), "strides": (2, 2)}),
    ("groups", (1, 3, 3, 4), (2, 2, 2, 6), {"groups": 2, "padding": ((1, 0), (0, 0))}),
    ("depthwise", (1, 4, 4, 3), (2, 2, 1, 6), {"groups": 3, "strides": (2, 2)}),
    ("groups-dilation", (1, 4, 3, 2), (2, 2, 1, 2), {"groups": 2, "dilation": (2, 1), "strides": (1, 2)}),
    ("empty-batch", (0, 3, 3, 1), (2, 2, 1, 2), {"strides": (2, 1)}),
    ("empty-batch-groups", (0, 3, 3, 2), (2, 2, 1, 2), {"groups": 2}),
)


def conv_cases() -> Iterator[Case]:
    for name, x, kernel, attrs in CONVS:
        yield Case(name, call("conv2d", **attrs), [draw(*x), draw(*kernel, seed=1)])


def kernel_grad_cases() -> Iterator[Case]:
    for name, x, kernel, attrs in CONVS:
        graph = Graph()
        b = Builder(graph)
        dy = b.op("conv2d", b.input("x", TensorType("f64", x)), b.input("k", TensorType("f64", kernel)), **attrs).shape
        write = call("conv2d_kernel_grad", kernel_shape=kernel, **attrs)
        yield Case(name, write, [draw(*x), draw(*dy, seed=1)])


PoolCase = tuple[str, tuple[int, ...], dict[str, Any]]
POOLS: tuple[PoolCase, ...] = (
    ("tiles", (2, 4, 4, 2), {"window": (2, 2), "strides": (2, 2)}),
    ("overlap", (1, 4, 5, 1), {"window": (3, 2), "strides": (1, 1)}),
    ("padding", (1, 4, 3, 2), {"window": (3, 3), "strides": (2, 2), "padding": ((1, 1), (1, 1))}),
    ("leaves-a-rest", (1, 5, 4, 1), {"window": (2, 3), "strides": (2, 2)}),
    ("stride-past-window", (1, 6, 5, 1), {"window": (1, 2), "strides": (3, 3)}),
    ("window-1", (1, 2, 2, 1), {"window": (1, 1), "strides": (1, 1)}),
    ("padding-past-window", (1, 3, 3, 1), {"window": (2, 2), "strides": (2, 1), "padding": ((2, 2), (0, 3))}),
    ("empty-batch", (0, 4, 4, 1), {"window": (2, 2), "strides": (2, 2)}),
)


def pool_cases(op: str) -> Iterator[Case]:
    for name, shape, attrs in POOLS:
        if op == "max_pool" and name == "padding-past-window":
            continue  # -inf where a window sees padding only; its choice is tested apart
        yield Case(name, call(op, **attrs), [draw(*shape)])


def max_pool_grad_cases() -> Iterator[Case]:
    for name, shape, attrs in POOLS:
        b = Builder(Graph())
        dy = b.op("max_pool", b.input("x", TensorType("f64", shape)), **attrs).shape

        def write(b: Builder, x: Value, dy: Value, attrs: dict[str, Any] = attrs) -> Value:
            y = b.op("max_pool", x, **attrs)
            value: Value = b.op("max_pool_grad", x, y, dy, **attrs)
            return value

        yield Case(name, write, [draw(*shape), draw(*dy, seed=1)], ignore=(0,))


def softmax_cases(op: str) -> Iterator[Case]:
    for shape, axis in (((2, 3), -1), ((2, 3), 0), ((2, 3, 2), 1), ((4,), 0), ((2, 1), 1), ((0, 3), 1)):
        yield Case(f"{text(shape)}-axis-{axis}", call(op, axis=axis), [draw(*shape)])


IDS = np.array([[1, 0, 1], [3, 1, 3]], np.int32)


def gather_cases() -> Iterator[Case]:
    yield Case("matrix", call("gather"), [draw(4, 2), IDS])
    yield Case("vector", call("gather"), [draw(4), IDS[0].astype(np.int64)])
    yield Case("one-id", call("gather"), [draw(4, 2), np.array(2, np.int32)])
    yield Case("no-id", call("gather"), [draw(4, 2), IDS[:0]])
    yield Case("rank-3", call("gather"), [draw(4, 1, 2), IDS])


def scatter_cases() -> Iterator[Case]:
    yield Case("matrix", call("scatter_add", rows=4), [IDS, draw(2, 3, 2)])
    yield Case("vector", call("scatter_add", rows=5), [IDS[0], draw(3)])
    yield Case("one-id", call("scatter_add", rows=3), [np.array(2, np.int32), draw(2)])
    yield Case("no-id", call("scatter_add", rows=3), [IDS[:0], draw(0, 3)])


def scatter_rows_cases() -> Iterator[Case]:
    yield Case("matrix", lambda b, *v: b.op("scatter_rows", *v, rows=5)[0], [IDS, draw(2, 3, 2)])
    yield Case("no-id", lambda b, *v: b.op("scatter_rows", *v, rows=3)[0], [IDS[:0], draw(0, 3)])


# -- scan -----------------------------------------------------------------------------------------------------------
def scan_case(
    name: str,
    body: Callable[..., tuple[list[Value], list[Value]]],
    operands: Sequence[Array],
    second: bool = True,
    **attrs: Any,
) -> Case:
    """`body(builder, *arguments)` returns (new states, step outputs)."""
    inits, sequences, axis = attrs["inits"], attrs["sequences"], attrs.get("axis", 0)

    def write(b: Builder, *values: Value) -> Any:
        region = Graph("body")
        inner = Builder(region)
        arguments: list[Value] = []
        for position, value in enumerate(values):
            shape = value.shape
            if inits <= position < inits + sequences:
                shape = (*shape[:axis], *shape[axis + 1 :])
            arguments.append(region.add_input(f"a{position}", TensorType(value.dtype, shape)))
        states, outputs = body(inner, *arguments)
        region.outputs = [*states, *outputs]
        node = b.node("scan", values, attrs, [region])
        return node.results

    return Case(name, write, operands, second=second)


def _recurrent(b: Builder, h: Value, x: Value, w: Value, bias: Value) -> tuple[list[Value], list[Value]]:
    new = b.op("tanh", b.op("add", b.op("add", b.op("matmul", h, w), x), bias))
    return [new], [new]


def _gated(b: Builder, h: Value, c: Value, x: Value, w: Value, u: Value) -> tuple[list[Value], list[Value]]:
    z = b.op("add", b.op("matmul", x, w), b.op("matmul", h, u))
    i, f = b.op("split", z, axis=1, sizes=(2, 2))
    c = b.op("add", b.op("mul", b.op("sigmoid", f), c), b.op("tanh", i))
    h = b.op("mul", b.op("sigmoid", i), b.op("tanh", c))
    return [h, c], [h]


def scan_cases() -> Iterator[Case]:
    recurrent = [draw(2, 3, seed=1), draw(4, 2, 3, low=-1, high=1), draw(3, 3, low=-0.7, high=0.7), draw(3)]
    for reverse in (False, True):
        attrs = {"inits": 1, "sequences": 1, "length": 4, "reverse": reverse}
        yield scan_case(f"recurrent-reverse-{reverse}", _recurrent, recurrent, **attrs)
        turned = [recurrent[0], np.swapaxes(recurrent[1], 0, 1).copy(), *recurrent[2:]]
        yield scan_case(f"recurrent-axis-1-reverse-{reverse}", _recurrent, turned, axis=1, **attrs)
    one = [recurrent[0], recurrent[1][:1], *recurrent[2:]]
    yield scan_case("one-step", _recurrent, one, inits=1, sequences=1, length=1)
    gated = [draw(1, 2), draw(1, 2, seed=1), draw(3, 1, 2, seed=2), draw(2, 4), draw(2, 4, seed=3)]
    yield scan_case("gated", _gated, gated, inits=2, sequences=1, length=3)

    def decay(b: Builder, s: Value, rate: Value) -> tuple[list[Value], list[Value]]:
        return [b.op("mul", s, rate)], []

    yield scan_case("no-sequence-no-output", decay, [draw(3), draw()], inits=1, sequences=0, length=3)

    def mapped(b: Builder, x: Value, y: Value, w: Value) -> tuple[list[Value], list[Value]]:
        return [], [b.op("mul", b.op("sin", x), b.op("mul", y, w))]

    yield scan_case("no-state", mapped, [draw(3, 2), draw(3, 2, seed=1), draw(2)], inits=0, sequences=2, length=3)


# -- attention ------------------------------------------------------------------------------------------------------
def _tokens() -> list[Array]:
    return [draw(1, 3, 2, 2), draw(1, 4, 2, 2, seed=1), draw(1, 4, 2, 3, seed=2)]


def _mask(b: Builder) -> Value:
    return b.op("constant", value=np.array([[True, True, False, True], [False] * 4, [True, False, True, True]]))


def _attention_grad(b: Builder, q: Value, k: Value, v: Value, dy: Value) -> Any:
    operands = (q, k, v, _mask(b), 0.0, 1.0)
    return b.op("attention_grad", *operands, *b.op("attention", *operands, scale=0.5), dy, scale=0.5)


def attention_cases() -> list[Case]:
    def case(name: str, write: Write, *operands: Array) -> Case:
        return Case(name, write, [*_tokens(), *operands], use=(0,))

    every = literal(True, "bool")
    x = draw(2, 3, 1, 2)
    return [
        case("plain", lambda b, q, k, v: b.op("attention", q, k, v, every, 0.0, 1.0, scale=0.7)),
        case("masked", lambda b, q, k, v: b.op("attention", q, k, v, _mask(b), 0.0, 1.0)),
        case("causal", lambda b, q, k, v: b.op("attention", q, k, v, every, 0.0, 1.0, causal=True)),
        case(
            "bias-keep",
            lambda b, q, k, v, bias, keep: b.op("attention", q, k, v, _mask(b), bias, keep, causal=True),
            draw(2, 1, 4, seed=3),
            positive(1, 2, 3, 4, seed=4),
        ),
        Case("self", lambda b, x: b.op("attention", x, x, x, every, 0.0, 1.0), [x], use=(0,)),
    ]


def _all() -> dict[str, list[Case]]:
    away = {"near": lambda *shape, seed=0: draw(*shape, low=2.1, high=2.9, seed=seed)}
    table: dict[str, Any] = {
        **{
            op: unary(op)
            for op in (
                "neg",
                "abs",
                "exp",
                "expm1",
                "sin",
                "cos",
                "tanh",
                "sigmoid",
                "softplus",
                "erf",
                "erfc",
                "atan",
                "relu",
                "watch",
            )
        },
        **{op: unary(op, positive) for op in ("log", "log1p", "sqrt", "rsqrt")},
        "cast": unary("cast", dtype="f64"),
        **{op: binary(op) for op in ("add", "sub", "mul", "maximum", "minimum")},
        "div": binary("div", draw, positive),
        "atan2": binary("atan2", draw, positive),
        "mod": [c for c in binary("mod", positive, away["near"]) if c.name != "same-operand-twice"],
        "pow": pow_cases(),
        "select": select_cases(),
        "sum": reductions("sum", empty=True),
        "max": reductions("max", empty=False),
        "min": reductions("min", empty=False),
        "prod": prod_cases(),
        "cumsum": cumsum_cases(),
        "reshape": [
            Case("fold", call("reshape", shape=(3, 2)), [draw(2, 3)]),
            Case("scalar", call("reshape", shape=()), [draw(1, 1)]),
            Case("empty", call("reshape", shape=(0, 5)), [draw(3, 0)]),
        ],
        "transpose": [
            Case("cycle", call("transpose", perm=(1, 2, 0)), [draw(2, 3, 4)]),
            Case("size-1", call("transpose", perm=(1, 0)), [draw(1, 3)]),
            Case("scalar", call("transpose", perm=()), [draw()]),
        ],
        "broadcast_to": [
            Case("new-axis", call("broadcast_to", shape=(2, 3)), [draw(3)]),
            Case("size-1", call("broadcast_to", shape=(2, 4, 3)), [draw(2, 1, 3)]),
            Case("scalar", call("broadcast_to", shape=(2, 3)), [draw()]),
            Case("both", call("broadcast_to", shape=(2, 2, 3)), [draw(2, 1)]),
            Case("to-nothing", call("broadcast_to", shape=(0, 3)), [draw(1, 3)]),
        ],
        "concat": [
            Case("three", call("concat", axis=1), [draw(2, 1), draw(2, 3, seed=1), draw(2, 2, seed=2)]),
            Case("one", call("concat", axis=0), [draw(2, 3)]),
            Case("with-empty", call("concat", axis=-1), [draw(2, 0), draw(2, 2, seed=1)]),
            Case("same-twice", lambda b, x: b.op("concat", x, x, axis=0), [draw(2, 3)]),
        ],
        "split": split_cases(),
        "slice": slice_cases(),
        "pad": pad_cases(),
        "reverse": [
            Case("one", call("reverse", axes=(1,)), [draw(2, 3)]),
            Case("two", call("reverse", axes=(0, -1)), [draw(2, 3)]),
            Case("none", call("reverse", axes=()), [draw(2)]),
        ],
        "matmul": matmul_cases(),
        "conv2d": conv_cases(),
        "conv2d_kernel_grad": kernel_grad_cases(),
        "max_pool": pool_cases("max_pool"),
        "max_pool_grad": max_pool_grad_cases(),
        "sum_pool": pool_cases("sum_pool"),
        "softmax": softmax_cases("softmax"),
        "log_softmax": softmax_cases("log_softmax"),
        "attention": attention_cases(),
        "attention_grad": [Case("masked", _attention_grad, [*_tokens(), draw(1, 3, 2, 3, seed=3)])],
        "gather": gather_cases(),
        "scatter_add": scatter_cases(),
        "scatter_rows": scatter_rows_cases(),
        "scan": scan_cases(),
    }
    return {op: list(cases) for op, cases in table.items()}


CASES: dict[str, list[Case]] = _all()
