# raises: ShapeError, ValueError
from kgraph.layers import Dense, Input

Dense(4, name="head")(Input((None,)))
