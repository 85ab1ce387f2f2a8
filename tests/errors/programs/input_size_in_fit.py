# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((20,), name="features"), Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((16, 19)), np.ones((16, 1)), verbose=0)
# then:
model.fit(np.ones((16, 20)), np.ones((16, 1)), verbose=0)
