# raises: ShapeError, ValueError
from kgraph.layers import Concatenate, Input

Concatenate(name="joined")([Input((4, 3)), Input((5, 3))])
