# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Normalization

layer = Normalization(name="scale")
layer.adapt(np.ones((4, 3)))
layer.adapt(np.ones((4, 2)))
