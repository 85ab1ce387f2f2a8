# raises: InvalidArgumentError, ValueError
from kgraph.layers import Conv2D

Conv2D(8, 3, padding="some")
