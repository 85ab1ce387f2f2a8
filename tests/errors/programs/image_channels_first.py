# raises: ShapeError, ValueError
from kgraph.layers import Input, RandomHue

RandomHue(0.5, data_format="channels_first", name="hue")(Input((8, 8, 3)))
