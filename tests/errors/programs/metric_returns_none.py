# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph import ops
from kgraph.layers import Dense, Input
from kgraph.models import Sequential


def forgotten(y_true, y_pred):
    ops.mean(y_pred)


model = Sequential([Input((3,)), Dense(1, name="head")])
model.compile("sgd", "mse", metrics=[forgotten], target="reference")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
