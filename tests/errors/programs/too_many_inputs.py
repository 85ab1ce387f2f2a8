# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Concatenate, Dense, Input
from kgraph.models import Model

a, b = Input((3,), name="left"), Input((4,), name="right")
model = Model([a, b], Dense(1)(Concatenate()([a, b])))
model.compile("sgd", "mse")
model.fit([np.ones((8, 3)), np.ones((8, 4)), np.ones((8, 5))], np.ones((8, 1)), verbose=0)
