# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense

Dense(0)
