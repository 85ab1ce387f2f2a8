# raises: NotCompiledError, RuntimeError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)], name="mlp")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
# then:
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
