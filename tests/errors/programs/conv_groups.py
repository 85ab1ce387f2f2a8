# raises: ShapeError, ValueError
from kgraph.layers import Conv2D, Input

Conv2D(8, 3, groups=4, name="conv")(Input((28, 28, 3)))
