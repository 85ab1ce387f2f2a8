# raises: ShapeError, ValueError
from kgraph.layers import Input, MaxPooling2D

MaxPooling2D(4, name="pool")(Input((3, 3, 1)))
