# raises: UnknownNameError, ValueError


from kgraph.ir.builder import Builder
from kgraph.ir.graph import Graph

Builder(Graph("g")).op("mutmal", 1, 2)
