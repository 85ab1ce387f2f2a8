# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((8,)), Dense(4, name="hidden")])
model(np.ones((2, 3, 8), "float32"))
# then:
assert model(np.ones((2, 8), "float32")).shape == (2, 4)
