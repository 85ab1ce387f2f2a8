# raises: ShapeError, ValueError
from kgraph.layers import Add, Input

Add(name="sum")([Input((4,)), Input((3,))])
