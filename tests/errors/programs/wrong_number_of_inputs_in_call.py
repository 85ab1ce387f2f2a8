# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Concatenate, Dense, Input
from kgraph.models import Model

a, b = Input((3,), name="left"), Input((4,), name="right")
model = Model([a, b], Dense(1)(Concatenate()([a, b])), name="pair")
model([np.ones((8, 3))])
