# raises: ShapeError, ValueError
from kgraph import ops
from kgraph.layers import Input, Lambda

Lambda(lambda x: ops.reshape(x, (-1, 7)), name="weeks")(Input((30,)))
