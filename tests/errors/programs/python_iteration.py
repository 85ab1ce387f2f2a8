# raises: SymbolicBoolError, TypeError
from kgraph.layers import Input

for row in Input((3,), name="x"):
    print(row)
