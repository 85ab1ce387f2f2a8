# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import HashedCrossing

HashedCrossing(10, name="pair")([np.array(["a", "b"]), np.array([1, 2, 3])])
