# raises: InvalidArgumentError, ValueError
import numpy as np

import kgraph as keras

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
trainer = model.compile("sgd", "mse")
trainer.profile((np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32")) for _ in range(3))
