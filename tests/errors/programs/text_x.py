# raises: DtypeError, TypeError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,), name="features"), Dense(1)])
model.predict(np.array([["a", "b", "c"]]), verbose=0)
