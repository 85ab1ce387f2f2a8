# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import Dense

layer = Dense(2, name="head")
layer.build((None, 3))
layer.kernel.assign(np.ones((2, 3)))
