"""The interpreter: binding, sizes, element types, updates, loops, memory, and how faults are told."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph.errors import DtypeError, InternalError, InvalidArgumentError, ShapeError
from kgraph.ir import OPS, Builder, Dim, Graph, Location, TensorType
from kgraph.ir.interpreter import evaluate_attrs, interpret
from tests.ir.evaluating import B, T


def f32(*values: Any) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.fixture
def affine() -> Graph:
    """`x * w + 1` with the update `w <- w / 2`."""
    graph = Graph()
    b = Builder(graph)
    x, w = b.input("x", TensorType("f32", (B, 2))), b.param("w", TensorType("f32", (2,)))
    graph.outputs = [b.add(b.mul(x, w), 1.0)]
    graph.updates = [(w, b.mul(w, 0.5))]
    return graph


# -- binding --------------------------------------------------------------------------------------------------------
def test_inputs_by_name_and_by_order(affine: Graph) -> None:
    params = {"w": f32(10, 100)}
    for inputs in ({"x": f32([1, 2])}, [f32([1, 2])]):
        result = interpret(affine, inputs, params)
        np.testing.assert_array_equal(result.outputs[0], [[11, 201]])
        np.testing.assert_array_equal(result.updates["w"], [5, 50])
    np.testing.assert_array_equal(params["w"], [10, 100])


def test_missing_and_unknown_names(affine: Graph) -> None:
    with pytest.raises(InvalidArgumentError, match="params do not fit"):
        interpret(affine, [f32([1, 2])])
    with pytest.raises(InvalidArgumentError, match="inputs do not fit"):
        interpret(affine, {"y": f32([1, 2])}, {"w": f32(1, 2)})
    with pytest.raises(InvalidArgumentError, match="takes 1 inputs"):
        interpret(affine, [], {"w": f32(1, 2)})


def test_element_types_are_exact(affine: Graph) -> None:
    with pytest.raises(DtypeError, match="%x needs elements of type f32"):
        interpret(affine, [np.zeros((1, 2))], {"w": f32(1, 2)})


def test_results_share_no_memory_with_what_was_given() -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType("f32", (4,)))
    w = b.param("w", TensorType("f32", (2,)))
    value = np.ones(3, np.float32)
    graph.outputs = [x, b.reshape(x, shape=(2, 2)), b.slice(x, starts=(1,), limits=(2,)), b.constant(value=value)]
    graph.updates = [(w, w)]
    given, kept = f32(1, 2, 3, 4), f32(5, 6)
    result = interpret(graph, [given], {"w": kept})
    for array in [*result.outputs, result.updates["w"]]:
        array[...] = 0
    np.testing.assert_array_equal(given, [1, 2, 3, 4])
    np.testing.assert_array_equal(kept, [5, 6])
    np.testing.assert_array_equal(value, [1, 1, 1])


def test_literals_can_be_outputs() -> None:
    graph = Graph()
    b = Builder(graph)
    node = b.node("add", [b.input("x", TensorType("f64")), 2.5], {})
    graph.outputs = [node.operands[1]]
    (out,) = interpret(graph, [np.float64(1)]).outputs
    assert out.dtype == np.float64 and out == 2.5


# -- sizes ----------------------------------------------------------------------------------------------------------
def sizes_graph(*shapes: tuple[int | Dim, ...]) -> Graph:
    graph = Graph()
    b = Builder(graph)
    for i, shape in enumerate(shapes):
        b.input(f"x{i}", TensorType("f32", shape))
    graph.outputs = [b.dim_size(dim=B * T, dtype="i32")]
    graph.symbols.update(B=1, T=1)
    return graph


def run_sizes(graph: Graph, *shapes: tuple[int, ...], sizes: dict[str, int] | None = None) -> int:
    return int(interpret(graph, [np.zeros(shape, np.float32) for shape in shapes], sizes=sizes).outputs[0])


def test_sizes_come_from_polynomials() -> None:
    # T is known only after B, whichever comes first.
    assert run_sizes(sizes_graph((B * T + B,), (2 * B - 1,)), (20,), (9,)) == 15


def test_sizes_may_be_passed() -> None:
    assert run_sizes(sizes_graph((B,)), (3,), sizes={"T": 4}) == 12


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        (
            ((B, T), (B,)),
            ((3, 2), (4,)),
            "%x1: f32\\[B\\] has another size on axis 0\n  where .*\n  got     4\n  needed  3 \\(B, where B = 3\\)",
        ),
        (((B, T, 5),), ((3, 2, 6),), "has another size on axis 2\n  where .*\n  got     6\n  needed  5"),
        (((B, T),), ((3,),), "has rank 2"),
        (((B,),), ((3,),), "no input fixes the size T"),
        (((B, T),), ((0, 2),), "the size B is 0\n  where .*\n  needed  at least 1"),
        (((B, T, 2 * B),), ((2, 2, 5),), "needed  4 \\(2\\*B, where B = 2\\)"),
    ],
)
def test_size_errors(declared: Any, given: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        run_sizes(sizes_graph(*declared), *given)


def test_attributes_are_evaluated_inside_tuples() -> None:
    attrs = {"shape": (B, 3), "pads": ((B * T, 0), (1, 1)), "name": "x"}
    assert evaluate_attrs(attrs, {"B": 2, "T": 5}) == {"shape": (2, 3), "pads": ((10, 0), (1, 1)), "name": "x"}


# -- running --------------------------------------------------------------------------------------------------------
def test_infinity_and_nan_flow_silently() -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType("f32", (3,)))
    graph.outputs = [b.log(x), b.div(x, 0.0), b.exp(b.mul(x, 1000.0))]
    logs, quotients, powers = interpret(graph, [f32(-1, 0, 1)]).outputs
    np.testing.assert_array_equal(logs, [np.nan, -np.inf, 0])
    np.testing.assert_array_equal(quotients, [-np.inf, np.nan, np.inf])
    np.testing.assert_array_equal(powers, [0, 1, np.inf])


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "i64"])
def test_scalars_keep_their_type(dtype: str) -> None:
    graph = Graph()
    b = Builder(graph)
    x = b.input("x", TensorType(dtype))
    graph.outputs = [b.add(b.mul(x, 2), 1), b.sum(x, axes=())]
    arrays = interpret(graph, [np.asarray(3, {"f32": "f4", "f64": "f8", "i32": "i4", "i64": "i8"}[dtype])]).outputs
    assert [type(a) for a in arrays] == [np.ndarray] * 2
    assert all(a.dtype == arrays[0].dtype for a in arrays) and arrays[0] == 7


def test_dead_arrays_are_freed_early(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def exp(x: np.ndarray) -> np.ndarray:
        nonlocal most
        result = np.exp(x)
        alive.append(weakref.ref(result))
        most = max(most, sum(ref() is not None for ref in alive))
        return result

    monkeypatch.setitem(OPS, "exp", dataclasses.replace(OPS["exp"], reference=exp))
    graph = Graph()
    b = Builder(graph)
    value = b.input("x", TensorType("f32", (8,)))
    for _ in range(10):
        value = b.exp(b.mul(value, 0.0))
    graph.outputs = [value]
    gc.disable()
    interpret(graph, [np.ones(8, np.float32)])
    gc.enable()
    assert most == 1


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Run `exp` with another reference."""

    def run(reference: Any) -> None:
        monkeypatch.setitem(OPS, "exp", dataclasses.replace(OPS["exp"], reference=reference))
        graph = Graph()
        b = Builder(graph)
        with b.location(Location("model.py", 3, "dense")):
            graph.outputs = [b.exp(b.input("x", TensorType("f32", (2,))))]
        interpret(graph, [f32(1, 2)])

    return run


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            lambda x: x[:1],
            r"broke its type rule\n  where   exp at model.py:3, dense\n  got     float32\[1\]\n  needed  float32\[2\]",
        ),
        (lambda x: x.astype(np.int32), r"got     int32\[2\]"),
        (lambda x: x.astype(np.float16), r"got     float16\[2\]"),
        (lambda x: (x, x), "gave 2 results"),
        (lambda x: x @ np.zeros((3, 3)), r"the reference of op exp failed"),
    ],
)
def test_a_wrong_reference_is_our_fault(broken: Any, reference: Any, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        broken(reference)


def test_a_wider_reference_is_rounded(broken: Any) -> None:
    broken(lambda x: x.astype(np.float64))


# -- regions --------------------------------------------------------------------------------------------------------
def running_sum(length: int | Dim, axis: int, reverse: bool) -> Graph:
    """States s <- s + x_t * k, outputs s before the step; x: f32[.., length, ..] along `axis`."""
    body = Graph("body")
    inner = Builder(body)
    s, x, k = (body.add_input(n, TensorType("f32", shape)) for n, shape in (("s", (2,)), ("x", (2,)), ("k", ())))
    body.outputs = [inner.add(s, inner.mul(x, k)), s]
    graph = Graph()
    b = Builder(graph)
    shape = (length, 2) if axis == 0 else (2, length)
    operands = [
        b.input("s", TensorType("f32", (2,))),
        b.input("x", TensorType("f32", shape)),
        b.input("k", TensorType("f32")),
    ]
    attrs = {"inits": 1, "sequences": 1, "axis": axis, "length": length, "reverse": reverse}
    graph.outputs = list(b.node("scan", operands, attrs, [body]).results)
    return graph


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [T, 3])
def test_scan(length: int | Dim, axis: int, reverse: bool) -> None:
    x = f32([1, 10], [2, 20], [3, 30])
    final, outputs = interpret(
        running_sum(length, axis, reverse), [f32(0, 5), x if axis == 0 else x.T, f32(2)[0]]
    ).outputs
    np.testing.assert_array_equal(final, [12, 125])
    expected = f32([0, 5], [2, 25], [6, 65]) if not reverse else f32([10, 105], [6, 65], [0, 5])
    np.testing.assert_array_equal(outputs, expected if axis == 0 else expected.T)


@pytest.mark.parametrize("axis", [0, 1])
def test_scan_of_no_steps(axis: int) -> None:
    x = np.zeros((0, 2) if axis == 0 else (2, 0), np.float32)
    final, outputs = interpret(running_sum(0, axis, False), [f32(7, 8), x, f32(1)[0]]).outputs
    np.testing.assert_array_equal(final, [7, 8])
    assert outputs.shape == x.shape


def test_kernel_runs_its_region() -> None:
    body = Graph("body")
    x = body.add_input("x", TensorType("f32", (B,)))
    inner = Builder(body)
    body.outputs = [inner.exp(x), inner.neg(x)]
    graph = Graph()
    b = Builder(graph)
    node = b.node("kernel", [b.input("x", TensorType("f32", (B,)))], {"family": "map", "name": "k0"}, [body])
    graph.outputs = list(node.results)
    powers, negatives = interpret(graph, [f32(0, 1)]).outputs
    np.testing.assert_array_equal(powers, np.exp(f32(0, 1)))
    np.testing.assert_array_equal(negatives, [0, -1])
