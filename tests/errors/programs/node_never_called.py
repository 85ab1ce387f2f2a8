# raises: LayerAttributeError, AttributeError
from kgraph.layers import Dense

x = Dense(2, name="head").output
