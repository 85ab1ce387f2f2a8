# raises: InvalidArgumentError, ValueError
from kgraph.layers import StringLookup

StringLookup(vocabulary=["red"], output_mode="embedding", name="colour")
