# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(4, activation="softmax", name="classes")])
model.compile("sgd", "categorical_crossentropy")
model.fit(np.ones((8, 3)), np.ones(8), verbose=0)
