# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense

Dense(-1, name="head")
