# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph import ops
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1, name="head")])
model.compile("sgd", lambda y_true, y_pred: ops.mean(y_true, axis=-1), target="reference")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
