# raises: InvalidArgumentError, ValueError
from kgraph.layers import Add, Input

Add(name="sum")(Input((4,)))
