# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Model

x = Input((3,), name="x")
Model(x, Dense(1))
