# raises: SettingError, ValueError
import os

import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

os.environ["KGRAPH_VERIFY"] = "maybe"
model = Sequential([Input((3,)), Dense(1)])
model.predict(np.ones((2, 3)), verbose=0)
