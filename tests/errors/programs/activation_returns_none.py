# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input

Dense(4, activation=lambda x: None, name="head")(Input((3,)))
