# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dropout

Dropout(1.5)
