# raises: ShapeError, ValueError
from kgraph.layers import Conv2D, Input

conv = Conv2D(8, 3, data_format="channels_last", name="conv")
conv(Input((28, 28, 3)))
conv(Input((3, 28, 28)))
