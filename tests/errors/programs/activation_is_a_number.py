# raises: InvalidArgumentError, ValueError
from kgraph.layers import Activation

Activation(3, name="act")
