# raises: InvalidArgumentError, ValueError
import kgraph as keras

keras.optimizers.SGD("0.1")
