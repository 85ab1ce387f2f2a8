# raises: InvalidArgumentError, ValueError
from kgraph.layers import StringLookup

StringLookup(vocabulary=["red", "green", "red"], name="colour")
