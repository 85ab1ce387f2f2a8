"""What is fused with what: the kernels of small programs by family, and the schedule as a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from kgraph.codegen import compile
from kgraph.codegen.cpu.emit import kernels_of
from kgraph.codegen.schedule import ScheduleResult, explain_boundaries, schedule_graph
from kgraph.ir import Builder, Graph, Value, parse
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes import OPTIMIZE, run_passes
from kgraph.ir.verifier import verify_graph
from tests.numeric.models import MODELS
from tests.numeric.sheet import Sheet, integers, scan


def scheduled(graph: Graph) -> ScheduleResult:
    optimized = graph.copy()
    run_passes(optimized, OPTIMIZE)
    return schedule_graph(optimized)


def families(graph: Graph) -> list[str]:
    return [node.attrs["family"] for node in kernels_of(scheduled(graph).graph)]


# -- what must be one kernel ------------------------------------------------------------------------------------------
def test_dense_layer_is_one_product() -> None:
    s = Sheet("dense")
    s.out("y", s.b.relu(s.b.add(s.b.matmul(s.input("f32[B, 8]"), s.param("f32[8, 4]")), s.param("f32[4]"))))
    assert families(s.graph) == ["gemm"]


def test_convolution_with_batch_norm_and_relu_is_one_kernel_after_padding() -> None:
    s = Sheet("conv")
    y = s.b.conv2d(s.input("f32[B, 6, 6, 3]"), s.param("f32[3, 3, 3, 4]"), padding=((1, 1), (1, 1)))
    y = s.b.relu(s.b.add(s.b.mul(y, s.param("f32[4]")), s.param("f32[4]")))
    s.out("y", y)
    assert families(s.graph) == ["map", "conv"]


def test_gradient_of_a_strided_pointwise_convolution_multiplies_no_zeros() -> None:
    """The convolution comes before the zeros between its pixels, which join the elementwise work after it."""
    s = Sheet("pointwise")
    spread = s.b.pad(s.input("f32[B, 4, 3, 5]"), 0.0, low=(0, 0, 1, 0), high=(0, 1, 0, 0), interior=(0, 1, 2, 0))
    s.out("y", s.b.relu(s.b.conv2d(spread, s.param("f32[1, 1, 5, 6]"))), "sum")
    s.out(
        "three channels",
        s.b.conv2d(
            s.b.pad(s.input("f32[B, 4, 4, 3]"), 0.0, low=(0, 0, 0, 1), high=(0, 0, 0, 1), interior=(0, 1, 1, 0)),
            s.param("f32[1, 1, 5, 2]"),
        ),
        "sum",
    )
    graph = scheduled(s.graph).graph
    convolved = [node.results[0].shape[1:] for node in kernels_of(graph) if node.attrs["family"] == "conv"]
    assert convolved == [(4, 3, 6), (7, 7, 2)]
    s.check()


def test_pointwise_convolutions_with_strides_share_one_copy_of_the_pixels_they_read() -> None:
    s = Sheet("pointwise")
    x, dy = s.input("f32[B, 5, 7, 5]"), s.input("f32[B, 3, 3, 6]")
    for name in ("first", "second"):
        s.out(name, s.b.conv2d(x, s.param("f32[1, 1, 5, 6]"), strides=(2, 3)), "sum")
    s.out("gradient", s.b.conv2d_kernel_grad(x, dy, kernel_shape=(1, 1, 5, 6), strides=(2, 3)), "sum")
    s.out("padded", s.b.conv2d(x, s.param("f32[1, 1, 5, 2]"), strides=(2, 2), padding=((0, 1), (1, 0))), "sum")
    assert families(s.graph) == ["map", "conv", "conv", "conv_wgrad", "map", "conv"]
    s.check()


def test_softmax_cross_entropy_with_gradient_is_one_kernel_over_rows() -> None:
    assert families(MODELS["softmax_cross_entropy"]().graph) == ["rows"]


def test_layer_norm_is_one_kernel_over_rows() -> None:
    s = Sheet("norm")
    b, x = s.b, s.input("f32[B, 12]")
    centred = b.sub(x, b.mul(b.sum(x, axes=(1,), keepdims=True), 1 / 12))
    variance = b.mul(b.sum(b.mul(centred, centred), axes=(1,), keepdims=True), 1 / 12)
    s.out("y", b.add(b.mul(b.mul(centred, b.rsqrt(b.add(variance, 1e-3))), s.param("f32[12]")), s.param("f32[12]")))
    assert families(s.graph) == ["rows"]


def test_elementwise_chain_is_one_kernel() -> None:
    s = Sheet("chain")
    x = s.input("f32[B, 5]")
    for _ in range(10):
        x = s.b.tanh(s.b.add(s.b.mul(x, 0.5), 1.0))
    s.out("y", x)
    assert families(s.graph) == ["map"]


def test_dropout_is_one_kernel() -> None:
    s = Sheet("dropout")
    x, seed, step = s.input("f32[B, 5]"), s.param("i64[]", integers(0, 9)), s.param("i64[]", integers(0, 9))
    kept = s.b.ge(s.b.random_uniform(seed, step, shape=x.shape, stream=0), 0.5)
    s.out("y", s.b.select(kept, s.b.mul(x, 2.0), 0.0))
    assert families(s.graph) == ["map"]


def test_statistics_share_a_kernel_over_columns() -> None:
    s = Sheet("statistics")
    x = s.input("f32[B, 5]")
    s.out("sums", [s.b.sum(x, axes=(0,)), s.b.sum(s.b.mul(x, x), axes=(0,)), s.b.max(x, axes=(0,))])
    assert families(s.graph) == ["cols"]


def test_views_cost_no_kernel() -> None:
    s = Sheet("views")
    x = s.input("f32[B, 4, 6]")
    flat = s.b.reshape(
        s.b.transpose(s.b.slice(x, starts=(0, 0, 0), limits=(x.shape[0], 4, 3)), perm=(0, 2, 1)), shape=(x.shape[0], 12)
    )
    s.out("y", s.b.relu(flat))
    assert len(families(s.graph)) == 2  # the copy that the reshape needs, and what reads it


def test_train_step_of_an_mlp() -> None:
    """Two products forward, three backward, and nothing elementwise between them in kernels of its own."""
    schedule = scheduled(MODELS["mlp_train"]().graph).graph
    names = [node.attrs["name"] for node in kernels_of(schedule)]
    assert [name for name in names if "matmul" in name] == [
        "matmul_add_relu", "matmul_add", "gt_matmul_select", "matmul_mul_sub", "matmul_mul_sub_1"
    ]  # fmt: skip
    counts = Counter(node.attrs["family"] for node in kernels_of(schedule))
    # The scalar 1 / B, and one update for each bias; the loss, and one sum for each bias.
    assert counts == {"gemm": 5, "map": 1 + 2, "rows": 2, "cols": 2}


@pytest.mark.parametrize(("name", "count", "sources"), [("mlp_train", 4, 2), ("momentum_train", 5, 2)])
def test_equal_updates_share_one_source(name: str, count: int, sources: int) -> None:
    """Updates of biases of one shape share a kernel; kernels for other shapes share its source.  There is one source
    for updates after a product and one for the others.
    """
    program = compile(MODELS[name]().graph)
    schedule = program.stages["schedule"]
    targets = {value for _, value in schedule.updates}
    updates = [node for node in kernels_of(schedule) if targets & set(node.results)]
    assert len(updates) == count
    assert len({program.kernels[node].source for node in updates}) == sources  # type: ignore[attr-defined]


def test_loop_bodies_are_fused() -> None:
    s = Sheet("loop")
    h, x, u = s.input("f32[B, 4]"), s.input("f32[5, B, 4]"), s.param("f32[4, 4]")

    def body(b: Builder, h: Value, x: Value, u: Value) -> tuple[list[Value], list[Value]]:
        new = b.tanh(b.add(b.matmul(h, u), x))
        return [new], [b.mul(new, 2.0)]

    s.out("y", scan(s.b, [h, x, u], body, 1, 1))
    inside = [node for node in scheduled(s.graph).graph.nodes if node.op.name == "scan"]
    assert [node.attrs["family"] for node in inside[0].regions[0].nodes] == ["gemm"]


# -- legality ---------------------------------------------------------------------------------------------------------
CASES: dict[str, Callable[[Sheet], None]] = {}


def case(write: Callable[[Sheet], None]) -> Callable[[Sheet], None]:
    CASES[write.__name__] = write
    return write


@case
def broadcast_of_a_sum_along_the_other_axis(s: Sheet) -> None:
    x = s.input("f32[4, 4]")
    s.out("y", s.b.sub(x, s.b.sum(x, axes=(1,))), "sum")
    s.out("z", s.b.sub(x, s.b.transpose(s.b.sum(x, axes=(1,), keepdims=True), perm=(1, 0))), "sum")


@case
def transposed_operand_of_its_own_shape(s: Sheet) -> None:
    x = s.b.exp(s.input("f32[B, B]"))
    s.out("y", s.b.sub(x, s.b.transpose(x, perm=(1, 0))), "function")


@case
def epilogue_reads_the_product_transposed(s: Sheet) -> None:
    x = s.input("f32[4, 4]")
    y = s.b.matmul(x, x)
    s.out("y", s.b.add(y, s.b.transpose(y, perm=(1, 0))), "sum")


@case
def gathered_rows_of_a_computed_table(s: Sheet) -> None:
    x = s.b.exp(s.input("f32[4, 4]"))
    s.out("y", s.b.gather(x, s.input("i32[4]", integers(0, 4))), "function")


@case
def two_chains_that_need_each_other(s: Sheet) -> None:
    """a -> reduction -> b, where b also reads a: no cycle may form."""
    b, x = s.b, s.input("f32[B, 6]")
    a = b.exp(x)
    total = b.sum(a, axes=(0,))
    c = b.mul(a, total)
    d = b.sum(c, axes=(1,), keepdims=True)
    s.out("y", b.add(b.mul(c, d), b.matmul(a, b.matmul(a, c, transpose_a=True))), "model")


@case
def rows_then_columns_then_rows(s: Sheet) -> None:
    b, x = s.b, s.input("f32[B, 6]")
    for axes in ((1,), (0,), (1,), (0,)):
        x = b.sub(x, b.mul(b.max(x, axes=axes, keepdims=True), 0.5))
    s.out("y", x, "sum")


@pytest.mark.parametrize("name", CASES)
def test_fusion_is_legal(name: str) -> None:
    s = Sheet(name)
    CASES[name](s)
    s.check()


# -- updates after the product that gives their gradient ------------------------------------------------------------
def updating(name: str, write: Callable[[Sheet, Value, Value], Value]) -> Sheet:
    """A param f32[6, 6] with what `write` makes of (x, w) as its new value, w - 0.1 * gradient."""
    s = Sheet(name)
    x, w = s.input("f32[B, 6]"), s.param("f32[6, 6]")
    s.update(w, s.b.sub(w, s.b.mul(write(s, x, w), 0.1)))
    return s


def test_a_gradient_that_only_its_update_reads_is_not_stored() -> None:
    s = updating("stored nowhere", lambda s, x, w: s.b.matmul(x, x, transpose_a=True))
    program = compile(s.graph)
    assert [node.attrs["family"] for node in kernels_of(program.stages["schedule"])] == ["gemm"]
    assert "bytes, live" not in program.memory()  # the new weights are written over the old ones
    s.check()


IN_PLACE: dict[str, Callable[[Sheet, Value, Value], Value]] = {
    # What must not be written over while it is read.
    "of the param itself": lambda s, x, w: s.b.matmul(w, w),
    "of the param, turned": lambda s, x, w: s.b.matmul(w, w, transpose_a=True),
    "with the param turned": lambda s, x, w: s.b.add(s.b.matmul(x, x, transpose_a=True), s.b.transpose(w, perm=(1, 0))),
    "through the param": lambda s, x, w: s.b.matmul(x, s.b.matmul(x, w), transpose_a=True),
    "of two products": lambda s, x, w: s.b.add(s.b.matmul(x, x, transpose_a=True), s.b.matmul(w, w)),
    "of a product and a sum over it": lambda s, x, w: s.b.sub(
        s.b.matmul(x, x, transpose_a=True), s.b.sum(s.b.matmul(x, x, transpose_a=True), axes=(0,))
    ),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_params_are_updated_with_what_they_were(name: str) -> None:
    updating(name, IN_PLACE[name]).check()


def test_a_param_that_is_read_after_its_gradient_is_updated_later() -> None:
    s = Sheet("read later")
    b, x, w = s.b, s.input("f32[B, 6]"), s.param("f32[6, 6]")
    s.update(w, b.sub(w, b.matmul(x, x, transpose_a=True)))
    s.out("y", b.matmul(x, w), "sum")
    assert families(s.graph) == ["gemm", "map", "gemm"]
    s.check()


# -- the schedule is a graph -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", MODELS)
def test_schedule_prints_parses_and_runs(name: str) -> None:
    made = MODELS[name]()
    schedule = scheduled(made.graph).graph
    verify_graph(schedule, "schedule")
    text = str(schedule)
    again = parse(text)
    assert str(again) == text
    dims = {symbol: size for symbol, size in {"B": 3, "T": 4}.items() if symbol in made.graph.symbols}
    arrays = made.arrays(dims)
    inputs, params = ({v.name: arrays[v.name] for v in values} for values in (made.graph.inputs, made.graph.params))
    expected, got = interpret(made.graph, inputs, params, dims), interpret(again, inputs, params, dims)
    assert list(expected.updates) == list(got.updates)
    for a, b in zip(
        [*expected.outputs, *expected.updates.values()], [*got.outputs, *got.updates.values()], strict=True
    ):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=2e-5 * max(1.0, np.abs(a).max(initial=0.0)))


@pytest.mark.parametrize("name", MODELS)
def test_every_op_runs_in_exactly_the_kernels_that_need_it(name: str) -> None:
    """Nothing dead in a kernel, no kernel without a reader."""
    schedule = scheduled(MODELS[name]().graph).graph
    required = set(schedule.required())
    for node in schedule.nodes:
        assert any(value.uses or value in required for value in node.results), f"{node.op.name} is never read"
    for node in kernels_of(schedule):
        region = node.regions[0]
        assert len(region.outputs) == len(node.results)
        wanted = set(region.outputs)
        for inner in region.nodes:
            assert any(value.uses or value in wanted for value in inner.results)
        assert all(value.uses or value in wanted for value in region.inputs)


def test_boundaries_give_reasons() -> None:
    result = scheduled(MODELS["mlp_train"]().graph)
    assert result.boundaries
    text = explain_boundaries(result.boundaries)
    for boundary in result.boundaries:
        assert boundary.reason
        assert boundary.value in text and boundary.reason in text


def test_scheduling_leaves_its_argument_alone() -> None:
    graph = MODELS["conv_train"]().graph.copy()
    run_passes(graph, OPTIMIZE)
    text = str(graph)
    schedule_graph(graph)
    assert str(graph) == text


@pytest.mark.parametrize("name", ["mlp_train", "lstm", "conv_batch_norm", "attention_train"])
def test_golden_schedule(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"schedule/{name}.kg", str(scheduled(MODELS[name]().graph).graph))
