# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1, name="price")])
model.compile("sgd", "mse")
model.fit(np.ones((2, 3)), np.ones((2, 1)), sample_weight=np.array([1, np.nan]), verbose=0)
