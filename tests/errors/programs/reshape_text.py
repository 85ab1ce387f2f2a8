# raises: InvalidArgumentError, ValueError
from kgraph.layers import Reshape

Reshape("square")
