# raises: InvalidArgumentError, ValueError
import numpy as np

import kgraph as keras
from kgraph.layers import Dense, Input
from kgraph.models import Sequential

model = Sequential([Input((3,)), Dense(1)])
model.compile("sgd", "mse", metrics=[keras.metrics.Mean(name="m")], target="reference")
stop = keras.callbacks.EarlyStopping(monitor="spread")


class Spread(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["spread"] = 1.0


model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0, callbacks=[Spread(), stop])
