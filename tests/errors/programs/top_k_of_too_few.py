# raises: InvalidArgumentError, ValueError
from kgraph import Input, ops

ops.top_k(Input((3,)), k=5)
