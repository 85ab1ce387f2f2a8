# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(2, name="head")], name="mlp")
model.set_weights([np.ones((3, 2))])
