# raises: CallError, TypeError
from kgraph.layers import Conv2D

Conv2D(filter=32, kernel_size=3)
