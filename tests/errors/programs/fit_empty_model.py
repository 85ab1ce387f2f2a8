# raises: NotBuiltError, ValueError
import numpy as np

from kgraph.models import Sequential

model = Sequential(name="empty")
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
