# raises: ShapeError, ValueError
import numpy as np

from kgraph import ops
from kgraph.layers import Dense, Input
from kgraph.models import Sequential


def ratio(y_true, y_pred):
    return ops.zeros((7,)) * ops.mean(y_true - y_pred, axis=-1)


model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", ratio, target="reference")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
