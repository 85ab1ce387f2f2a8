"""What depends on what: the dependence graph of a program, reachability in it, and its longest chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgraph.ir.graph import Graph, Node, Value

__all__ = ["critical_path", "dependence_graph", "reaches"]


def dependence_graph(graph: Graph) -> Any:
    """The nodes of a graph with an edge from each to every reader of its results.

    Returns:
        A `networkx.DiGraph` whose vertices are the `Node` objects, in program order; it has no cycles.
    """
    import networkx

    result = networkx.DiGraph()
    result.add_nodes_from(graph.nodes)
    for node in graph.nodes:
        for value in node.operands:
            if value.producer is not None:
                result.add_edge(value.producer, node)
    return result


def reaches(graph: Graph, source: Value, target: Value) -> bool:
    """Whether `target` is computed from `source`, directly or through other nodes."""
    import networkx

    if source is target:
        return True
    if target.producer is None:
        return False
    dependence = dependence_graph(graph)
    starts = [source.producer] if source.producer is not None else list(source.uses)
    return any(start in dependence and networkx.has_path(dependence, start, target.producer) for start in starts)


def critical_path(graph: Graph, weight: Callable[[Node], float] | None = None) -> list[Node]:
    """The chain of nodes, each reading the one before, with the largest total weight (1 for every node by default).

    No schedule with any number of processors can be shorter than this chain.
    """
    import networkx

    dependence = dependence_graph(graph)
    for _, node, data in dependence.edges(data=True):
        data["weight"] = weight(node) if weight else 1.0
    return list(networkx.dag_longest_path(dependence, weight="weight"))
