# raises: InvalidArgumentError, ValueError
from kgraph.layers import Input, Subtract

Subtract(name="difference")([Input((4,)), Input((4,)), Input((4,))])
