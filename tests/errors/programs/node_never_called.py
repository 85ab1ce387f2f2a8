# raises: LayerAttributeError, AttributeError
from kgraph.layers import Dense

Dense(2, name="head").output
