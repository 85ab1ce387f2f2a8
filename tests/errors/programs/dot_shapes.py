# raises: ShapeError, ValueError
from kgraph.layers import Dot, Input

Dot(axes=1, name="match")([Input((4,)), Input((3,))])
