# raises: SymbolicBoolError, TypeError
from kgraph import ops
from kgraph.layers import Input

x = Input((3,), name="x")
if ops.sum(x) > 0:
    x = x + 1
