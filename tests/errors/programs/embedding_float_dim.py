# raises: InvalidArgumentError, ValueError
from kgraph.layers import Embedding

Embedding(10, 0)
