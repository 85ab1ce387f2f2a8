# raises: InvalidArgumentError, ValueError
from kgraph.layers import RandomInvert

RandomInvert(factor=1.5, name="invert")
