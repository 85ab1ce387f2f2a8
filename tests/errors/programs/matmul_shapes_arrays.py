# raises: ShapeError, ValueError
import numpy as np

from kgraph import ops

ops.matmul(np.ones((4, 5)), np.ones((6, 3)))
