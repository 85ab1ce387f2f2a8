# raises: UnknownNameError, ValueError
from kgraph.layers import Dense

Dense(2, kernel_constraint="maxnorn")
