# raises: InvalidArgumentError, ValueError
import numpy as np

import kgraph as keras

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit_generator(iter([(np.zeros((4, 2)), np.zeros((4, 1)))]), samples_per_epoch=1000, nb_epoch=2)
