# raises: ShapeError, ValueError
import numpy as np

from kgraph import ops

ops.reshape(np.ones((2, 3)), (-1, -1))
