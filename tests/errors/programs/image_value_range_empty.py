# raises: InvalidArgumentError, ValueError
from kgraph.layers import RandomHue

RandomHue(0.2, value_range=(1, 1), name="hue")
