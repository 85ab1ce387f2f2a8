"""The runner around passes, the rewriter, the pipeline text."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import pytest

from kgraph.errors import InternalError, InvalidArgumentError, UnknownNameError, UnsupportedError, VerifyError
from kgraph.ir import Graph, Node, TensorType, parse, verify
from kgraph.ir.passes import (
    BEFORE_GRADIENTS,
    OPTIMIZE,
    PASSES,
    FileDump,
    Pass,
    PassContext,
    Pattern,
    Rewriter,
    parse_pipeline,
    pipeline_text,
    rewrite,
    run_passes,
)
from kgraph.ir.passes.cleanup import CommonSubexpressions, DeadCode, FoldConstants
from kgraph.ir.passes.simplify import Simplify
from kgraph.ir.verifier import verify_graph

TEXT = """\
kgraph 1
graph @g [B >= 1] {
  inputs  %x: f32[B, 4]
  %0: f32[B, 4] = add(%x, 0.0)   loc("m.py":1, "a")
  %1: f32[B, 4] = exp(%0)   loc("m.py":2, "b")
  %2: f32[B, 4] = exp(%x)
  %3: f32[B, 4] = sub(%1, %2)
  return %3
}"""


@dataclass(frozen=True)
class Breaks(Pass):
    name: ClassVar[str] = "breaks"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        graph.nodes[0].results[0].type = TensorType("f32", (1,))
        return True


@dataclass(frozen=True)
class Raises(Pass):
    name: ClassVar[str] = "raises"
    user: bool = False

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if self.user:
            raise UnsupportedError("op sort has no derivative")
        raise KeyError("oops")


@dataclass(frozen=True)
class Declines(Pass):
    name: ClassVar[str] = "declines"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        ctx.decline("not fused: %0 has 2 users")
        return False


# -- runner ---------------------------------------------------------------------------------------------------------
def test_run_reports_dumps_and_times() -> None:
    graph = parse(TEXT)
    dumped: list[tuple[str, str]] = []
    ctx = PassContext(verify=True, dump=lambda stage, text: dumped.append((stage, text)))
    passes = [Simplify(), CommonSubexpressions(), DeadCode(), Declines()]
    assert run_passes(graph, passes, ctx)
    assert [stage for stage, _ in dumped] == ["simplify", "cse"]
    assert dumped[-1][1] == str(graph)
    assert [name for name, _ in ctx.timings] == ["simplify", "cse", "dce", "declines"]
    assert ctx.explain() == "declines: not fused: %0 has 2 users"
    assert not run_passes(graph, passes, PassContext(verify=True))


def test_locations_are_copied() -> None:
    graph = parse(TEXT.replace("add(%x, 0.0)", "div(%x, 4.0)"))
    run_passes(graph, [Simplify()])
    assert (graph.nodes[0].op.name, graph.nodes[0].loc.layer) == ("mul", "a")


@pytest.mark.parametrize(("bad", "message"), [(Breaks(), "results of the wrong type"), (Raises(), "KeyError: 'oops'")])
def test_failure_names_passes_and_leaves_a_reproducer(bad: Pass, message: str) -> None:
    graph = parse(TEXT)
    before = str(graph)
    with pytest.raises(InternalError) as caught:
        run_passes(graph, [CommonSubexpressions(), Simplify(), bad, DeadCode()], PassContext(verify=True))
    error = caught.value
    assert f"the pass {bad.name} failed" in error.message
    assert message in error.message
    assert error.got == "after cse,simplify"
    path = Path(error.fix.split()[-1])
    text = path.read_text()
    path.unlink()
    assert f"// pipeline: cse,simplify,{bad.name}\n" in text
    assert str(parse(text)) == before


def test_mistakes_of_the_user_pass_through() -> None:
    with pytest.raises(UnsupportedError, match="sort"):
        run_passes(parse(TEXT), [Raises(user=True)], PassContext(verify=True))


def test_an_invalid_graph_is_refused_before_the_first_pass() -> None:
    graph = parse(TEXT)
    Breaks().run(graph, PassContext())
    with pytest.raises(VerifyError):
        run_passes(graph, [DeadCode()], PassContext(verify=True))


def test_file_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = parse(TEXT)
    directory = tmp_path / "new"
    run_passes(graph, [Simplify(), CommonSubexpressions(), DeadCode()], PassContext(dump=FileDump(str(directory))))
    assert [path.name for path in sorted(directory.iterdir())] == ["00-simplify.kg", "01-cse.kg"]
    assert str(parse((directory / "01-cse.kg").read_text())) == str(graph)
    FileDump("-")("graph", "text")
    assert capsys.readouterr().out == "// 00-graph.kg\ntext\n"


def test_the_snapshot_is_freed() -> None:
    graph = parse(TEXT)
    node = graph.nodes[0]
    run_passes(graph, [Declines()])
    assert list(node.operands[1].uses) == [node]


# -- pipelines ------------------------------------------------------------------------------------------------------
def test_pipeline_text_reads_back() -> None:
    for passes in (BEFORE_GRADIENTS, OPTIMIZE, [FoldConstants(max_elements=7), Simplify(sink_reshapes=False)]):
        assert parse_pipeline(pipeline_text(passes)) == list(passes)
    assert pipeline_text(parse_pipeline(" cse , fold{max-elements=3},dce ")) == "cse,fold{max-elements=3},dce"
    assert parse_pipeline("") == []
    assert {each.name for each in [*BEFORE_GRADIENTS, *OPTIMIZE]} <= {each.name for each in PASSES}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("cze", UnknownNameError, "unknown pass 'cze'"),
        ("cse,", InvalidArgumentError, "not a pipeline"),
        ("cse dce", InvalidArgumentError, "a comma between passes"),
        ("fold{max-element=3}", UnknownNameError, "unknown option of pass fold 'max-element'"),
        ("fold{max-elements=x}", InvalidArgumentError, "max-elements cannot be 'x'"),
        ("fold{max-elements}", InvalidArgumentError, "not an option"),
        ("simplify{sink-reshapes=1}", InvalidArgumentError, "sink-reshapes cannot be '1'"),
        ("cse{a=1}", UnknownNameError, "it has no options"),
    ],
)
def test_wrong_pipelines(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_pipeline(text)


# -- rewriter -------------------------------------------------------------------------------------------------------
def test_new_nodes_are_rewritten_in_their_turn() -> None:
    graph = parse("kgraph 1 graph @g { inputs %x: f32[3] %y: f32[3] = sigmoid(%x) %0: f32[3] = exp(%y) return %0, %y }")

    def sigmoid(node: Node, r: Rewriter) -> bool:
        return r.replace(node, r.div(1.0, r.add(r.exp(r.neg(node.operands[0])), 1.0)))

    def exp(node: Node, r: Rewriter) -> bool:
        return r.replace(node, r.pow(2.5, node.operands[0]))

    assert rewrite(graph, [Pattern(("sigmoid",), sigmoid), Pattern(("exp",), exp)], PassContext())
    verify(graph)
    assert [node.op.name for node in graph.nodes] == ["neg", "pow", "add", "div", "pow"]
    assert graph.outputs[1].name == "y"  # the user's name moves to what stands for it


def test_what_was_only_there_for_a_replaced_node_goes_too() -> None:
    graph = parse(
        "kgraph 1 graph @g { inputs %x: f32[3] %0: f32[3] = exp(%x) %1: f32[3] = log(%0) "
        "%2: f32[3] = neg(%1) return %2 }"
    )
    pattern = Pattern(("neg",), lambda node, r: r.replace(node, r.graph.inputs[0]))
    assert rewrite(graph, [pattern], PassContext())
    verify(graph)
    assert not graph.nodes
    assert graph.outputs == graph.inputs


def test_a_literal_that_becomes_an_output_is_a_constant() -> None:
    graph = parse("kgraph 1 graph @g { params %p: f32[] %0: f32[] = sub(2.0, 1.5) return %0 update %p = %0 }")
    run_passes(graph, [Simplify(), FoldConstants()], PassContext(verify=True))
    assert str(graph).split("\n")[3:-1] == [
        "  %0: f32[] = constant() {value = dense<f32[], 0.5>}",
        "  return %0",
        "  update %p = %0",
    ]


def test_a_rewrite_must_keep_the_type() -> None:
    graph = parse("kgraph 1 graph @g { inputs %x: f32[3] %0: f32[] = sum(%x) {axes = [0]} return %0 }")
    with pytest.raises(InternalError, match="changes its type"):
        rewrite(graph, [Pattern(("sum",), lambda node, r: r.replace(node, node.operands[0]))], PassContext())


def test_a_pattern_that_builds_must_match() -> None:
    graph = parse(TEXT)
    with pytest.raises(InternalError, match="made nodes and did not match"):
        rewrite(graph, [Pattern(("exp",), lambda node, r: r.neg(node.operands[0]) is None)], PassContext())


# -- cost -----------------------------------------------------------------------------------------------------------
def chain(length: int) -> Graph:
    """A graph in which most patterns look and every third node is rewritten."""
    steps = ["tanh({})", "mul({}, %y)", "add({}, 0.0)", "neg({})", "div({}, 4.0)", "reshape({}) {{shape = [B, 4]}}"]
    lines = ["kgraph 1", "graph @chain [B >= 1] {", "  inputs  %x: f32[B, 4], %y: f32[B, 4]"]
    last = "%x"
    for k in range(length):
        lines.append(f"  %{k}: f32[B, 4] = {steps[k % len(steps)].format(last)}")
        last = f"%{k}"
    return parse("\n".join([*lines, f"  return {last}", "}"]))


def seconds(length: int) -> float:
    best = float("inf")
    for _ in range(3):
        graph = chain(length)
        start = perf_counter()
        str(graph)
        verify_graph(graph)
        run_passes(graph, [*BEFORE_GRADIENTS, *OPTIMIZE], PassContext(verify=False))
        best = min(best, perf_counter() - start)
    return best


def test_time_grows_with_the_number_of_nodes_and_no_faster() -> None:
    seconds(100)
    gc.collect()
    gc.disable()
    try:
        small, large = seconds(1000), seconds(10_000)
    finally:
        gc.enable()
    # A quadratic step would make this 10; the bound leaves room for caches and a busy machine.
    assert large / 10_000 <= 2.5 * small / 1000
    assert large < 10.0


def test_insertion_in_front_is_not_quadratic() -> None:
    length = 10_000
    lines = ["kgraph 1 graph @g { inputs %x: f32[2]", *(f"%{k}: f32[2] = exp(%x)" for k in range(length)), "return }"]
    graph = parse("\n".join(lines))
    start = perf_counter()
    assert rewrite(
        graph, [Pattern(("exp",), lambda node, r: r.replace(node, r.tanh(r.neg(node.operands[0]))))], PassContext()
    )
    assert perf_counter() - start < 5.0
    assert len(graph.nodes) == 2 * length
