# raises: ShapeError, ValueError
from kgraph import ops
from kgraph.layers import Input

ops.matmul(Input((4, 5)), Input((6, 3)))
