# raises: ShapeError, ValueError
import numpy as np

from kgraph import ops

ops.concatenate([np.ones((2, 3)), np.ones(3)])
