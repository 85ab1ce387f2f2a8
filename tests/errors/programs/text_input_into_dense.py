# raises: DtypeError, TypeError
from kgraph.layers import Dense, Input

Dense(3, name="hidden")(Input((1,), dtype="string", name="text"))
