"""Questions about a whole graph, answered with networkx (imported only when asked)."""

from kgraph.ir.analysis.dependence import critical_path, dependence_graph, reaches

__all__ = ["critical_path", "dependence_graph", "reaches"]
