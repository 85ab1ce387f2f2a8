# raises: UnsupportedError, NotImplementedError
from kgraph.layers import Dense, Hashing, Input

Hashing(10, name="bins")(Dense(3)(Input((2,))))
