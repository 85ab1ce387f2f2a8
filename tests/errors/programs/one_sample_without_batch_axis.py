# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((20,), name="features"), Dense(1)])
model.predict(np.ones(20), verbose=0)
# then:
assert model.predict(np.ones((1, 20)), verbose=0).shape == (1, 1)
