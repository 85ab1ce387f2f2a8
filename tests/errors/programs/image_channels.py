# raises: ShapeError, ValueError
from kgraph.layers import Input, RandomSaturation

RandomSaturation(0.5, name="colours")(Input((8, 8, 4)))
