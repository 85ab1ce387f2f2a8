# raises: ShapeError, ValueError
from kgraph.layers import Conv2D, Input

Conv2D(8, 3, name="conv")(Input((28, 28)))
