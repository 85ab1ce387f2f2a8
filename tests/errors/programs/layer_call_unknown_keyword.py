# raises: CallError, TypeError
from kgraph.layers import Dense, Input

Dense(4, name="head")(Input((3,)), scale=2)
