# raises: UnsupportedError, NotImplementedError
from kgraph import layers

layers.MaxoutDense(32, nb_feature=4)
