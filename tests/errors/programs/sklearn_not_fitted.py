# raises: NotFittedError, ValueError
import numpy as np

from kgraph.wrappers import SKLearnRegressor

SKLearnRegressor(lambda X, y: None).predict(np.zeros((4, 2)))
