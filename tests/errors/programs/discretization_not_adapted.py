# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.layers import Discretization

Discretization(num_bins=4, name="bins")(np.ones(3))
