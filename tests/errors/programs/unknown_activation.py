# raises: UnknownNameError, ValueError
from kgraph.layers import Dense

Dense(4, activation="relo")
