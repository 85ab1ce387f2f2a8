# raises: ShapeError, ValueError
from kgraph.layers import Input, RandomErasing

RandomErasing(name="blank")(Input((None, None, 3)))
