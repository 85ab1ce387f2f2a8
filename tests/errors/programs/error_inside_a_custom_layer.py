# raises: ShapeError, ValueError
import numpy as np

from kgraph import ops
from kgraph.layers import Dense, Input, Layer
from kgraph.models import Sequential


class Pick(Layer):
    def call(self, x, training=None):
        if training:
            return ops.reshape(x, (-1, 5))
        return x


model = Sequential([Input((3,)), Pick(name="pick"), Dense(1)])
model.compile("sgd", "mse", target="reference")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
