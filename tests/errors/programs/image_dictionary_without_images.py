# raises: MissingKeyError, KeyError
import numpy as np

from kgraph.layers import CutMix

CutMix(name="cut")({"image": np.zeros((2, 4, 4, 3), "float32")})
