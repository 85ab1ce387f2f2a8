# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse", target="reference")
model.fit(iter([(np.ones((8, 3)), np.ones((8, 1)))]), batch_size=0, verbose=0)
