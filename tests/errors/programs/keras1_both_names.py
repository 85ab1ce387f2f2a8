# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense

Dense(output_dim=32, units=32)
