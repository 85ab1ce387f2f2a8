# raises: SymbolicBoolError, TypeError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential


def loss(y_true, y_pred):
    return np.mean(np.square(y_true - y_pred), axis=-1)


model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", loss, target="reference")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
