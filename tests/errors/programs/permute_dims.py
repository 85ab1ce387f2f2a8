# raises: InvalidArgumentError, ValueError
from kgraph.layers import Permute

Permute((0, 1))
