# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input

Dense(2, kernel_initializer=lambda shape, dtype=None: np.ones((1, 1)), name="head")(Input((3,)))
