# raises: DtypeError, TypeError
from kgraph.layers import StringLookup

StringLookup(vocabulary=[1, 2], name="colour")
