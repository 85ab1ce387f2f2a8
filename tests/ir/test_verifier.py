"""Each rule of the IR, broken once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kgraph.errors import InvalidArgumentError, VerifyError
from kgraph.ir import Graph, Node, TensorType, Value, parse, verify
from kgraph.ir.opdef import OpDef
from kgraph.ir.verifier import STAGES, verify_graph

TEXT = """\
kgraph 1
graph @g [B >= 1] {
  inputs  %x: f32[B, 4], %y: f32[4]
  params  %w: f32[4], %v: f32[4]
  %0: f32[B, 4] = add(%x, %y)
  %1: f32[B, 4] = exp(%0)
  %2: f32[B, 4] = scan(%1) {inits = 1, length = 3, sequences = 0} body(%h: f32[B, 4]) {
    %3: f32[B, 4] = tanh(%h)
    return %3
  }
  %4: f32[4] = mul(%w, 0.5)
  return %2, 1.0
  update %w = %4
}"""


def swap_nodes(g: Graph) -> None:
    g.nodes[0], g.nodes[1] = g.nodes[1], g.nodes[0]


def unknown_operand(g: Graph) -> None:
    g.nodes[1].set_operand(0, Value(TensorType("f32", g.inputs[0].shape), "ghost"))


def same_node_twice(g: Graph) -> None:
    g.nodes.append(g.nodes[0])


def wrong_type(g: Graph) -> None:
    g.nodes[0].results[0].type = TensorType("f32", (4, 4))


def wrong_attribute(g: Graph) -> None:
    g.nodes[1].attrs["axis"] = 1


def missing_attribute(g: Graph) -> None:
    del g.nodes[2].attrs["reverse"]


def required_attribute(g: Graph) -> None:
    del g.nodes[2].attrs["length"]


def lost_use(g: Graph) -> None:
    g.inputs[0].uses.clear()


def ghost_use(g: Graph) -> None:
    Node(g.nodes[1].op, [g.inputs[0]], {}, [g.inputs[0].type])


def wrong_count(g: Graph) -> None:
    g.inputs[0].uses[g.nodes[0]] = 2


def output_unknown(g: Graph) -> None:
    g.outputs = [Value(TensorType("f32"), "ghost")]


def update_of_input(g: Graph) -> None:
    g.updates = [(g.inputs[1], g.inputs[1])]


def update_twice(g: Graph) -> None:
    g.updates *= 2


def update_other_type(g: Graph) -> None:
    g.updates = [(g.params[0], g.inputs[0])]


def region_reads_outside(g: Graph) -> None:
    g.nodes[2].regions[0].nodes[0].set_operand(0, g.nodes[0].results[0])


def region_with_param(g: Graph) -> None:
    g.nodes[2].regions[0].add_param("p", TensorType("f32"))


def region_missing(g: Graph) -> None:
    g.nodes[2].regions = ()


def undeclared_size(g: Graph) -> None:
    g.symbols.clear()


def same_name(g: Graph) -> None:
    g.params[1].name = "w"


def input_of_node(g: Graph) -> None:
    g.inputs[0].producer = g.nodes[1]


def producer_lost(g: Graph) -> None:
    g.nodes[0].results[0].producer = None


def unknown_op(g: Graph) -> None:
    g.nodes[0].op = OpDef("gone", "", g.nodes[0].op.infer, None, None)


@pytest.mark.parametrize(
    ("breakage", "message", "line"),
    [
        (swap_nodes, "before it is defined", "%0: f32[B, 4] = exp(%1)"),
        (unknown_operand, "before it is defined, or never", "exp(%?ghost)"),
        (same_node_twice, "defined twice", "add(%x, %y)"),
        (wrong_type, "results of the wrong type", "%0: f32[4, 4] = add"),
        (wrong_attribute, "no attribute 'axis'", "exp(%0) {axis = 1}"),
        (missing_attribute, "'reverse' is missing", "scan(%1)"),
        (required_attribute, "needs the attribute 'length'", "scan(%1)"),
        (lost_use, "does not know all its uses", "inputs  %x"),
        (ghost_use, "notes a use by a exp that is not in the graph", "inputs  %x"),
        (wrong_count, "does not know all its uses", "inputs  %x"),
        (output_unknown, "never defined", "return %?ghost"),
        (update_of_input, "needs a param", "update %y = %y"),
        (update_twice, "updated twice", "update %w = %4"),
        (update_other_type, "another type", "update %w = %x"),
        (region_reads_outside, "a region sees its own arguments only", "tanh(%0)"),
        (region_with_param, "neither params nor updates", "scan(%1)"),
        (region_missing, "scan has 1 regions", "scan(%1)"),
        (undeclared_size, "the size B is not declared", "inputs  %x"),
        (same_name, "two inputs or params are called 'w'", "params  %w"),
        (input_of_node, "is the result of a node", "inputs  %x"),
        (producer_lost, "does not point back", "%0: f32[B, 4] = add"),
        (unknown_op, "not in the op table", "gone(%x, %y)"),
    ],
)
def test_broken_rule(breakage: Callable[[Graph], None], message: str, line: str) -> None:
    graph = parse(TEXT)
    verify(graph)
    breakage(graph)
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    error = caught.value
    assert message in error.message
    shown = error.where.split("\n")
    (caret,) = [k for k, text in enumerate(shown) if set(text.split("|")[-1].strip()) == {"^"}]
    assert line in shown[caret - 1]
    assert len(shown) <= 1 + 5 + 1


def test_the_excerpt() -> None:
    graph = parse(TEXT)
    graph.nodes[1].set_operand(0, graph.nodes[2].results[0])
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    assert (
        str(caught.value)
        == """\
a value is used before it is defined, or never defined
  where   graph @g, line 6
        4 |   params  %w: f32[4], %v: f32[4]
        5 |   %0: f32[B, 4] = add(%x, %y)
        6 |   %1: f32[B, 4] = exp(%2)
          |                       ^^
        7 |   %2: f32[B, 4] = scan(%1) {inits = 1, length = 3, sequences = 0} body(%h: f32[B, 4]) {
        8 |     %3: f32[B, 4] = tanh(%h)"""
    )


def test_stages() -> None:
    graph = parse("kgraph 1 graph @g { inputs %x: f32[4] %0: f32[4] = softmax(%x) return %0 }")
    verify_graph(graph, "graph")
    with pytest.raises(VerifyError, match="the composite softmax should have been decomposed"):
        verify_graph(graph, "decomposed")
    with pytest.raises(InvalidArgumentError, match="unknown stage"):
        verify_graph(graph, "nowhere")
    assert set(STAGES) == {"graph", "decomposed", "schedule"}


def test_kernels_belong_in_schedules() -> None:
    text = """kgraph 1 graph @g { inputs %x: f32[4]
      %0: f32[4] = kernel(%x) {family = map, name = k0} body(%a: f32[4]) { %1: f32[4] = exp(%a) return %1 }
      return %0 }"""
    graph = parse(text)
    verify_graph(graph, "schedule")
    with pytest.raises(VerifyError, match="legal in a schedule only"):
        verify_graph(graph)
