# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((1, 3)), np.ones((1, 1)), validation_split=0.2, verbose=0)
