# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph import ops
from kgraph.layers import Dense, Input
from kgraph.models import Sequential


def zero_one(y_true, y_pred):
    return ops.mean(ops.cast(ops.round(y_pred) != y_true, "float32"), axis=-1)


model = Sequential([Input((3,)), Dense(1, name="head")])
model.compile("sgd", zero_one, target="reference")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
