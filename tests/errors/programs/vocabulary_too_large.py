# raises: InvalidArgumentError, ValueError
from kgraph.layers import IntegerLookup

IntegerLookup(max_tokens=3, vocabulary=[4, 8, 15], name="codes")
