# raises: InvalidArgumentError, ValueError
from kgraph.layers import RepeatVector

RepeatVector(-1)
