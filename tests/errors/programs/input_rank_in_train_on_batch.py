# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((20,), name="features"), Dense(1)])
model.compile("sgd", "mse")
model.train_on_batch(np.ones((4, 20, 2)), np.ones((4, 1)))
# then:
model.train_on_batch(np.ones((4, 20)), np.ones((4, 1)))
