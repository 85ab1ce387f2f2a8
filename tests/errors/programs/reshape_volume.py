# raises: ShapeError, ValueError
from kgraph.layers import Input, Reshape

Reshape((4, 4), name="square")(Input((15,)))
