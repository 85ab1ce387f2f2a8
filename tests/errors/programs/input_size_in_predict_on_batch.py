# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((20,), name="features"), Dense(1)])
model.predict_on_batch(np.ones((4, 20), "float32"))
model.predict_on_batch(np.ones((4, 19), "float32"))
# then:
assert model.predict_on_batch(np.ones((4, 20), "float32")).shape == (4, 1)
