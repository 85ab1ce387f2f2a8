"""A sheet of calls: one graph with many labelled outputs, compiled once and run at several sizes.

Many calls share a graph because compiling costs far more than running; a failure names the call by its label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import kgraph.codegen
from kgraph.ir import Builder, Graph, TensorType, Value, verify
from kgraph.ir.dims import evaluate_shape
from kgraph.ir.interpreter import interpret
from kgraph.ir.types import is_float, numpy_dtype
from tests.ir.evaluating import tensor

Array = np.ndarray
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

SIZES = (1, 7, 32, 33)  # one row; odd; what fills vectors and blocks; one more than that


@dataclass(frozen=True)
class Tolerance:
    """|got - expected| <= relative * |expected| + absolute * max(1, largest |expected| of the output)."""

    relative: float
    absolute: float


# Integers, booleans and whatever only moves or chooses elements: always exact.
EXACT = Tolerance(0.0, 0.0)
TOLERANCES: dict[str, dict[str, Tolerance]] = {
    # One or two IEEE operations; the compiler may contract a product and a sum into one rounding.
    "arithmetic": {"f32": Tolerance(5e-7, 2e-7), "f64": Tolerance(1e-15, 5e-16)},
    # f32: polynomials of at most 4 ulp (2.4e-7 each); f64: libm on both sides, and one composition of it.
    "function": {"f32": Tolerance(2e-6, 5e-7), "f64": Tolerance(5e-15, 1e-15)},
    # Sums in another order, without the interpreter's f64 accumulator: the error grows with the largest partial sum.
    "sum": {"f32": Tolerance(1e-5, 3e-6), "f64": Tolerance(1e-13, 1e-14)},
    # Whole models: sums of functions of sums.
    "model": {"f32": Tolerance(1e-4, 2e-5), "f64": Tolerance(1e-11, 1e-12)},
}


def tolerance(kind: str, dtype: str) -> Tolerance:
    return TOLERANCES[kind][dtype] if kind != "exact" and is_float(dtype) else EXACT


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.1, 3.0, size=shape)


def between(low: float, high: float) -> Draw:
    return lambda rng, shape: rng.uniform(low, high, size=shape)


def integers(low: int, high: int) -> Draw:
    return lambda rng, shape: rng.integers(low, high, size=shape)


def values(*items: float) -> Draw:
    """These items over and over, in an order of their own for each row."""
    return lambda rng, shape: rng.permutation(np.resize(np.array(items), int(np.prod(shape)))).reshape(shape)


class Sheet:
    """Collects inputs and labelled outputs."""

    def __init__(self, name: str) -> None:
        self.graph = Graph(name)
        self.b = Builder(self.graph)
        self.draws: dict[str, Draw] = {}
        self.labels: list[tuple[str, str]] = []

    def input(self, type: str, draw: Draw = normal) -> Value:
        """An input such as `f32[B, 3]` and how to draw its elements."""
        name = f"x{len(self.draws)}"
        self.draws[name] = draw
        return self.b.input(name, tensor(type))

    def param(self, type: str, draw: Draw = normal) -> Value:
        name = f"w{len(self.draws)}"
        self.draws[name] = draw
        return self.b.param(name, tensor(type))

    def out(self, label: str, value: Value | Sequence[Value], kind: str = "exact") -> None:
        for result in [value] if isinstance(value, Value) else value:
            self.graph.outputs.append(result)
            self.labels.append((label, kind))

    def update(self, param: Value, value: Value) -> None:
        self.graph.updates.append((param, value))

    def arrays(self, sizes: Mapping[str, int]) -> dict[str, Array]:
        rng = np.random.default_rng(sum(sizes.values()))
        found = {}
        for value in (*self.graph.inputs, *self.graph.params):
            drawn = self.draws[value.name](rng, evaluate_shape(value.shape, sizes))
            found[value.name] = np.asarray(drawn).astype(numpy_dtype(value.dtype))
        return found

    def check(
        self, sizes: Sequence[int] = SIZES, others: Mapping[str, int] | None = None, update_kind: str = "model"
    ) -> Any:
        """Compile once, compare at every size of B; returns the program."""
        verify(self.graph)
        program = kgraph.codegen.compile(self.graph)
        for size in sizes:
            dims = {"B": size, **(others or {})}
            dims = {name: number for name, number in dims.items() if name in self.graph.symbols}
            arrays = self.arrays(dims)
            params = {value.name: arrays[value.name].copy() for value in self.graph.params}
            inputs = {value.name: arrays[value.name] for value in self.graph.inputs}
            expected = interpret(self.graph, inputs, params, dims)
            exe = program.bind(dims, params)
            for name, array in inputs.items():
                exe.input(name)[...] = array
            exe.run()
            for k, (label, kind) in enumerate(self.labels):
                self._compare(f"{label}, output {k}, {dims}", kind, expected.outputs[k], exe.output(k))
            for name, array in expected.updates.items():
                self._compare(f"update of {name}, {dims}", update_kind, array, params[name])
        return program

    @staticmethod
    def _compare(what: str, kind: str, expected: Array, got: Array) -> None:
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape), what
        dtype = {"float32": "f32", "float64": "f64"}.get(str(expected.dtype), "i32")
        allowed = tolerance(kind, dtype)
        if dtype == "i32":
            np.testing.assert_array_equal(got, expected, err_msg=what)
            return
        scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        np.testing.assert_allclose(
            got, expected, rtol=allowed.relative, atol=allowed.absolute * scale, equal_nan=True, err_msg=what
        )


def typed(dtype: str, shape: str) -> str:
    return f"{dtype}[{shape}]"


def scan(
    b: Builder,
    operands: Sequence[Value],
    body: Callable[..., tuple[Sequence[Value], Sequence[Value]]],
    inits: int,
    sequences: int,
    axis: int = 0,
    reverse: bool = False,
    length: Any = None,
) -> tuple[Value, ...]:
    """`body(builder, *arguments)` gives (new states, step outputs)."""
    region = Graph("body")
    arguments = []
    for position, value in enumerate(operands):
        shape = value.shape
        if inits <= position < inits + sequences:
            shape = (*shape[:axis], *shape[axis + 1 :])
        arguments.append(region.add_input(f"a{position}", TensorType(value.dtype, shape)))
    states, outputs = body(Builder(region), *arguments)
    region.outputs = [*states, *outputs]
    if length is None:
        length = operands[inits].shape[axis]
    attrs = {"inits": inits, "sequences": sequences, "axis": axis, "reverse": reverse, "length": length}
    return tuple(b.node("scan", operands, attrs, [region]).results)
