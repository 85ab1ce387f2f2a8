# raises: InvalidArgumentError, ValueError
from kgraph import tree

tree.map_structure(lambda a, b: a + b, {"a": 1, "b": 2}, {"a": 1})
