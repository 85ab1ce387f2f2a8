# raises: InvalidArgumentError, ValueError
from kgraph.layers import Reshape

Reshape((4, -1, -1), name="square")
