# raises: LayerAttributeError, AttributeError
from kgraph.layers import Dense, Input

head = Dense(2, name="head")
head(Input((3,)))
head(Input((3,)))
x = head.output
