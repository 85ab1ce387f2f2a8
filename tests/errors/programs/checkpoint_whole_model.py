# raises: InvalidArgumentError, ValueError
import kgraph as keras

keras.callbacks.ModelCheckpoint("best.weights.h5")
