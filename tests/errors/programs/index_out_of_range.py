# raises: IndexRangeError, IndexError
from kgraph.layers import Input

x = Input((3,), name="x")
y = x[0, 7]
