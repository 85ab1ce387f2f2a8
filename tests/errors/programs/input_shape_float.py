# raises: InvalidArgumentError, ValueError
from kgraph.layers import Input

Input((2.5,))
