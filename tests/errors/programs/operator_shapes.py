# raises: ShapeError, ValueError
from kgraph.layers import Input

a, b = Input((4,), name="a"), Input((3,), name="b")
c = a + b
