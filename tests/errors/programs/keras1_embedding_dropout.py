# raises: UnsupportedError, NotImplementedError
from kgraph.layers import Embedding

Embedding(1000, 64, dropout=0.2)
