# raises: SettingError, ValueError
import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

setenv("KGRAPH_NUM_THREADS", "many")
model = Sequential([Input((3,)), Dense(1)])
model.predict(np.ones((2, 3)), verbose=0)
# then:
setenv("KGRAPH_NUM_THREADS", "1")
model.predict(np.ones((2, 3)), verbose=0)
