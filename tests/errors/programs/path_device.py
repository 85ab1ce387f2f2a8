# raises: UnsupportedError, NotImplementedError
import kgraph as keras

with keras.device("gpu:0"):
    pass
