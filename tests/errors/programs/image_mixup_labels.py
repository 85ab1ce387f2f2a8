# raises: ShapeError, ValueError
import numpy as np

from kgraph.layers import MixUp

MixUp(name="mix")({"images": np.zeros((2, 4, 4, 3), "float32"), "labels": np.array([0, 1])})
