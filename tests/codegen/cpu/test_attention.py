"""Attention without stored scores: its kernels against the interpreter and the unfused graph; which layers get it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kgraph as keras
import kgraph.codegen
from kgraph import layers
from kgraph.codegen.cpu.pool import get_num_threads, set_num_threads
from kgraph.ir import Builder, Graph, TensorType, Value
from kgraph.ir.graph import literal
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes.attention import FuseAttention
from kgraph.ir.passes.autodiff import append_gradients
from kgraph.ir.passes.base import run_passes

Array = np.ndarray[Any, Any]
SIZES = (1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200)
"""Times around the sides of a block, of vectors and of tiles."""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


def run_native(graph: Graph, data: dict[str, Array]) -> list[Array]:
    executable = kgraph.codegen.compile(graph, target="cpu").bind({}, {})
    for name, array in data.items():
        executable.input(name)[...] = array
    executable.run()
    return [np.array(executable.output(k)) for k in range(len(graph.outputs))]


def one_op(dtype: str, sizes: tuple[int, ...], kind: str, scale: float, fill: float) -> tuple[Graph, dict[str, Array]]:
    """An attention and its gradient, and operands of them."""
    batch, heads, rows, keys, depth, width = sizes
    graph = Graph("one")
    b = Builder(graph)
    rng = np.random.default_rng(sum(sizes))
    data: dict[str, Array] = {}

    def given_(name: str, *shape: int, dtype: str = dtype) -> Value:
        drawn = rng.normal(size=shape) if dtype != "bool" else rng.random(shape) < 0.6
        data[name] = np.asarray(drawn, {"f32": np.float32, "f64": np.float64, "bool": np.bool_}[dtype])
        return b.input(name, TensorType(dtype, shape))

    q, k = given_("q", batch, rows, heads, depth), given_("k", batch, keys, heads, depth)
    v, dy = given_("v", batch, keys, heads, width), given_("dy", batch, rows, heads, width)
    mask: Value = literal(True, "bool")
    bias: Value = literal(0.0, dtype)
    keep: Value = literal(1.0, dtype)
    if "padding" in kind:
        mask = given_("mask", batch, 1, 1, keys, dtype="bool")
    if "pairs" in kind:
        mask, bias = given_("mask", batch, 1, rows, keys, dtype="bool"), given_("bias", heads, rows, keys)
        keep = given_("keep", batch, heads, rows, keys)
    attrs = {"scale": scale, "causal": "causal" in kind, "fill": fill}
    results = b.op("attention", q, k, v, mask, bias, keep, **attrs)
    grads = b.op("attention_grad", q, k, v, mask, bias, keep, *results, dy, **attrs)
    graph.outputs = [results[0], *grads]
    return graph, data


KINDS = ("plain", "causal", "padding", "causal padding", "pairs", "causal pairs")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(("f32", "f64")),
    st.tuples(
        st.sampled_from((1, 2, 5)),
        st.sampled_from((1, 2, 3)),
        st.sampled_from(SIZES),
        st.sampled_from(SIZES),
        st.integers(1, 128),
        st.integers(1, 128),
    ),
    st.sampled_from(KINDS),
    st.sampled_from((1.0, 0.125)),
    st.sampled_from((-1e30, -1e9, -2.0, 0.0)),
)
@example("f32", (2, 2, 150, 300, 7, 128), "causal pairs", 0.125, -1e30)
@example("f32", (1, 1, 300, 40, 128, 1), "causal", 1.0, -1e9)
@example("f64", (1, 3, 1, 1, 1, 1), "padding", 1.0, -1e30)
def test_kernels_give_what_the_interpreter_gives(
    dtype: str, sizes: tuple[int, ...], kind: str, scale: float, fill: float
) -> None:
    graph, data = one_op(dtype, sizes, kind, scale, fill)
    wide, _ = one_op("f64", sizes, kind, scale, fill)
    inputs = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in data.items()}
    bound = 2e-4 if dtype == "f32" else 1e-11  # gradients cancel: one key has a gradient of 0
    for found, wanted in zip(run_native(graph, data), interpret(wide, inputs).outputs, strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, atol=bound * max(1.0, float(np.abs(wanted).max(initial=0.0))))


@pytest.mark.parametrize("sizes", [(2, 2, 0, 5, 3, 4), (2, 2, 5, 0, 3, 4), (0, 2, 5, 5, 3, 4), (1, 1, 0, 0, 3, 4)])
@pytest.mark.parametrize("kind", ["plain", "causal padding"])
def test_empty_sizes_give_zeros(sizes: tuple[int, ...], kind: str) -> None:
    graph, data = one_op("f32", sizes, kind, 1.0, -1e30)
    for found in run_native(graph, data):
        assert (found == 0).all()


@pytest.mark.parametrize("kind", ["plain", "causal pairs"])
@pytest.mark.parametrize("sizes", [(3, 2, 200, 150, 40, 24), (33, 4, 9, 9, 8, 8)], ids=["large", "small"])
def test_any_number_of_threads_gives_the_same_bits(kind: str, sizes: tuple[int, ...]) -> None:
    graph, data = one_op("f32", sizes, kind, 0.3, -1e9)
    found = []
    for threads in (1, 2, 3, 8):
        set_num_threads(threads)
        found.append([each.tobytes() for each in run_native(graph, data)])
    assert found.count(found[0]) == 4


# ----------------------------------------------------------------------------------------------------------------------
# Against the graph as it is written


def written(form: str, sizes: tuple[int, ...], dtype: str = "f32") -> tuple[Graph, list[Value]]:
    """Attention in smaller ops, and the values it is differentiated for."""
    batch, heads, rows, keys, depth = sizes
    graph = Graph("written")
    b = Builder(graph)
    q, k, v, dy = (
        b.input(name, TensorType(dtype, (batch, time, heads, depth)))
        for name, time in (("q", rows), ("k", keys), ("v", keys), ("dy", rows))
    )
    first = {"perm": (0, 2, 1, 3)}
    scores = b.matmul(b.transpose(q, **first), b.transpose(k, **first), transpose_b=True)
    if "scale" in form:
        scores = b.mul(scores, 0.5)
    pairs = scores.shape
    ge = b.ge(*(b.iota(shape=(rows, keys), axis=axis, dtype="i32") for axis in (0, 1)))
    by_key = b.input("by_key", TensorType("bool", (batch, 1, keys)))
    by_head = b.input("by_head", TensorType("bool", (heads, rows, keys)))
    masks = {
        "causal": lambda: b.broadcast_to(ge, shape=pairs),
        "padded": lambda: b.broadcast_to(
            b.reshape(b.logical_and(by_key, ge), shape=(batch, 1, rows, keys)), shape=pairs
        ),
        # An axis in front that is as long as the one it is put before.
        "heads": lambda: b.broadcast_to(b.logical_and(by_head, ge), shape=pairs),
    }
    mask = next((make() for name, make in masks.items() if name in form), None)
    fill = -np.inf if "infinite" in form else -1e9
    if mask is not None:
        scores = b.sub(scores, 0.0) if "shifted" in form else scores
        other: Any = b.sub(scores, 1e9) if "lowered" in form else fill
        scores = b.select(mask, scores, other)
    weights = b.softmax(scores, axis=3)
    if "dropout" in form:
        drawn = b.random_uniform(literal(7, "i64"), literal(3, "i64"), shape=pairs, stream=1)
        weights = b.select(b.ge(drawn, 0.25), b.mul(weights, 1 / 0.75), 0.0)
    y = b.transpose(b.matmul(weights, b.transpose(v, **first)), **first)
    graph.outputs = [y, b.sum(b.mul(y, dy), axes=(0, 1, 2, 3))]
    return graph, [q, k, v]


def both_ways(form: str, sizes: tuple[int, ...], spoil: Callable[[dict[str, Array]], object] = id) -> list[list[Array]]:
    """Result and gradients of the fused and the unfused graph, natively."""
    found = []
    batch, heads, rows, keys, depth = sizes
    rng = np.random.default_rng(5)
    data = {name: rng.normal(size=(batch, time, heads, depth)).astype(np.float32) for name, time in
            (("q", rows), ("k", keys), ("v", keys), ("dy", rows))}  # fmt: skip
    data["by_key"] = rng.random((batch, 1, keys)) < 0.7
    data["by_head"] = rng.random((heads, rows, keys)) < 0.7
    spoil(data)
    for fused in (True, False):
        graph, wrt = written(form, sizes)
        if fused:
            run_passes(graph, [FuseAttention()])
        assert any(node.op.name == "attention" for node in graph.nodes) == fused
        grads = append_gradients(graph, graph.outputs[1], wrt)
        graph.outputs = [graph.outputs[0], *(grad for grad in grads if grad is not None)]
        found.append(run_native(graph, data))
    return found


FORMS = (
    "",
    "scale",
    "causal",
    "padded scale",
    "heads scale",
    "padded lowered",
    "padded dropout",
    "dropout",
    "heads infinite",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sizes", [(3, 3, 7, 7, 4), (2, 2, 130, 130, 16), (4, 4, 66, 20, 5), (3, 2, 1, 9, 8)], ids=str)
def test_fused_and_unfused_agree(form: str, sizes: tuple[int, ...]) -> None:
    def visible(data: dict[str, Array]) -> None:
        if "infinite" in form:  # a row without a key would be NaN
            data["by_head"][:, :, 0] = True

    for fused, unfused in zip(*both_ways(form, sizes, visible), strict=True):
        np.testing.assert_allclose(fused, unfused, atol=2e-5 * max(1.0, float(np.abs(unfused).max())))


@pytest.mark.parametrize("form", ["padded", "padded lowered", "padded scale dropout"])
def test_rows_without_a_key_are_as_in_the_unfused_graph(form: str) -> None:
    def hide(data: dict[str, Array]) -> None:
        data["by_key"][0] = False
        data["by_key"][1, :, :40] = False

    for fused, unfused in zip(*both_ways(form, (2, 2, 100, 100, 8), hide), strict=True):
        np.testing.assert_allclose(fused, unfused, atol=2e-5 * max(1.0, float(np.abs(unfused).max())))


@pytest.mark.parametrize("form", ["", "scale", "dropout"])
@pytest.mark.parametrize("where", ["q", "k", "v", "dy"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_kept(form: str, where: str, number: float) -> None:
    def spoil(data: dict[str, Array]) -> None:
        data[where][1, 70, 0, 3] = number

    for fused, unfused in zip(*both_ways(form, (2, 2, 100, 100, 8), spoil), strict=True):
        if (form, where) == ("dropout", "v"):
            # The gradient's sum over keys is taken from the result, which such a value spoils in every row.
            assert not (np.isfinite(fused) & ~np.isfinite(unfused)).any()
        else:
            assert np.isfinite(fused).tolist() == np.isfinite(unfused).tolist()
        finite = np.isfinite(fused)
        np.testing.assert_allclose(fused[finite], unfused[finite], atol=1e-4)


def test_all_scores_infinite_is_nan() -> None:
    def hide(data: dict[str, Array]) -> None:
        data["by_head"][...] = False

    fused, unfused = both_ways("heads infinite", (2, 2, 70, 70, 8), hide)
    assert np.isnan(fused[0]).all() and np.isnan(unfused[0]).all()


# ----------------------------------------------------------------------------------------------------------------------
# Layers

TIME = 37


def model_of(layer: Callable[[Any, Any], Any]) -> Any:
    x, mask = keras.Input((TIME, 12), name="x"), keras.Input((TIME,), dtype="bool", name="seen")
    return keras.Model([x, mask], layers.Dense(1)(layer(layers.Dense(12)(x), mask)))


LAYERS: dict[str, Callable[[Any, Any], Any]] = {
    "heads": lambda x, mask: layers.MultiHeadAttention(3, 8)(x, x),
    "heads, dropout, causal, padded": lambda x, mask: layers.MultiHeadAttention(3, 8, dropout=0.2)(
        x, x, value_mask=mask, use_causal_mask=True
    ),
    "heads, window": lambda x, mask: layers.MultiHeadAttention(3, 8, sliding_window=4)(x, x, use_causal_mask=True),
    "one head": lambda x, mask: layers.MultiHeadAttention(1, 8, value_dim=5)(x, x),
    "groups": lambda x, mask: layers.GroupQueryAttention(8, 4, 2)(x, x, use_causal_mask=True),
    "groups, dropout": lambda x, mask: layers.GroupQueryAttention(8, 4, 2, dropout=0.2)(x, x, value_mask=mask),
    "Luong": lambda x, mask: layers.Attention(use_scale=True, dropout=0.2)([x, x], mask=[mask, mask]),
    "Luong, causal": lambda x, mask: layers.Attention()([x, x], use_causal_mask=True),
}


def trained(model: Any) -> tuple[Any, list[float]]:
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(3)
    trainer = model.compile(keras.optimizers.SGD(0.1), "mse")
    x, seen = rng.normal(size=(4, TIME, 12)).astype(np.float32), rng.random((4, TIME)) < 0.8
    y = rng.normal(size=(4, TIME, 1)).astype(np.float32)
    history = model.fit([x, seen], y, epochs=4, batch_size=4, verbose=0).history["loss"]
    return trainer, history


@pytest.mark.parametrize("name", LAYERS)
def test_layers_store_no_scores_and_learn_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, shapes = [], []
    for choice in ("auto", "unfused"):
        monkeypatch.setenv("KGRAPH_ATTENTION", choice)
        keras.utils.set_random_seed(1)
        trainer, history = trained(model_of(LAYERS[name]))
        losses.append(history)
        shapes.append(f"{TIME}, {TIME}]" in trainer.memory())
        assert (" attention(" in str(trainer.ir("grad"))) == (choice == "auto")
        assert ("attention_grad" in trainer.explain()) == (choice == "auto")
    assert shapes == [False, True], "scores of all pairs in memory: fused, unfused"
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-5)


def test_scores_that_are_asked_for_stay() -> None:
    def both(x: Any, mask: Any) -> Any:
        heads, scores = layers.MultiHeadAttention(3, 8)(x, x, return_attention_scores=True)
        return layers.Concatenate()([heads, layers.Reshape((TIME, 3 * TIME))(scores)])

    trainer, _ = trained(model_of(both))
    assert " attention(" not in str(trainer.ir("grad"))
