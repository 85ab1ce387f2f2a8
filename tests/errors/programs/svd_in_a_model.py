# raises: UnsupportedError, NotImplementedError
import kgraph as keras
from kgraph import ops

ops.svd(keras.Input((4, 4)))
