# raises: ShapeError, ValueError
import numpy as np

from kgraph import ops

ops.sum(np.ones((2, 3)), axis=2)
