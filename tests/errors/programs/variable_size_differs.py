# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Add, Input
from kgraph.models import Model

a, b = Input((None, 3), name="left"), Input((None, 3), name="right")
model = Model([a, b], Add(name="sum")([a, b]))
model.predict([np.ones((2, 5, 3)), np.ones((2, 6, 3))], verbose=0)
# then:
assert model.predict([np.ones((2, 5, 3)), np.ones((2, 5, 3))], verbose=0).shape == (2, 5, 3)
