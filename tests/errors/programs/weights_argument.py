# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense, Input

Dense(2, weights=[np.ones((9, 9))], name="head")(Input((3,)))
