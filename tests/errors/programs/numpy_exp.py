# raises: SymbolicBoolError, TypeError
import numpy as np

from kgraph.layers import Input

x = Input((3,), name="x")
np.exp(x)
