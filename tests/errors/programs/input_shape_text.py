# raises: InvalidArgumentError, ValueError
from kgraph.layers import Input

Input("abc")
