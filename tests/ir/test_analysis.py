"""Dependence, reachability and the longest chain of a graph."""

import networkx
import pytest

from kgraph.ir import parse
from kgraph.ir.analysis import critical_path, dependence_graph, reaches

TEXT = """kgraph 1
graph @g [B >= 1] {
  inputs  %x: f32[B, 4], %y: f32[B, 4]
  %0: f32[B, 4] = tanh(%x)
  %1: f32[B, 4] = exp(%0)
  %2: f32[B, 4] = neg(%y)
  %3: f32[B, 4] = add(%1, %2)
  return %3, %2
}
"""


@pytest.fixture
def graph():
    return parse(TEXT)


def test_edges_follow_reads(graph):
    dependence = dependence_graph(graph)
    named = [(a.op.name, b.op.name) for a, b in dependence.edges]
    assert named == [("tanh", "exp"), ("exp", "add"), ("neg", "add")]
    assert networkx.is_directed_acyclic_graph(dependence)


def test_reachability(graph):
    x, y = graph.inputs
    total, negated = graph.outputs
    assert reaches(graph, x, total)
    assert reaches(graph, y, negated)
    assert not reaches(graph, x, negated)
    assert not reaches(graph, total, negated)
    assert reaches(graph, x, x)
    assert not reaches(graph, total, x)


def test_longest_chain(graph):
    assert [node.op.name for node in critical_path(graph)] == ["tanh", "exp", "add"]
    heavy = critical_path(graph, lambda node: 10.0 if node.op.name == "neg" else 1.0)
    assert heavy[-1].op.name == "add"
