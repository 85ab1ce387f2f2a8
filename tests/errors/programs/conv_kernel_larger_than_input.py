# raises: ShapeError, ValueError
from kgraph.layers import Conv2D, Input

Conv2D(8, 5, name="conv")(Input((4, 4, 1)))
