# raises: ShapeError, ValueError
from kgraph.layers import Dense, Flatten, Input

x = Flatten()(Input((None, 3)))
Dense(4, name="head")(x)
