# raises: DataError, ValueError
import numpy as np

import kgraph as keras
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(4, name="classes")])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("sgd", loss, metrics=["accuracy"])
model.evaluate(np.ones((2, 3)), np.array([0, 12]), verbose=0)
