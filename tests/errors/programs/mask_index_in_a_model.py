# raises: UnsupportedError, NotImplementedError
import kgraph as keras

x = keras.Input((4,))
x[x > 0]
