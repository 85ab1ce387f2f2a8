# raises: UnsupportedError, NotImplementedError
import numpy as np

import kgraph as keras


class Net(keras.Model):
    pass


model = Net()
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
