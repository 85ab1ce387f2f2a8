# raises: InvalidArgumentError, ValueError
import numpy as np

import kgraph as keras
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse", metrics=[lambda t, p: keras.ops.mean(p)], target="reference")
stop = keras.callbacks.EarlyStopping(monitor="<lambda>")
model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0, callbacks=[stop])
