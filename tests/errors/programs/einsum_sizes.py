# raises: ShapeError, ValueError
import numpy as np

from kgraph import ops

ops.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((4, 2)))
