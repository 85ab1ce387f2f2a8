# raises: DataError, ValueError
import numpy as np

import kgraph as keras
from kgraph.wrappers import SKLearnClassifier

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
SKLearnClassifier(model).fit(np.zeros((4, 2)), np.zeros(4))
