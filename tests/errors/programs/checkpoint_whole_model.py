# raises: UnsupportedError, NotImplementedError
import kgraph as keras

keras.callbacks.ModelCheckpoint("best.weights.h5")
