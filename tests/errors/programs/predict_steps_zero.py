# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.predict(np.ones((8, 3)), steps=0, verbose=0)
