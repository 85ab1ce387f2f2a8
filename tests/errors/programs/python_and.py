# raises: SymbolicBoolError, TypeError
from kgraph.layers import Input

x = Input((3,), name="x")
mask = (x > 0) and (x < 1)
