# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dropout

Dropout("0.5")
