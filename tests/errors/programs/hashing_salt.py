# raises: InvalidArgumentError, ValueError
from kgraph.layers import Hashing

Hashing(10, salt=[1, 2, 3], name="bins")
