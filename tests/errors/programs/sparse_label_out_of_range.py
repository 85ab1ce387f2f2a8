# raises: DataError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(4, activation="softmax", name="classes")])
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
y = np.arange(8) % 4
y[6] = 4
model.fit(np.ones((8, 3)), y, verbose=0)
# then:
y[6] = 3
model.fit(np.ones((8, 3)), y, verbose=0)
