# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1, name="price")])
model.compile("sgd", "mse")
y = np.ones((8, 1))
y[3] = np.nan
model.train_on_batch(np.ones((8, 3)), y)
