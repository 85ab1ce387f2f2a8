# raises: UnknownNameError, ValueError
from kgraph.layers import Dense

Dense(4, kernel_initializer="glorot_unifrom")
