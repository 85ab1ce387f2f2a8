# raises: InvalidArgumentError, ValueError
from kgraph.layers import StringLookup

StringLookup(mask_token="", vocabulary=["red", ""], name="colour")
