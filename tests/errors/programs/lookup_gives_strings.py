# raises: UnsupportedError, NotImplementedError
from kgraph.layers import Input, StringLookup

StringLookup(vocabulary=["red"], invert=True, name="colour")(Input((), dtype="int32"))
