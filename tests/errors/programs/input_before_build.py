# raises: LayerAttributeError, AttributeError
from kgraph.layers import Dense
from kgraph.models import Sequential

x = Sequential([Dense(4), Dense(1)], name="mlp").input
