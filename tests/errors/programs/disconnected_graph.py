# raises: GraphDisconnectedError, ValueError
from kgraph.layers import Add, Dense, Input
from kgraph.models import Model

a, b = Input((3,), name="left"), Input((3,), name="right")
total = Add(name="total")([a, b])
Model(a, Dense(1)(total))
