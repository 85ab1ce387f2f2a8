# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1, name="head")])
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), np.float64(1.0), verbose=0)
