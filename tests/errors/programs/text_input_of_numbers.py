# raises: DtypeError, TypeError
import numpy as np

from kgraph import Model
from kgraph.layers import Input, StringLookup

text = Input((1,), dtype="string", name="text")
Model(text, StringLookup(vocabulary=["red"])(text)).predict(np.ones((2, 1)), verbose=0)
