# raises: CallError, TypeError
from kgraph.layers import Dense

Dense(activation="relu")
