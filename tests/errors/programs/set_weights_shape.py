# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(2, name="head")], name="mlp")
model.get_layer("head").set_weights([np.ones((3, 2)), np.ones(3)])
# then:
assert (model.get_weights()[0] != 1).all()  # nothing was set
