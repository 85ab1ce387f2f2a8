# raises: UnsupportedError, NotImplementedError
import kgraph as keras
from kgraph import ops

x = keras.Input(())
ops.while_loop(lambda x: ops.all(x < 10.0), lambda x: x * 2.0, x)
