# raises: DtypeError, TypeError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,), name="features"), Dense(1, name="kind")])
model.compile("sgd", "mse")
model.fit(np.ones((2, 3)), np.array(["cat", "dog"]), verbose=0)
