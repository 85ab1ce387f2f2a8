# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Model

x = Input((3,))
model = Model(x, [Dense(1, name="price")(x), Dense(2, name="kind")(x)])
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), [np.ones((8, 1)), np.ones((8, 2)), np.ones((8, 2))], verbose=0)
