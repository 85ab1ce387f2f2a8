# raises: InvalidArgumentError, ValueError
import kgraph as keras

keras.callbacks.EarlyStopping(patience="two")
