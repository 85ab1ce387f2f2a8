# raises: InvalidArgumentError, ValueError
from kgraph.layers import Dense, Input
from kgraph.models import Model

x = Input((3,))
Model(x, Dense(2, name="fc")(Dense(2, name="fc")(x)), name="mlp")
