# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse", target="reference")
model.fit(np.ones((8, 3)), np.ones((8, 1)), sample_weight=np.ones((8, 1, 2)), verbose=0)
