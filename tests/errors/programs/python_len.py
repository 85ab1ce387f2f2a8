# raises: SymbolicBoolError, TypeError
from kgraph.layers import Input

len(Input((3,), name="x"))
