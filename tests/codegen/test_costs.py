"""Costs of kernels: every op has a rule, and the numbers are those one gets by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kgraph as keras
from kgraph import layers
from kgraph.codegen.costs import RULES, Cost, kernel_costs, op_cost
from kgraph.ir import OPS, parse

B = 6


def test_every_op_has_a_rule() -> None:
    assert set(RULES) == set(OPS)


# Operands, the node, operations and special functions for B = 6.
NODES = [
    ("%x: f32[B, 4]", "f32[B, 4] = add(%x, 1.0)", 24, 0),
    ("%x: i32[B, 4]", "i32[B, 4] = add(%x, 1)", 0, 0),
    ("%x: f32[B, 4]", "bool[B, 4] = gt(%x, 0.0)", 24, 0),
    ("%x: f32[B, 4]", "f32[B, 4] = exp(%x)", 0, 24),
    ("%x: f32[B, 4]", "f32[4, B] = transpose(%x) {perm = [1, 0]}", 0, 0),
    ("%x: f32[B, 4]", "f32[B] = sum(%x) {axes = [1]}", 18, 0),
    ("%x: f32[B, 4]", "i32[B] = argmax(%x) {axis = 1}", 18, 0),
    ("%x: f32[B, 4]", "f32[B, 4] = cumsum(%x) {axis = 1}", 24, 0),
    ("%x: f32[B, 8]", "i32[B, 8] = argsort(%x)", 6 * 8 * 3, 0),
    # max: 3 a row, sub 4, exp 4, sum 3, div 4
    ("%x: f32[B, 4]", "f32[B, 4] = softmax(%x) {axis = 1}", 6 * 14, 24),
    ("%x: f32[B, 4]", "f32[B, 4] = log_softmax(%x) {axis = 1}", 6 * 14, 24 + 6),
    # 6 * 3 * 2 * 4 pairs; products over 5 and 7 features
    (
        "%q: f32[B, 3, 2, 5], %k: f32[B, 4, 2, 5], %v: f32[B, 4, 2, 7]",
        "f32[B, 3, 2, 7], %1: f32[B, 2, 3], %2: f32[B, 2, 3] = attention(%q, %k, %v, true, 0.0, 1.0)",
        144 * (2 * 5 + 2 * 7 + 4),
        144,
    ),
    (
        "%q: f32[B, 3, 2, 5], %k: f32[B, 4, 2, 5], %v: f32[B, 4, 2, 7], %y: f32[B, 3, 2, 7], %t: f32[B, 2, 3]",
        "f32[B, 3, 2, 5], %1: f32[B, 4, 2, 5], %2: f32[B, 4, 2, 7] = "
        "attention_grad(%q, %k, %v, true, 0.0, 1.0, %y, %t, %t, %y)",
        144 * (6 * 5 + 4 * 7 + 5),
        144,
    ),
    ("%x: f32[B, 4], %y: f32[4, 5]", "f32[B, 5] = matmul(%x, %y)", 2 * 6 * 4 * 5, 0),
    ("%x: f32[4, B], %y: f32[5, 4]", "f32[B, 5] = matmul(%x, %y) {transpose_a = true, transpose_b = true}", 240, 0),
    ("%x: f32[3, B, 4], %y: f32[3, 4, 5]", "f32[3, B, 5] = matmul(%x, %y)", 3 * 240, 0),
    ("%x: f32[B, 8, 8, 4], %y: f32[3, 3, 4, 5]", "f32[B, 6, 6, 5] = conv2d(%x, %y)", 2 * 6 * 36 * 5 * 9 * 4, 0),
    (
        "%x: f32[B, 8, 8, 4], %y: f32[3, 3, 1, 8]",
        "f32[B, 6, 6, 8] = conv2d(%x, %y) {groups = 4}",
        2 * 6 * 36 * 8 * 9,
        0,
    ),
    (
        "%x: f32[B, 8, 8, 4], %y: f32[B, 6, 6, 5]",
        "f32[3, 3, 4, 5] = conv2d_kernel_grad(%x, %y) {kernel_shape = [3, 3, 4, 5]}",
        2 * 6 * 36 * 5 * 9 * 4,
        0,
    ),
    ("%x: f32[B, 8, 8, 4]", "f32[B, 4, 4, 4] = max_pool(%x) {strides = [2, 2], window = [2, 2]}", 6 * 64 * 3, 0),
    ("%x: i32[B], %y: f32[B, 4]", "f32[9, 4] = scatter_add(%x, %y) {rows = 9}", 24, 0),
    ("%x: f32[9, 4], %y: i32[B]", "f32[B, 4] = gather(%x, %y)", 0, 0),
    ("%x: i64[], %y: i64[]", "f32[B, 4] = random_uniform(%x, %y) {shape = [B, 4], stream = 0}", 0, 24),
]


@pytest.mark.parametrize(("operands", "node", "flops", "special"), NODES, ids=[node for _, node, _, _ in NODES])
def test_one_op(operands: str, node: str, flops: int, special: int) -> None:
    kind = node.split(" = ")[0].split(", %")[0]
    graph = parse(
        f"kgraph 1\ngraph @one [B >= 1] {{\n  inputs  {operands}, %size: f32[B]\n  %0: {node}\n  return %0\n}}\n"
    )
    assert str(graph.nodes[0].results[0].type) == kind
    assert op_cost(graph.nodes[0], {"B": B}) == Cost(flops, special)


def costs(model: Any, batch: int, mode: str = "predict", **arguments: Any) -> list[tuple[str, Cost]]:
    trainer = model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    schedule = trainer.ir("schedule", mode)
    return [(k.node.attrs["family"], k.cost) for k in kernel_costs(schedule, {"B": batch})]


def total(found: list[tuple[str, Cost]], *families: str) -> Cost:
    return sum((cost for family, cost in found if not families or family in families), Cost())


def dense() -> Any:
    return keras.Sequential([keras.Input((8,)), layers.Dense(5, activation="relu")])


def test_dense() -> None:
    """Product, bias and relu; x, kernel and bias are read, the result is written."""
    assert costs(dense(), B) == [("gemm", Cost(2 * B * 8 * 5 + 2 * B * 5, 0, 4 * (B * 8 + 8 * 5 + 5), 4 * B * 5))]


def test_dense_training() -> None:
    """Forward, and the gradient of the kernel; none for x."""
    products = [cost for family, cost in costs(dense(), B, "train") if family == "gemm"]
    assert len(products) == 2
    assert 2 * (2 * B * 8 * 5) <= total([("gemm", cost) for cost in products]).flops < 2 * (2 * B * 8 * 5) + 20 * B * 5


def test_conv() -> None:
    """With the bias; a padded image is written and read again, unless the padding is none."""
    model = keras.Sequential([keras.Input((9, 9, 3)), layers.Conv2D(4, 3)])
    out = B * 7 * 7 * 4
    assert costs(model, B) == [
        ("conv", Cost(2 * out * 27 + out, 0, 4 * (B * 81 * 3 + 9 * 3 * 4 + 4), 4 * out)),
    ]


def test_lstm() -> None:
    """A scan counts as often as it turns: products of the states, and five functions and four operations an element."""
    steps, width, units = 7, 3, 5
    model = keras.Sequential([keras.Input((steps, width)), layers.LSTM(units)])
    found = costs(model, B)
    inputs, states = 2 * B * steps * width * 4 * units, steps * 2 * B * units * 4 * units
    biases = 2 * B * steps * 4 * units  # to the inputs, and where both are added
    assert total(found, "gemm").flops == inputs + states + biases
    assert total(found, "map").flops == steps * 4 * B * units
    assert total(found).special == steps * 5 * B * units


def test_attention() -> None:
    """Three projections, scores, their softmax, their product with the values, and the projection of the result."""
    steps, width, heads, size = 7, 6, 2, 4
    x = keras.Input((steps, width))
    model = keras.Model(x, layers.MultiHeadAttention(heads, size, use_bias=False)(x, x))
    found = costs(model, B)
    projections = 4 * 2 * B * steps * width * heads * size
    pairs = B * heads * steps * steps
    scaled = B * steps * heads * size
    assert total(found, "gemm").flops == projections + scaled
    assert total(found, "attention").flops == pairs * (2 * 2 * size + 4)
    assert total(found).special == pairs
    assert total(found, "attention").written == 4 * B * heads * steps * size  # what only a gradient reads is not


def test_rows_of_a_table() -> None:
    """Of an embedding only the rows asked for are read, and by SGD only these are written."""
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(1000, 16)])
    rows = 4 * B * 3 * 16
    (lookup,) = costs(model, B)
    assert lookup == ("map", Cost(0, 0, rows + 4 * B * 3, rows))
    train = costs(model, B, "train")
    whole = 4 * 1000 * 16
    assert total(train).written < whole and total(train).read < whole and total(train).flops < 1000 * 16
    (scatter,) = [cost for family, cost in train if family == "scatter"]
    assert scatter.written == rows + 1000  # and a flag for each row
    # Adam lets the moments of all rows decay.
    adam = costs(model, B, "train", optimizer="adam")
    assert total(adam).written > 3 * whole


def test_slices_count_themselves() -> None:
    graph = parse(
        "kgraph 1\ngraph @one [B >= 1] stage(schedule) {\n  inputs  %x: f32[B, 100]\n"
        "  %0: f32[B, 2] = kernel(%x) {family = map, name = cut} body(%1: f32[B, 100]) {\n"
        "    %2: f32[B, 2] = slice(%1) {limits = [B, 2], starts = [0, 0]}\n    return %2\n  }\n  return %0\n}\n"
    )
    (cut,) = kernel_costs(graph, {"B": B})
    assert cut.cost == Cost(0, 0, 4 * B * 2, 4 * B * 2)


def test_sums_of_costs() -> None:
    cost = Cost(1, 2, 3, 4) + Cost(10, 20, 30, 40) * 2
    assert cost == Cost(21, 42, 63, 84)
    assert (cost.bytes, cost.work) == (147, 21 + 16 * 42)


# -- launches and clocks ----------------------------------------------------------------------------------------------
def recurrent() -> tuple[Any, Any]:
    model = keras.Sequential([keras.Input((7, 3)), layers.LSTM(5, name="rnn"), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.predict(np.zeros((B, 7, 3), "float32"), verbose=0)
    ((_, step),) = model.trainer._steps.values()
    return step, step.bind({"B": B})


def test_launches() -> None:
    _, executable = recurrent()
    found = [(one.node.attrs["name"], one.turns, one.loop is not None) for one in executable.launches()]
    assert ("rnn_matmul_add", 1, False) in found and ("rnn_matmul_add", 7, True) in found
    product = executable.launches()[0]
    assert product.variant == "gemm 42x20" and product.tasks == 1 and product.threads == 1


def test_clock() -> None:
    """Results are the same bit for bit; a stopped clock stands, and a new one begins at zero."""
    _, executable = recurrent()
    x = np.random.default_rng(0).normal(size=(3 * B, 7, 3)).astype("float32")
    (name,) = [value.name for value in executable.graph.inputs]
    kept = [np.empty((3 * B, 2), "float32") for _ in range(3)]

    def run(sink: Any) -> None:
        executable.run_steps({name: x}, None, 0, 3, [sink])

    run(kept[0])
    clock = executable.time_kernels()
    run(kept[1])
    times = clock.kernels()
    for launch in executable.launches():
        assert times[launch.node].calls == 3 * launch.turns
        assert 0 < times[launch.node].ns < 1e9
    clock.stop()
    run(kept[2])
    assert clock.kernels() == times
    np.testing.assert_array_equal(kept[0], kept[1])
    np.testing.assert_array_equal(kept[0], kept[2])
    again = executable.time_kernels()
    clock.stop()  # is not the one that runs
    run(kept[1])
    assert [time.calls for time in again.kernels().values()] == [time.calls for time in times.values()]
    again.stop()
    assert executable._table.schedule.timings is None


def test_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured once, kept beside the kernels, read again by another process."""
    from kgraph.codegen.cpu import ceilings

    step, _ = recurrent()
    first = step.program.ceilings()
    assert first is step.program.ceilings()
    monkeypatch.setattr(ceilings, "_known", {})
    monkeypatch.setattr(ceilings, "_measured", refused)
    assert step.program.ceilings() == first
    speeds = [speed for _, speed in first.bandwidth[1]]
    assert speeds == sorted(speeds, reverse=True) and speeds[-1] > 1e8 and first.flops[1] > 1e8
    assert first.cpu in str(first) and "1 thread: " in str(first)


def refused(threads: int) -> Any:
    raise AssertionError("measured twice")


@pytest.mark.parametrize(
    ("cost", "threads", "wide", "seconds"),
    [
        (Cost(flops=1000), 1, False, 1000 / 100),
        (Cost(flops=1000), 1, True, 2 * 1000 / 100),
        (Cost(flops=1000), 3, False, 1000 / 100),  # fewer than 4 threads: what one does
        (Cost(flops=1000), 4, False, 1000 / 400),
        (Cost(special=10), 1, False, 160 / 100),
        (Cost(read=60, written=40), 1, False, 100 / 8),
        (Cost(read=1000), 1, False, 1000 / 4),
        (Cost(flops=1000, read=1000), 1, False, 250),
    ],
)
def test_roofline(cost: Cost, threads: int, wide: bool, seconds: float) -> None:
    from kgraph.codegen.launches import Ceilings

    bandwidth = ((50, 8.0), (500, 4.0))
    machine = Ceilings("any", {1: 100.0, 4: 400.0}, {1: bandwidth, 4: bandwidth})
    assert machine.seconds(cost, 1, threads, wide=wide) == seconds


def test_working_set_is_that_of_a_call() -> None:
    from kgraph.codegen.launches import Ceilings

    machine = Ceilings("any", {1: 100.0}, {1: ((50, 8.0), (500, 4.0))})
    assert machine.seconds(Cost(read=1000), 10, 1) == 1000 / 8


def test_measured_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    from kgraph.cli import main

    assert main(["info", "--measure"]) == 0
    assert "GFLOP/s; " in capsys.readouterr().out
