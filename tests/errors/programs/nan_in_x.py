# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Concatenate, Dense, Input
from kgraph.models import Model

a, b = Input((3,), name="left"), Input((4,), name="right")
model = Model([a, b], Dense(1)(Concatenate()([a, b])))
model.compile("sgd", "mse")
right = np.ones((8, 4))
right[5, 2] = np.nan
before = model.get_weights()
model.fit([np.ones((8, 3)), right], np.ones((8, 1)), verbose=0)
# then:
assert all((one == two).all() for one, two in zip(before, model.get_weights()))
