# raises: SymbolicBoolError, TypeError
from kgraph import ops
from kgraph.layers import Input

x = Input((3,), name="x")
for i in range(ops.shape(x)[0]):
    pass
