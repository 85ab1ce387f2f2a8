# raises: InvalidArgumentError, ValueError
from kgraph.layers import StringLookup

StringLookup(vocabulary=["red"], name="colour").adapt(["green"])
