# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense

Dense(4, activaton="relu")
