# raises: InvalidArgumentError, ValueError
from kgraph.layers import Lambda

Lambda("relu")
