# raises: ShapeError, ValueError
from kgraph.layers import Dense, Input, TimeDistributed

TimeDistributed(Dense(4), name="steps")(Input((8,)))
