# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Model

a = Input((3,), name="left")
Model([a, a], Dense(1)(a), name="pair")
