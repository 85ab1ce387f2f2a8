# raises: SymbolicBoolError, TypeError
from kgraph import ops
from kgraph.layers import Input

x = Input((3,), name="x")
float(ops.mean(x))
