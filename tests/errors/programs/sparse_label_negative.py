# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(4, activation="softmax", name="classes")])
model.compile("sgd", "sparse_categorical_crossentropy")
model.train_on_batch(np.ones((2, 3)), np.array([0, -1]))
