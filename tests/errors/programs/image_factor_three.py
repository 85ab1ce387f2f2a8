# raises: InvalidArgumentError, ValueError
from kgraph.layers import RandomBrightness

RandomBrightness((0.1, 0.2, 0.3), name="brighter")
