# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Model

x = Input(batch_shape=(4, 3), name="x")
model = Model(x, Dense(1)(x))
model.predict(np.ones((6, 3)), verbose=0)
