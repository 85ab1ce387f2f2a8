# raises: InvalidArgumentError, ValueError
from kgraph.layers import StringLookup

StringLookup(vocabulary=["red"], num_oov_indices=0, name="colour")(["blue"])
