# raises: DtypeError, TypeError
import numpy as np

from kgraph.layers import TextVectorization

TextVectorization(vocabulary=["red"], name="words")(np.array([1.0, 2.0]))
